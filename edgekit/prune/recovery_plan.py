"""What a recovery is planned as: sides of the pictures, and how many at each, by a number or by the time there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import nn

from edgekit.size import Size
from edgekit.training.checkpoint import Plan
from edgekit.training.distillation import DistillationLoss
from edgekit.training.pace import MARGIN, pace
from edgekit.training.recipe import Stage

BATCH: Final = 32
SHARES: Final = ((0.47, 0.1), (0.68, 0.3), (1.0, 0.6))
"""Sides of the pictures as a part of the network's, and the part of the time that is trained at it."""

SMALLEST_SIDE: Final = 75
"""Below twice this, pictures do not grow: there is little to save."""

MOST_EPOCHS: Final = 40


class RecoveryPlan(Plan):
    """The plan, and top-1 percent of the tuning images until then (None: there are none)."""

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
    return tuple(Stage(size=each, images=count * batch, batch=batch) for (each, _), count in pairs if count)


def fitting(
    student: nn.Module,
    guide: DistillationLoss,
    size: Size,
    available: int,
    seconds_left: Callable[[], float],
    channels: int = 3,
) -> tuple[tuple[Stage, ...], tuple[float, ...]]:
    """Stages that fit into the time at the pace of this machine, and the seconds that a step of each takes.

    Args:
        size, available: as for `counted`; seconds_left: asked when the pace is known, which takes time too.
    """
    batch = _batch(available)
    sizes = sizes_of(student, size, channels)
    paces = [pace(student, guide, each, batch, channels) for each, _ in sizes]
    seconds = max(0.0, MARGIN * seconds_left())
    stages = []
    for (each, share), images_per_second in zip(sizes, paces, strict=True):
        count = min(seconds * share * images_per_second, MOST_EPOCHS * available * share)
        stages.append(Stage(size=each, images=max(batch, int(count)), batch=batch))
    return tuple(stages), tuple(batch / each for each in paces)


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
