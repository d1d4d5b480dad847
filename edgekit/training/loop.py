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
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from edgekit.training.autocast import computing, number_format
from edgekit.training.auxiliary_heads import AuxiliaryHeads
from edgekit.training.batches import Batch, batches, child_signals_kept
from edgekit.training.ceiling import Ceiling, PaceWatch
from edgekit.training.checkpoint import CHECKPOINT, Course, resume, save
from edgekit.training.distillation import DistillationLoss, Taught
from edgekit.training.failure import TrainingFailed
from edgekit.training.images import TrainingImages
from edgekit.training.log import Log, Tick
from edgekit.training.optimizers import optimizer_for
from edgekit.training.recipe import TrainingRecipe
from edgekit.training.record import TrainingRecord
from edgekit.training.replicas import Replicas
from edgekit.training.schedule import Schedule, rate_factor
from edgekit.training.step import Part, Parts, backward, clip, follow
from edgekit.training.strides import pixels_left_out_first
from edgekit.training.threads import training_threads

Channels = tuple[float, ...]


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
        parts: of a batch that go through side by side on the processor, where nothing in the network is random.
        stop_after: ends the run after this many steps, with a checkpoint, as a kill would.
        ceiling: what it may take; looks: that may end it early. Neither binds a run from a record.
        if_diverged: what to do about a loss that is not finite, which then ends the run; None: it goes on.
    """

    mean: Channels = (0.5, 0.5, 0.5)
    std: Channels = (0.5, 0.5, 0.5)
    workers: int = 1
    parts: int = 1
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
    parts = Parts(network, copy.deepcopy(network).eval(), taps, optimizer, Replicas(network, 1, 1))
    course = resume(out_dir / CHECKPOINT, parts.stateful(), recipe, _fresh(recipe, replay, device, settings))
    course.stop = course.schedule.total if settings.stop_after is None else settings.stop_after
    parts = replace(parts, replicas=Replicas(network, course.parts, course.threads))
    networks = parts.replicas.networks
    with ExitStack() as stack:
        stack.enter_context(computing(course.threads, course.number_format))
        stack.enter_context(child_signals_kept())
        stack.enter_context(pixels_left_out_first(*networks, parts.average))
        if guide is not None:
            parts = replace(parts, losses=[stack.enter_context(guide.beside(each)) for each in networks])
        stack.enter_context(parts.replicas.ready())
        run = _Run(parts, recipe, replay, course, settings, guide, out_dir)
        is_enough = run.go(images, on_tick)
    record = TrainingRecord(
        recipe=recipe.model_copy(update={"stages": course.schedule.as_run(course.done)}),
        spans=course.schedule.spans,
        rates=tuple(course.rates),
        threads=course.threads,
        parts=course.parts,
        number_format=course.number_format,
        labelled=guide is None or guide.labelled,
    )
    return Trained(parts.average, record, course.cut, is_enough)


def _fresh(
    recipe: TrainingRecipe, replay: TrainingRecord | None, device: torch.device, settings: RunSettings
) -> Course:
    """The beginning of a run."""
    if replay is not None:
        return Course(replay.schedule, replay.threads, replay.number_format, replay.parts)
    form = number_format(device.type, recipe.bf16)
    parts = 1 if device.type != "cpu" or recipe.auxiliary else settings.parts  # those classifiers see one network
    return Course(Schedule.planned(recipe), training_threads(settings.workers, parts), form, parts)


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
        log, saved_at = Log(self.folder / "log.jsonl", course.done), time.monotonic()
        for each in self.parts.replicas.networks:
            each.train()
        if self._is_look() and self._is_enough():  # the run was killed at that look
            return True
        watch.begin()
        teach = None if self.guide is None else self._taught
        for batch in batches(images, course, self.recipe.seed, settings.workers, teach):
            loss, right = self._step(batch, images.count)
            watch.step(batch.place, batch.drawn)
            self._check(loss)
            self._fit(watch)
            if settings.ceiling is not None:
                settings.ceiling.stopwatch.keep()
            log.count(loss, right, len(batch.labels))
            if course.done % 10 == 0 or course.done == course.schedule.total:
                on_tick(log.write(course, batch.place, self.recipe.learning_rate, watch))
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

    def _taught(self, pictures: Tensor) -> Taught:
        """What the teacher makes of uint8 pictures (N, H, W, C)."""
        assert self.guide is not None
        device = next(self.parts.network.parameters()).device
        return self.guide.taught(self._normalised(pictures.to(device)))

    def _normalised(self, pictures: Tensor) -> Tensor:
        return normalised(pictures, self.settings.mean, self.settings.std)

    def _step(self, batch: Batch, images_per_epoch: int) -> tuple[float, int]:
        """One step; the network's own mean loss, and how many pictures it had right."""
        course, recipe, parts = self.course, self.recipe, self.parts
        step = course.done
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        factor = rate_factor(recipe, step, images_per_epoch, course.schedule)
        if self.replay is not None:
            factor = self.replay.rates[step]
        parts.optimizer.set_rate(factor)
        count = len(batch.labels)
        together = course.schedule.stage_at(step).at_once or -(-count // course.parts)
        split, progress = self._split(batch, together), course.schedule.progress(step)
        loss, right = backward(parts, recipe, split, self._normalised, progress)
        clip(parts, recipe)
        parts.optimizer.step(parts.replicas.each)
        decay = recipe.ema ** course.schedule.stretch(step)
        follow(parts.average, parts.network, min(decay, (1 + step) / (10 + step)))
        course.rates.append(factor)
        course.done += 1
        return loss, right

    def _split(self, batch: Batch, together: int) -> list[Part]:
        """A batch as parts of so many pictures."""
        device = next(self.parts.network.parameters()).device
        columns = [torch.split(each.to(device), together) for each in (batch.pictures, batch.labels, *batch.taught)]
        return [Part(row[0], row[1], tuple(row[2:])) for row in zip(*columns, strict=True)]

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
    shift, scale = (torch.tensor(each, device=pictures.device) for each in (mean, std))
    inputs = pictures.float().div_(255).sub_(shift).div_(scale)
    return inputs.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
