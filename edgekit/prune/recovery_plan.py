"""What a recovery is planned as: sides of the pictures, and how many at each, by a number or by the time there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from edgekit.size import Size
from edgekit.training.checkpoint import Plan
from edgekit.training.distillation import DistillationLoss
from edgekit.training.echo import Echo
from edgekit.training.pace import MARGIN, timed
from edgekit.training.recipe import Stage

BATCH: Final = 32
SHARES: Final = ((0.47, 0.1), (0.68, 0.3), (1.0, 0.6))
"""Sides of the pictures as a part of the network's, and the part of the time that is trained at it."""

SMALLEST_SIDE: Final = 75
"""Below twice this, pictures do not grow: there is little to save."""

MOST_EPOCHS: Final = 40

ECHO: Final = 4
"""How often a picture that is drawn is trained on."""

BESIDE: Final = 0.8
"""What is left of the pace beside drawing a part of the pictures, and the optimiser's own step."""


@dataclass(frozen=True)
class Fitted:
    """Stages that fit into the time, the seconds of a step of each, and of each picture drawn beyond a step's share."""

    stages: tuple[Stage, ...]
    step_seconds: tuple[float, ...]
    fresh_seconds: tuple[float, ...]


class RecoveryPlan(Plan):
    """The plan, and top-1 percent of the tuning images until then (None: there are none).

    Attributes:
        parts: of a batch that go through side by side.
    """

    parts: int = 1

    dense_top1: float | None = None
    pruned_top1: float | None = None
    reestimated_top1: float | None = None


def counted(student: nn.Module, size: Size, available: int, images: int, channels: int = 3) -> tuple[Stage, ...]:
    """Stages of `images` pictures in all, rounded to whole steps: the same on every machine.

    They share the time as SHARES say if a picture takes as long as its area is large.

    Args:
        size: the network's; available: different pictures to train on.
    """
    batch = _batch(available)
    sizes = sizes_of(student, size, channels)
    steps = max(1, round(images / batch))
    weights = [share / (height * width) for (height, width), share in sizes]
    wanted = [steps * weight / sum(weights) for weight in weights]
    made = [int(each) for each in wanted]
    by_rest = sorted(range(len(sizes)), key=lambda place: (made[place] - wanted[place], -place))
    for place in by_rest[: steps - sum(made)]:
        made[place] += 1
    pairs = zip(sizes, made, strict=True)
    return tuple(_stage(each, count * batch, batch) for (each, _), count in pairs if count)


def fitting(
    student: nn.Module,
    guide: DistillationLoss,
    size: Size,
    available: int,
    seconds_left: Callable[[], float],
    channels: int = 3,
    parts: int = 1,
) -> Fitted:
    """Stages that fit into the time at the pace of this machine.

    Args:
        size, available: as for `counted`; seconds_left: asked when the pace is known, which takes time too.
        parts: of a batch that go through side by side.
    """
    batch = _batch(available)
    sizes = sizes_of(student, size, channels)
    paces = [timed(student, guide, each, batch, channels, parts) for each, _ in sizes]
    seconds = max(0.0, MARGIN * seconds_left())
    stages, step_seconds = [], []
    for (each, share), pace in zip(sizes, paces, strict=True):
        drawn = Echo(_stage(each, batch, batch)).fresh
        step_seconds.append((pace.learning_seconds + drawn * pace.teaching_seconds) / BESIDE)
        count = min(seconds * share * batch / step_seconds[-1], MOST_EPOCHS * available * share)
        stages.append(_stage(each, max(batch, int(count)), batch))
    return Fitted(tuple(stages), tuple(step_seconds), tuple(pace.teaching_seconds / BESIDE for pace in paces))


def _stage(size: Size, images: int, batch: int) -> Stage:
    return Stage(size=size, images=images, batch=batch, echo=min(ECHO, batch))


def sizes_of(student: nn.Module, size: Size, channels: int = 3) -> list[tuple[Size, float]]:
    """Picture sizes to train at and their shares of the time: growing ones, where the network takes smaller ones."""
    if min(size) < 2 * SMALLEST_SIDE:
        return [(size, 1.0)]
    sizes = [((_part(size[0], part), _part(size[1], part)), share) for part, share in SHARES]
    try:
        with torch.no_grad():
            student.eval()(torch.zeros(1, channels, *sizes[0][0]))
    except Exception:  # whatever a user's network does with pictures of another size
        return [(size, 1.0)]
    return sizes


def _part(side: int, part: float) -> int:
    return max(SMALLEST_SIDE, round(side * part))


def _batch(available: int) -> int:
    return min(BATCH, max(2, available // 4))
