"""Winning back what pruning lost: batch-norm statistics first, then distillation from the unpruned network.

A plan is a number of images; what is not told is found by timing a few steps. The seconds are a ceiling for all that
recovery does: where the machine turns out slower, what is left of the plan is cut to fit. Plan, seconds and checkpoint
are kept, so that a run that was killed goes on with the same plan, under the same ceiling.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.prune.as_cut import FIRST_IMAGES, NOT_TRAINED, UNTRAINED, AsCut
from edgekit.prune.channels import ChannelGraph, Keep
from edgekit.prune.distillation import Distillation, compared
from edgekit.prune.images import Tuning, top1, training_batches
from edgekit.prune.recovery import Recovery, Tuned
from edgekit.prune.recovery_plan import BATCH, Fitted, RecoveryPlan, counted, fitting
from edgekit.prune.sources import PruningImages
from edgekit.prune.teacher import Teacher, Teaching, teacher_for
from edgekit.training.autocast import autocast
from edgekit.training.ceiling import Ceiling, Stopwatch
from edgekit.training.checkpoint import PLAN, SPENT, forget, kept
from edgekit.training.failure import TrainingFailed
from edgekit.training.images import ordered
from edgekit.training.log import Tick
from edgekit.training.loop import Looks, RunSettings, Trained, train
from edgekit.training.recipe import TrainingRecipe, imitating
from edgekit.training.record import TrainingRecord
from edgekit.training.replicas import cores, is_random, parts_at_once
from edgekit.training.step import answers
from edgekit.training.threads import conditions

NORM_IMAGES: Final = 320
WORKERS: Final = 2
LOOKS: Final = (0.6, 0.8, 1.0)
"""Parts of the run after which it is looked at, and ended when nothing is left to win back."""

WORTH: Final = 3.0
"""How many times what a look takes it must be able to save: most of them end nothing."""


def reestimate(
    network: nn.Module, images: PruningImages, preprocessing: Preprocessing, count: int = NORM_IMAGES
) -> int:
    """Takes the statistics of every batch norm anew, in place; how many images that took (0: it has none)."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return 0
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
    network.train()
    with torch.no_grad(), autocast():
        for pictures, _ in training_batches(images, preprocessing, count, seed=0):
            if len(pictures) > 1:
                answers(network, pictures)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
    return count


@dataclass(frozen=True)
class PrunedNetwork:
    """A pruned network, the one that it was cut from, and which channels of that one stay."""

    student: nn.Module
    teacher: nn.Module
    graph: ChannelGraph
    keep: Keep


@dataclass(frozen=True)
class RecoveryImages:
    """What is trained on, what the accuracy is looked at with (None: nothing), and how images are normalised."""

    images: PruningImages
    tuning: Tuning | None
    preprocessing: Preprocessing


@dataclass(frozen=True)
class RecoverySettings:
    """How long, how fast, and from what seed.

    Attributes:
        seconds: the ceiling of all that recovery does; it does not bind a replay.
        learning_rate: of convolutions.
        images: to train on, rounded to whole batches; None: as many as fit into `first_share` of the ceiling.
        enough_points: training ends early when the tuning images show a drop of no more than this.
        as_cut_points: a network that loses no more than this as it was cut is not trained; None: it is in any case.
        replay: a run to do again, step by step, in place of a plan.
        train: whether there is training at all, after batch-norm statistics.
    """

    seconds: float
    learning_rate: float
    seed: int
    images: int | None = None
    first_share: float = 1.0
    enough_points: float = 0.0
    as_cut_points: float | None = None
    replay: TrainingRecord | None = None
    train: bool = True


def recover(
    pruned: PrunedNetwork,
    data: RecoveryImages,
    settings: RecoverySettings,
    folder: Path,
    on_tick: Callable[[Tick, float], None] = lambda tick, seconds_left: None,
) -> tuple[nn.Module, Recovery]:
    """Trains a pruned network towards its unpruned self.

    Args:
        pruned: the statistics of its student are taken anew in place.
        folder: gets the plan, the seconds spent, the checkpoint and the log; what is there is gone on with. In the end
            only the log stays.
        on_tick: called with each line of the log, and the seconds that are left.
    Returns:
        the recovered network, and what was done; the network as it was cut where training made it worse.
    Raises:
        InputError: what is in the folder is damaged, or the run to replay had labels and the images have none.
        TrainingFailed: training diverged; the folder is left as it would be in the end.
    """
    clean = copy.deepcopy(pruned.student)
    for module in pruned.student.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # the teacher's answers are what is learned: nothing to guard against
    replay, work = settings.replay, _Work(pruned, data, settings, folder, Stopwatch(folder / SPENT))
    labelled = data.images.labelled if replay is None else replay.labelled
    if labelled and not data.images.labelled:
        raise InputError("the recovery to do again learned from labels, and these images have none", "Give those.")
    with conditions(replay, WORKERS):
        normed = reestimate(pruned.student, data.images, data.preprocessing)
        rows = compared(pruned.graph, pruned.keep)
        teaching = Teaching(pruned.teacher.eval().requires_grad_(False), rows)
        try:
            teacher = teacher_for(teaching, work.few, cores(), None if replay is None else replay.teacher)
            guide = Distillation(teacher, rows, labelled)
            cut = work.as_cut(clean, teacher)
            left = work.left(cut, normed)
            if left is not None:
                forget(folder)
                clean.load_state_dict(pruned.student.state_dict())
                return clean.eval(), left
            plan = kept(folder, RecoveryPlan, lambda: work.plan(cut, guide))
            trained, reached = work.trained(plan, guide, on_tick)
        except TrainingFailed:
            forget(folder)
            raise
        finally:
            teaching.close()
    seconds = work.stopwatch.seconds()
    forget(folder)
    recovery = Recovery(
        f"distillation with{'' if labelled else 'out'} labels",
        trained.record.images,
        trained.steps,
        seconds,
        normed,
        None if data.tuning is None else _tuned(plan, len(data.tuning), reached),
        None if data.tuning is not None else "there are no labels to look at the accuracy with",
        trained.cut,
        trained.record.model_copy(update={"teacher": teacher.name}),
    )
    made = trained.network
    if replay is None and cut is not None and reached is not None and cut.is_better_than(reached):
        made, recovery = cut.renewed, cut.left(recovery, normed, seconds)
    clean.load_state_dict({key: value.cpu() for key, value in made.state_dict().items()})
    return clean.eval(), recovery


@dataclass(frozen=True)
class _Work:
    """A recovery under way."""

    pruned: PrunedNetwork
    data: RecoveryImages
    settings: RecoverySettings
    folder: Path
    stopwatch: Stopwatch

    def top1(self, network: nn.Module) -> float | None:
        """Percent of the tuning images, where there are any."""
        return None if self.data.tuning is None else top1(network, self.data.tuning, self.data.preprocessing)

    @cached_property
    def few(self) -> Tensor:
        """Some pictures, normalised."""
        batch = training_batches(self.data.images, self.data.preprocessing, min(4, self.data.images.train.count), 0)
        return next(batch)[0]

    def as_cut(self, network: nn.Module, teacher: Teacher) -> AsCut | None:
        """The student before training, to be looked at; None without images to do so."""
        if self.data.tuning is None:
            return None
        networks = copy.deepcopy(network), copy.deepcopy(self.pruned.student)
        return AsCut(*networks, lambda inputs: teacher(inputs)[0], self.data.tuning, self.data.preprocessing)

    def left(self, cut: AsCut | None, norm_images: int) -> Recovery | None:
        """What was done, where the student is left as it is before training: so it is asked, or it lost little."""
        settings, points = self.settings, self.settings.as_cut_points
        begun = (self.folder / PLAN).exists() or settings.replay is not None
        if settings.train and (cut is None or begun or points is None or not cut.reaches(cut.dense_top1 - points)):
            return None
        if cut is None:
            return Recovery(UNTRAINED, 0, 0, self.stopwatch.seconds(), norm_images, None, NOT_TRAINED)
        return cut.left(None, norm_images, self.stopwatch.seconds())

    def plan(self, cut: AsCut | None, guide: Distillation) -> RecoveryPlan:
        """Looks at the accuracy so far, and plans what fits under the ceiling; `cut` is the student as it was cut."""
        look_seconds = 0.0 if cut is None else cut.look_seconds

        def left() -> float:
            last = self.settings.first_share * self.settings.seconds - self.stopwatch.seconds() - look_seconds
            return last - look_seconds * len(looks(look_seconds, last)[:-1])

        recipe, fitted = self._recipe(guide, left)
        return RecoveryPlan(
            recipe=recipe,
            step_seconds=None if fitted is None else fitted.step_seconds,
            fresh_seconds=None if fitted is None else fitted.fresh_seconds,
            parts=self._parts(min(stage.batch for stage in recipe.stages)),
            looks=() if cut is None else tuple(looks(look_seconds, left())[:-1]),
            look_seconds=look_seconds,
            dense_top1=None if cut is None else cut.dense_top1,
            pruned_top1=None if cut is None else cut.first_top1,
            reestimated_top1=None if cut is None else cut.first_renewed_top1,
        )

    @cached_property
    def _is_random(self) -> bool:
        return is_random(self.pruned.student, self.few)

    def _parts(self, batch: int) -> int:
        """Parts of a batch that go through side by side; one where the network draws random numbers in training."""
        if self.settings.replay is not None:
            return self.settings.replay.parts
        parts = parts_at_once(batch)
        return 1 if parts > 1 and self._is_random else parts

    def _recipe(self, guide: Distillation, left: Callable[[], float]) -> tuple[TrainingRecipe, Fitted | None]:
        """The recipe, and what its steps take where that was measured."""
        settings, student = self.settings, self.pruned.student
        if settings.replay is not None:
            return settings.replay.recipe, None
        size, count = self.data.preprocessing.size, self.data.images.train.count
        channels = self.data.preprocessing.channels
        fitted: Fitted | None = None
        if settings.images is not None:
            stages = counted(student, size, count, settings.images, channels)
        else:
            fitted = fitting(student, guide, size, count, left, channels, self._parts(BATCH))
            stages = fitted.stages
        recipe = imitating(
            "pruned",
            "pruning images",
            settings.seed,
            stages,
            optimizer="muon",
            learning_rate=settings.learning_rate,
            plain_learning_rate=settings.learning_rate / 10,
            weight_decay=0.1,
        )
        return recipe, fitted

    def trained(
        self, plan: RecoveryPlan, guide: Distillation, on_tick: Callable[[Tick, float], None]
    ) -> tuple[Trained, float | None]:
        """What came of training, and its top-1 percent of the tuning images, where there are any."""
        settings, told = self.settings, self.data.preprocessing
        reached: float | None = None

        def is_enough(network: nn.Module) -> bool:
            nonlocal reached
            reached = self.top1(network)
            return (plan.dense_top1 or 0.0) - (reached or 0.0) <= settings.enough_points

        run = RunSettings(
            told.mean,
            told.std,
            workers=WORKERS,
            parts=plan.parts,
            checkpoint_seconds=30.0,
            ceiling=Ceiling(
                settings.seconds, self.stopwatch, plan.step_seconds, plan.fresh_seconds, after_seconds=plan.look_seconds
            ),
            looks=Looks(plan.looks, plan.look_seconds, is_enough),
            if_diverged=f"Lower `learning_rate` of `pruning` in the recipe: it is {settings.learning_rate:g}.",
        )
        made = train(
            self.pruned.student,
            ordered(self.data.images.train, told),
            settings.replay or plan.recipe,
            self.folder,
            run,
            guide,
            lambda tick: on_tick(tick, tick.seconds_left),
        )
        return made, reached if made.is_enough else self.top1(made.network)


def looks(look_seconds: float, planned_seconds: float) -> list[float]:
    """Those of LOOKS that can save WORTH times what they take, and the end."""
    return [part for part in LOOKS if part == 1.0 or (1 - part) * planned_seconds > WORTH * look_seconds]


def _tuned(plan: RecoveryPlan, images: int, reached: float | None) -> Tuned | None:
    if plan.dense_top1 is None or plan.pruned_top1 is None:
        return None
    first = min(images, FIRST_IMAGES)
    return Tuned(images, plan.dense_top1, plan.pruned_top1, plan.reestimated_top1, reached, first)
