"""Winning back what pruning lost: batch-norm statistics first, then distillation from the unpruned network.

How long is a budget in minutes. What fits in it is found by timing a few steps, and kept beside the checkpoint, so that
a run that was killed goes on with the same plan.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from edgekit.data.preprocessing import Preprocessing
from edgekit.prune.channels import ChannelGraph, Keep
from edgekit.prune.distillation import Distillation
from edgekit.prune.images import Tuning, top1, training_batches
from edgekit.prune.sources import PruningImages
from edgekit.training.autocast import autocast
from edgekit.training.images import ordered
from edgekit.training.loop import Tick, train
from edgekit.training.pace import kept, pace
from edgekit.training.recipe import Stage, TrainingRecipe, imitating

NORM_IMAGES: Final = 320
BATCH: Final = 32
SHARES: Final = ((0.47, 0.1), (0.68, 0.3), (1.0, 0.6))
"""Side of the pictures as a part of the network's, and the part of the time that is trained at it."""

SMALLEST_SIDE: Final = 75
"""Below twice this, pictures do not grow: there is little to save."""

MOST_EPOCHS: Final = 40
LOOKS: Final = (0.6, 0.8, 1.0)
"""Parts of the run after which it is looked at, and ended when nothing is left to win back."""


@dataclass(frozen=True)
class Tuned:
    """Top-1 percent on the tuning images: before, just pruned, with new statistics, recovered."""

    images: int
    dense_top1: float
    pruned_top1: float
    reestimated_top1: float | None
    recovered_top1: float | None


@dataclass(frozen=True)
class Recovery:
    """What was done to win back accuracy, and what came of it.

    Attributes:
        method: for people.
        images, steps: trained on; seconds: of training alone.
        batch_norm_images: that the statistics were taken anew with.
        why: said where nothing, or less than usual, was done.
    """

    method: str
    images: int
    steps: int
    seconds: float
    batch_norm_images: int
    tuning: Tuned | None
    why: str | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


NOTHING: Final = Recovery("none", 0, 0, 0.0, 0, None, "there are no images to train or to take statistics with")


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
                network(pictures)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
    return count


@dataclass(frozen=True)
class RecoverySettings:
    """How long, how fast, and from what seed."""

    minutes: float
    learning_rate: float
    seed: int
    enough_points: float = 0.0
    """Training ends early when the tuning images show a drop of no more than this."""


def recover(
    student: nn.Module,
    teacher: nn.Module,
    graph: ChannelGraph,
    keep: Keep,
    images: PruningImages,
    tuning: Tuning | None,
    preprocessing: Preprocessing,
    settings: RecoverySettings,
    folder: Path,
    on_tick: Callable[[Tick, float], None] = lambda tick, seconds_left: None,
) -> tuple[nn.Module, Recovery]:
    """Trains a pruned network towards its unpruned self.

    Args:
        student: the pruned network; its statistics are taken anew in place.
        tuning: images to look at the accuracy with, where there are any.
        folder: gets the plan, the checkpoint and the log; what is there is gone on with.
        on_tick: called with each line of the log, and the seconds that are left.
    Returns:
        the recovered network, and what was done.
    """
    clean = copy.deepcopy(student)
    for module in student.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # the teacher's answers are what is learned: nothing to guard against
    looked_from = time.monotonic()
    dense, before = (None if tuning is None else top1(each, tuning, preprocessing) for each in (teacher, student))
    look_seconds = (time.monotonic() - looked_from) / 2
    normed = reestimate(student, images, preprocessing)
    renewed = None if tuning is None else top1(student, tuning, preprocessing)
    guide = Distillation(teacher, student, graph, keep, images.labelled)
    recipe = kept(folder, lambda: _plan(student, guide, images, preprocessing, settings))
    began = time.monotonic()
    made, done, reached = student, 0, renewed
    for part in looks(look_seconds, 60 * settings.minutes):
        stop = max(1, round(recipe.steps * part))
        made = train(
            student,
            ordered(images.train, preprocessing),
            recipe,
            folder,
            preprocessing.mean,
            preprocessing.std,
            on_tick=lambda tick: on_tick(tick, _left(tick, recipe, time.monotonic() - began, 60 * settings.minutes)),
            workers=2,
            checkpoint_seconds=30.0,
            stop_after=stop,
            guide=guide,
        )
        done = stop
        if tuning is not None and dense is not None:
            reached = top1(made, tuning, preprocessing)
            if dense - reached <= settings.enough_points:
                break
    guide.close()
    clean.load_state_dict({key: value.cpu() for key, value in made.state_dict().items()})
    tuned: Tuned | None = None
    if tuning is not None and dense is not None and before is not None:
        tuned = Tuned(len(tuning), dense, before, renewed, reached)
    why = None if tuned is not None else "there are no labels to look at the accuracy with"
    method = "distillation with labels" if images.labelled else "distillation without labels"
    seconds = time.monotonic() - began
    return clean.eval(), Recovery(method, recipe.images_at(done), done, seconds, normed, tuned, why)


def looks(look_seconds: float, planned_seconds: float) -> list[float]:
    """Those of LOOKS that can save more time than they take, and the end."""
    return [part for part in LOOKS if part == 1.0 or (1 - part) * planned_seconds > look_seconds]


def _left(tick: Tick, recipe: TrainingRecipe, seconds: float, planned_seconds: float) -> float:
    """Seconds that the rest takes, if it goes on as it went; at first, as it was planned."""
    done, before = 0.0, 0
    shares = [share for _, share in SHARES] if len(recipe.stages) == len(SHARES) else [1.0]
    for stage, share in zip(recipe.stages, shares, strict=True):
        done += share * min(max(tick.step - before, 0), stage.steps) / stage.steps
        before += stage.steps
    whole = planned_seconds if done < TRUSTED else seconds / done
    return whole * (1 - done)


TRUSTED: Final = 0.05
"""Part of a run after which its own pace says more than the plan."""


def _plan(
    student: nn.Module,
    guide: Distillation,
    images: PruningImages,
    preprocessing: Preprocessing,
    settings: RecoverySettings,
) -> TrainingRecipe:
    """The training recipe that fits the minutes on this machine."""
    sides = _sides(student, preprocessing.size)
    batch = min(BATCH, max(2, images.train.count // 4))
    stages = []
    for side, share in sides:
        fits = settings.minutes * 60 * share * pace(student, guide, side, batch)
        count = min(fits, MOST_EPOCHS * images.train.count * share)
        stages.append(Stage(size=side, images=max(batch, int(count)), batch=batch))
    return imitating(
        "pruned",
        "pruning images",
        settings.seed,
        tuple(stages),
        optimizer="muon",
        learning_rate=settings.learning_rate,
        plain_learning_rate=settings.learning_rate / 10,
        weight_decay=0.1,
    )


def _sides(student: nn.Module, size: int) -> list[tuple[int, float]]:
    """Picture sides to train at and their shares of the time: growing ones, where the network takes smaller ones."""
    if size < 2 * SMALLEST_SIDE:
        return [(size, 1.0)]
    sides = [(max(SMALLEST_SIDE, round(size * part)), share) for part, share in SHARES]
    try:
        with torch.no_grad():
            student.eval()(torch.zeros(1, 3, sides[0][0], sides[0][0]))
    except RuntimeError:
        return [(size, 1.0)]
    return sides
