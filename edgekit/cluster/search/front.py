"""Which points no other one beats, how sure that is, and how much of the plane they cover."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.validate.accuracy import paired_outcomes

LOST, SLOWER = 10.0, 1.5
"""Points of top-1 below FP32, and times the reference's latency: what is worse than that covers nothing."""


@dataclass(frozen=True)
class Point:
    """A network as it was measured.

    Attributes:
        number: of its trial.
        right: bool (N,), which images it had right; the same images, in the same order, of all points.
        ratio: its latency as a part of the reference's; ratio_ci95: the interval of that.
    """

    number: int
    right: NDArray[np.bool_]
    ratio: float
    ratio_ci95: tuple[float, float]
    size_bytes: int

    @property
    def top1(self) -> float:
        """Percent."""
        return 100 * float(self.right.mean())


@dataclass(frozen=True)
class OnFront:
    """A point that stays, and the one that beats it by its figures, though not by their intervals."""

    number: int
    beaten_by: int | None

    @property
    def undecided(self) -> bool:
        """Whether it is beaten by figures that could as well be the other way round."""
        return self.beaten_by is not None


def beats(one: Point, other: Point) -> bool:
    """Whether one is at least as good in all and better in something, by the figures."""
    pairs = ((other.top1, one.top1), (one.ratio, other.ratio), (one.size_bytes, other.size_bytes))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def surely_beats(one: Point, other: Point) -> bool:
    """The same, with the intervals of latency apart and the paired interval of the drop above zero."""
    if not beats(one, other) or one.ratio_ci95[1] >= other.ratio_ci95[0]:
        return False
    return paired_outcomes(one.right, other.right).ci95[0] > 0


def front(points: Sequence[Point]) -> list[OnFront]:
    """The points that none beats, the fastest first; then those which are beaten, but surely by none."""
    found = list[OnFront]()
    doubtful = list[tuple[float, OnFront]]()
    for each in sorted(points, key=lambda point: (point.ratio, point.number)):
        better = [other for other in points if other is not each and beats(other, each)]
        if not better:
            found.append(OnFront(each.number, None))
        elif not any(surely_beats(other, each) for other in better):
            by = max(better, key=lambda other: (other.top1, -other.ratio))
            doubtful.append((by.top1 - each.top1, OnFront(each.number, by.number)))
    return [*found, *(each for _, each in sorted(doubtful, key=lambda pair: (pair[0], pair[1].number)))]


def corner(fp32_top1: float) -> tuple[float, float]:
    """The corner that the plane is counted from: the same for all searches of a model and its images."""
    return max(0.0, fp32_top1 - LOST), SLOWER


def hypervolume(points: Iterable[tuple[float, float]], reference: tuple[float, float]) -> float:
    """How much of the plane is covered by what is no better than one of the points: of (top-1, latency ratio), where
    more of the first and less of the second is better; in percent times ratio.

    Args:
        reference: the corner that it is counted from; points beyond it cover nothing.
    """
    least, most = reference
    inside = sorted((ratio, top1) for top1, ratio in points if top1 > least and ratio < most)
    best, total = least, 0.0
    for place, (ratio, top1) in enumerate(inside):
        best = max(best, top1)
        until = inside[place + 1][0] if place + 1 < len(inside) else most
        total += (best - least) * (until - ratio)
    return total


def most_first(found: Sequence[OnFront], points: Sequence[Point], reference: tuple[float, float]) -> list[OnFront]:
    """A front with those first that cover most of the plane together: the next one is always that which adds most.

    So the first few are what one would take: neither the fastest, which answers wrongly, nor the most accurate, which
    takes as long as before. Undecided ones stay at the end.

    Args:
        points: those of the front, and maybe others; reference: the corner that is counted from.
    """
    by_number = {each.number: (each.top1, each.ratio) for each in points}
    left, chosen = [each for each in found if not each.undecided], list[OnFront]()
    while left:
        taken = [by_number[each.number] for each in chosen]
        more = [hypervolume([*taken, by_number[each.number]], reference) for each in left]
        chosen.append(left.pop(more.index(max(more))))
    return [*chosen, *(each for each in found if each.undecided)]
