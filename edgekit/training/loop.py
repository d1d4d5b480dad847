"""Training and fine-tuning, on the processor or a GPU: exact resume, running averages of the weights, growing pictures.

On one kind of machine the run is a pure function of the recipe: the order of the pictures comes from the seed and the
position, dropout from the seed and the step. A run that was killed and resumed ends with the same weights, bit for bit,
as one that was not. A run with a ceiling may be cut on its way, which depends on the machine's pace; its record says
how, and a run from the record ends with the same weights again.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.size import Size, plain
from edgekit.training.autocast import computing, number_format
from edgekit.training.auxiliary_heads import AuxiliaryHeads
from edgekit.training.batches import batches, child_signals_kept
from edgekit.training.ceiling import Ceiling, PaceWatch
from edgekit.training.checkpoint import CHECKPOINT, Course, resume, save
from edgekit.training.distillation import DistillationLoss
from edgekit.training.failure import TrainingFailed
from edgekit.training.images import TrainingImages
from edgekit.training.log import as_line, step_of
from edgekit.training.optimizers import optimizer_for
from edgekit.training.recipe import TrainingRecipe
from edgekit.training.record import TrainingRecord
from edgekit.training.schedule import Schedule, rate_factor
from edgekit.training.step import Parts, backward, clip, follow
from edgekit.training.strides import pixels_left_out_first
from edgekit.training.threads import training_threads

Channels = tuple[float, ...]


@dataclass(frozen=True)
class Tick:
    """One line of the training log; `seconds_left` at the pace of the last steps."""

    step: int
    steps: int
    images: int
    size: Size
    learning_rate: float
    loss: float
    top1: float
    images_per_second: float
    seconds_left: float


@dataclass(frozen=True)
class Looks:
    """When the running average is looked at (progress, 0 to 1), what a look takes, and whether it is good enough."""

    parts: tuple[float, ...]
    seconds: float
    is_enough: Callable[[nn.Module], bool]


@dataclass(frozen=True)
class RunSettings:
    """How a recipe is run.

    Attributes:
        mean, std: that images are normalised with; workers: processes that draw them.
        stop_after: ends the run after this many steps, with a checkpoint, as a kill would.
        ceiling: what it may take; looks: that may end it early. Neither binds a run from a record.
        if_diverged: what to do about a loss that is not finite, which then ends the run; None: it goes on.
    """

    mean: Channels = (0.5, 0.5, 0.5)
    std: Channels = (0.5, 0.5, 0.5)
    workers: int = 1
    checkpoint_seconds: float = 120.0
    stop_after: int | None = None
    ceiling: Ceiling | None = None
    looks: Looks | None = None
    if_diverged: str | None = None


@dataclass(frozen=True)
class Trained:
    """What came of a run.

    Attributes:
        network: the running average of the weights.
        record: of the steps until now.
        cut: what was left out for want of time, in words; is_enough: whether a look ended it.
    """

    network: nn.Module
    record: TrainingRecord
    cut: str | None
    is_enough: bool = False

    @property
    def steps(self) -> int:
        """That were made in all."""
        return len(self.record.rates)


def train(
    network: nn.Module,
    images: TrainingImages,
    plan: TrainingRecipe | TrainingRecord,
    out_dir: Path,
    settings: RunSettings | None = None,
    guide: DistillationLoss | None = None,
    on_tick: Callable[[Tick], None] = lambda tick: None,
) -> Trained:
    """Trains `network`.

    Args:
        network: gives (N, classes) logits for (N, 3, H, W) float32 images, normalised; trained in place.
        images: the training pictures.
        plan: optimiser, schedule, stages; or the record of a run, which is then done again step by step.
        out_dir: gets checkpoint.pt, log.jsonl; a checkpoint that is there is resumed from.
        guide: gives the loss in place of cross-entropy with the labels.
    Raises:
        InputError: the checkpoint there is damaged or was made by another recipe.
        TrainingFailed: training diverged, and `if_diverged` is set.
    """
    settings = settings or RunSettings()
    replay = plan if isinstance(plan, TrainingRecord) else None
    recipe = plan.recipe if isinstance(plan, TrainingRecord) else plan
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out_dir.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    taps = AuxiliaryHeads(network, recipe.auxiliary, recipe.stages[0].size, len(settings.mean))
    optimizer = optimizer_for(nn.ModuleList([network, taps]), recipe)
    parts = Parts(network, copy.deepcopy(network).eval(), taps, optimizer)
    fresh = _fresh(recipe, replay, device, settings.workers)
    course = resume(out_dir / CHECKPOINT, parts.stateful(), recipe, fresh)
    course.stop = course.schedule.total if settings.stop_after is None else settings.stop_after
    conditions, strides = computing(course.threads, course.number_format), pixels_left_out_first(network, parts.average)
    with conditions, child_signals_kept(), strides:
        run = _Run(parts, recipe, replay, course, settings, guide, out_dir)
        is_enough = run.go(images, on_tick)
    record = TrainingRecord(
        recipe=recipe.model_copy(update={"stages": course.schedule.as_run(course.done)}),
        spans=course.schedule.spans,
        rates=tuple(course.rates),
        threads=course.threads,
        number_format=course.number_format,
        labelled=guide is None or guide.labelled,
    )
    return Trained(parts.average, record, course.cut, is_enough)


def _fresh(recipe: TrainingRecipe, replay: TrainingRecord | None, device: torch.device, workers: int) -> Course:
    """The beginning of a run."""
    if replay is not None:
        return Course(replay.schedule, replay.threads, replay.number_format)
    form = number_format(device.type, recipe.bf16)
    return Course(Schedule.planned(recipe), training_threads(workers), form)


@dataclass
class _Run:
    """A run under way."""

    parts: Parts
    recipe: TrainingRecipe
    replay: TrainingRecord | None
    course: Course
    settings: RunSettings
    guide: DistillationLoss | None
    folder: Path

    def go(self, images: TrainingImages, on_tick: Callable[[Tick], None]) -> bool:
        """Trains until the course stops; whether a look at the accuracy ended it."""
        course, settings = self.course, self.settings
        watch = PaceWatch(course.schedule.stages, settings.ceiling if self.replay is None else None)
        log, saved_at = _Log(self.folder / "log.jsonl", course.done), time.monotonic()
        self.parts.network.train()
        if self._is_look() and self._is_enough():  # the run was killed at that look
            return True
        watch.begin()
        for place, pictures, labels in batches(images, course, self.recipe.seed, settings.workers):
            loss, right = self._step(pictures, labels, images.count)
            watch.step(place)
            self._check(loss)
            self._fit(watch)
            if settings.ceiling is not None:
                settings.ceiling.stopwatch.keep()
            log.count(loss, right, len(labels))
            if course.done % 10 == 0 or course.done == course.schedule.total:
                on_tick(log.write(course, place, self.recipe.learning_rate, watch))
            if self._is_look() or time.monotonic() - saved_at > settings.checkpoint_seconds:
                self._save()
                saved_at = time.monotonic()
            if self._is_look():
                if self._is_enough():
                    return True
                watch.begin()
        self._save()
        self._check(*(float(value.sum()) for value in self.parts.average.state_dict().values()))
        return False

    def _step(self, pictures: Tensor, labels: Tensor, images_per_epoch: int) -> tuple[float, int]:
        """One step on uint8 pictures (N, H, W, 3) and labels (N,); the network's own mean loss, and how many it had
        right.
        """
        course, recipe, parts = self.course, self.recipe, self.parts
        step, device = course.done, next(parts.network.parameters()).device
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        factor = rate_factor(recipe, step, images_per_epoch, course.schedule)
        if self.replay is not None:
            factor = self.replay.rates[step]
        parts.optimizer.set_rate(factor)
        inputs = normalised(pictures.to(device), self.settings.mean, self.settings.std)
        together = course.schedule.stage_at(step).at_once or len(inputs)
        pairs = zip(torch.split(inputs, together), torch.split(labels.to(device), together), strict=True)
        loss, right = backward(parts, recipe, list(pairs), self.guide, course.schedule.progress(step))
        clip(parts, recipe)
        parts.optimizer.step()
        decay = recipe.ema ** course.schedule.stretch(step)
        follow(parts.average, parts.network, min(decay, (1 + step) / (10 + step)))
        course.rates.append(factor)
        course.done += 1
        return loss, right

    def _check(self, *values: float) -> None:
        """Raises TrainingFailed where a value is not finite and that is to end the run."""
        if self.settings.if_diverged is None or all(math.isfinite(value) for value in values):
            return
        what = f"training diverged at step {self.course.done} of {self.course.schedule.total}"
        raise TrainingFailed(f"{what}: its loss or its weights are not finite", self.settings.if_diverged)

    def _looks_at(self) -> Looks | None:
        return None if self.replay is not None else self.settings.looks

    def _is_look(self) -> bool:
        """Whether the last step has passed a place where the accuracy is looked at."""
        looks, course = self._looks_at(), self.course
        if looks is None or course.done in (0, course.schedule.total):
            return False
        before, now = course.schedule.progress(course.done - 1), course.schedule.progress(course.done)
        return any(before < part <= now for part in looks.parts)

    def _is_enough(self) -> bool:
        looks = self._looks_at()
        return looks is not None and looks.is_enough(self.parts.average)

    def _fit(self, watch: PaceWatch) -> None:
        """Cuts what is to come where it does not fit under the ceiling."""
        course, looks = self.course, self._looks_at()
        progress = course.schedule.progress(course.done)
        seconds = looks.seconds * sum(part > progress for part in looks.parts) if looks is not None else 0.0
        after = watch.fit(course.schedule, course.done, seconds)
        if after is not course.schedule:
            course.cut = watch.words(course.schedule, after, course.done)
            course.schedule = after

    def _save(self) -> None:
        save(self.folder / CHECKPOINT, self.parts.stateful(), self.recipe, self.course)


def seeded(seed: int, make: Callable[[], nn.Module]) -> nn.Module:
    """A fresh network whose first weights come from the seed alone."""
    torch.manual_seed(seed)
    return make()


def normalised(pictures: Tensor, mean: Channels, std: Channels) -> Tensor:
    """uint8 (N, H, W, C) to float32 (N, C, H, W), channels last in memory."""
    shift = torch.tensor(mean, device=pictures.device).view(1, -1, 1, 1)
    scale = torch.tensor(std, device=pictures.device).view(1, -1, 1, 1)
    inputs = (pictures.permute(0, 3, 1, 2).float().div(255) - shift) / scale
    return inputs.contiguous(memory_format=torch.channels_last)


class _Log:
    """Averages over ten steps and writes a line; a resumed run first drops the lines after its checkpoint."""

    def __init__(self, path: Path, done: int) -> None:
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        kept = [line for line in lines if step_of(line) <= done]
        path.write_text("".join(line + "\n" for line in kept))
        self._path = path
        self._clear()

    def _clear(self) -> None:
        self._losses: list[float] = []
        self._right = self._seen = 0
        self._since = time.monotonic()

    def count(self, loss: float, right: int, images: int) -> None:
        """Notes a step."""
        self._losses.append(loss)
        self._right += right
        self._seen += images

    def write(self, course: Course, place: int, learning_rate: float, watch: PaceWatch) -> Tick:
        """Writes a line about the steps since the last one, the latest in stage `place`."""
        tick = Tick(
            step=course.done,
            steps=course.schedule.total,
            images=course.schedule.images_at(course.done),
            size=course.schedule.stages[place].size,
            learning_rate=learning_rate * course.rates[-1],
            loss=sum(self._losses) / len(self._losses),
            top1=100 * self._right / self._seen,
            images_per_second=self._seen / (time.monotonic() - self._since),
            seconds_left=watch.seconds_left(course.schedule, course.done),
        )
        with self._path.open("a") as file:
            file.write(as_line({**asdict(tick), "size": plain(tick.size)}))
        self._clear()
        return tick
