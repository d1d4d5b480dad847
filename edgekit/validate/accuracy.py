"""Accuracy and its statistics: intervals for one network, paired ones for the drop between two."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.validate.binomial import Z95, at_most, wilson
from edgekit.validate.blocks import blocks
from edgekit.validate.sequential import one_sided, outcome

ERROR: Final = 0.05
"""Of a decision."""

MOST_IMAGES: Final = 10_000_000
"""More than this many images are called none at all: nobody labels them."""

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Accuracy:
    """Percent right with the first and with the first five answers; ci95 is Wilson's interval of top-1."""

    top1: float
    top5: float
    images: int
    ci95: tuple[float, float]


@dataclass(frozen=True)
class PairedDrop:
    """Points of top-1 lost from one network to another on the same images (negative: gained).

    Attributes:
        ci95: Bonett and Price's adjusted interval of a difference of paired proportions (2012).
        p_value: McNemar's test, exact and two-sided.
        lost, won: images that only the first, only the second had right; images: of both together.
        counted: whether it is of images that are right or wrong; another metric has no lost and won ones, and its
            interval and p-value come of resampling.
    """

    drop: float
    ci95: tuple[float, float]
    p_value: float
    lost: int
    won: int
    images: int
    counted: bool = True


@dataclass(frozen=True)
class Agreement:
    """How many of some images two networks answer alike; ci95 is Wilson's interval of the percentage."""

    agreeing: int
    images: int

    @property
    def percent(self) -> float:
        """Of the images."""
        return 100 * self.agreeing / self.images

    @property
    def ci95(self) -> tuple[float, float]:
        """Percent."""
        return wilson(self.agreeing, self.images)

    def decided(self, least: float) -> bool:
        """Whether the percentage is known to be at least so much, or less, by exact one-sided tests of 5 %."""
        if least <= 0:
            return True
        share, missing = least / 100, self.images - self.agreeing
        more = at_most(missing, self.images, 1 - share)  # so many agree, were the share just what is wanted
        return more <= ERROR or at_most(self.agreeing, self.images, share) <= ERROR


def first_right(logits: Logits, labels: Labels) -> NDArray[np.bool_]:
    """(N,) whether the first answer is the label. Outputs that are not finite are never right."""
    right: NDArray[np.bool_] = (logits.argmax(1) == labels) & np.isfinite(logits).all(1)
    return right


def accuracy(logits: Logits, labels: Labels) -> Accuracy:
    """Top-1 and top-5 of (N, C) logits, N at least 1; with fewer than five classes top-5 takes as many as there are.

    Of equal logits the earlier class comes first.
    """
    among = sum(int(_among_first(logits[part], labels[part], 5).sum()) for part in blocks(logits.shape))
    right, count = int(first_right(logits, labels).sum()), len(labels)
    return Accuracy(100 * right / count, 100 * among / count, count, wilson(right, count))


def _among_first(logits: Logits, labels: Labels, most: int) -> NDArray[np.bool_]:
    """(N,) whether the label is among so many first answers: fewer than that come before it."""
    classes = np.arange(logits.shape[1])
    there = (labels >= 0) & (labels < len(classes)) & np.isfinite(logits).all(1)
    own = logits[np.arange(len(labels)), np.where(there, labels, 0)][:, None]
    before = (logits > own) | ((logits == own) & (classes < labels[:, None]))
    found: NDArray[np.bool_] = there & (before.sum(1) < most)
    return found


def paired_drop(base: Logits, other: Logits, labels: Labels) -> PairedDrop:
    """The drop of top-1 from `base` to `other`, both (N, C) on the same images."""
    return paired_outcomes(first_right(base, labels), first_right(other, labels))


def paired_outcomes(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> PairedDrop:
    """The drop between two networks, from (N,) which images each had right."""
    lost, won, count = int((before & ~after).sum()), int((~before & after).sum()), len(before)
    return PairedDrop(100 * (lost - won) / count, drop_interval(lost, won, count), mcnemar(lost, won), lost, won, count)


def drop_interval(lost: float, won: float, images: float) -> tuple[float, float]:
    """Bonett and Price's 95 % interval of the paired drop, in points; counts may be fractions of an image."""
    share_lost, share_won = (lost + 1) / (images + 2), (won + 1) / (images + 2)
    middle = share_lost - share_won
    half = Z95 * math.sqrt((share_lost + share_won - middle * middle) / (images + 2))
    return 100 * max(-1.0, middle - half), 100 * min(1.0, middle + half)


def decides(drop: PairedDrop, budget: float) -> bool:
    """Whether a drop is known to be within a budget, or beyond it, by a one-sided test of 5 % that looks once.

    Of images that are right or wrong by the test of edgekit.validate.sequential; of another metric by its interval.
    Both in points.
    """
    if not drop.counted:
        return drop.ci95[1] < budget or drop.ci95[0] > budget
    return outcome(drop.lost, drop.won, drop.images, budget, one_sided()) != "undecided"


def images_needed(drop: PairedDrop, budget: float, critical: float | None = None) -> int | None:
    """The fewest images that would decide, were the rates to stay.

    With the rates l = lost / images and w = won / images, it is the smallest n for which l n lost and w n won of n
    images pass the test of `decides`. The score grows with the root of n, so that n is found by halving. The rates are
    themselves estimates, and so is what comes of them.

    Args:
        budget: points of top-1.
        critical: what the test must reach; by default that of `decides`.
    Returns:
        None where no number would do, since the drop is the budget, or none up to MOST_IMAGES.
    """
    if not drop.counted:
        return _images_by_width(drop, budget)
    lost, won, bound = drop.lost / drop.images, drop.won / drop.images, critical or one_sided()
    return fewest(lambda images: outcome(lost * images, won * images, images, budget, bound) != "undecided")


def fewest(enough: Callable[[int], bool]) -> int | None:
    """The least number of images that is enough, where every greater one is too; None above MOST_IMAGES."""
    if not enough(MOST_IMAGES):
        return None
    too_few, found = 0, MOST_IMAGES
    while found - too_few > 1:
        middle = (too_few + found) // 2
        too_few, found = (too_few, middle) if enough(middle) else (middle, found)
    return found


def _images_by_width(drop: PairedDrop, budget: float) -> int | None:
    """The same of an interval that is only known to shrink with the root of the number of images."""
    half, away = (drop.ci95[1] - drop.ci95[0]) / 2, abs(drop.drop - budget)
    needed = drop.images * (half / away) ** 2 if away > 0 else math.inf
    return max(1, math.ceil(needed)) if needed <= MOST_IMAGES else None


def mcnemar(lost: int, won: int) -> float:
    """Exact two-sided p-value that as many are lost as won, of a fair coin thrown lost + won times."""
    thrown, tail, ways = lost + won, 0, 1
    for k in range(min(lost, won) + 1):
        tail += ways
        ways = ways * (thrown - k) // (k + 1)  # of k + 1 of them
    return min(1.0, 2 * tail / (1 << thrown))
