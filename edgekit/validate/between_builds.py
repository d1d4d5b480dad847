"""How far the accuracy of one build is below another's: paired on the images that both saw, or of two samples.

Paired, it is the drop of edgekit.validate.accuracy with its tests. Of two samples the interval is put together from
those of both (Newcombe 1998, method 10, where they are Wilson's; Zou and Donner 2008 for any others); what is assumed
then is that the samples have nothing to do with each other. Of the same images that only makes it wider. Decisions are
made by method 11, whose intervals are corrected for counts, since the other errs in up to 8 % where it should in 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgekit.bundle.answers import Answers
from edgekit.validate.accuracy import (
    MOST_IMAGES,
    PairedDrop,
    fewest,
    images_needed,
    paired_outcomes,
)
from edgekit.validate.binomial import Z95, wilson, wilson_corrected
from edgekit.validate.sequential import Outcome, one_sided, outcome

ERROR: Final = 0.05
"""Of all tests of a comparison together."""

LEAST_SHARE: Final = 0.5
"""Of the images of the smaller evaluation that both must have seen: of fewer, both samples tell more than the pairs."""


@dataclass(frozen=True)
class Common:
    """The images that two builds saw, and which each had right.

    Attributes:
        images: of the first build, of the other one, each once.
        relabelled: images in both that have another label in each; they are not among the pairs.
        before, after: bool (n,) of the pairs, of the first build and of the other.
    """

    images: tuple[int, int]
    relabelled: int
    before: NDArray[np.bool_]
    after: NDArray[np.bool_]

    @property
    def why_not(self) -> str | None:
        """Why the images are not paired; None where they are."""
        of, pairs = min(self.images), len(self.before)
        if pairs >= LEAST_SHARE * of:
            return None
        labels = f", {self.relabelled:,} more have other labels" if self.relabelled else ""
        return f"{pairs:,} of {of:,} images are in both builds{labels}"


def common(first: Answers, other: Answers, baseline: bool = False) -> Common:
    """The images that two builds have both seen, by content; one that a build saw twice counts once.

    Args:
        baseline: whether FP32 of both is asked for, not what is in the bundles.
    """
    before, after = (each.baseline if baseline else each.chosen for each in (first, other))
    keys, other_keys = _keys(first, len(before)), _keys(other, len(after))
    _, here, there = np.intersect1d(keys, other_keys, return_indices=True)
    same = first.labels[here] == other.labels[there]
    here, there = here[same], there[same]
    sizes = (len(np.unique(keys)), len(np.unique(other_keys)))
    return Common(sizes, int((~same).sum()), before[here], after[there])


def _keys(answers: Answers, count: int) -> NDArray[np.uint64]:
    return np.ascontiguousarray(answers.images[:count]).view(np.uint64).ravel()


ShareInterval: TypeAlias = Callable[[float, float, float], tuple[float, float]]
"""Ends of the interval of a share, percent: of how many of how many, with z."""


@dataclass(frozen=True)
class Sample:
    """Accuracy of one build.

    Attributes:
        percent: of `images`.
        ci95: None of a share of the images, whose interval is Wilson's.
    """

    percent: float
    images: int
    ci95: tuple[float, float] | None = None

    def ends(self, z: float, times: float = 1.0, interval: ShareInterval = wilson) -> tuple[float, float]:
        """Its interval, percent, with so many times the images; one that was given is of 95 % and as it is."""
        count = times * self.images
        return interval(self.percent * count / 100, count, z) if self.ci95 is None else self.ci95


@dataclass(frozen=True)
class Below:
    """Points of accuracy that a build is below the first one (negative: above).

    Attributes:
        paired: None where no images were paired, and `why` says why.
        samples: of the first build and of the other, where they were not.
    """

    drop: float
    ci95: tuple[float, float]
    images: int
    paired: PairedDrop | None = None
    samples: tuple[Sample, Sample] | None = None
    why: str | None = None

    def outcome(self, budget: float, builds: int = 1) -> Outcome:
        """Whether it is known to be at most so many points, by a one-sided test that looks once.

        Args:
            builds: that are tested beside each other: all their tests together err in 5 % (Bonferroni).
        """
        critical = one_sided(1 - ERROR / builds)
        if self.paired is not None:
            return outcome(self.paired.lost, self.paired.won, self.images, budget, critical)
        assert self.samples is not None
        return _outcome(difference(*self.samples, critical, interval=wilson_corrected), budget)

    def images_needed(self, budget: float, builds: int = 1) -> int | None:
        """The fewest images, of each build, that would decide were the rates to stay; None where none would."""
        critical = one_sided(1 - ERROR / builds)
        if self.paired is not None:
            return images_needed(self.paired, budget, critical)
        assert self.samples is not None
        return _of_each(*self.samples, budget, critical)


def below(first: Sample, other: Sample, pairs: Common | None, why: str | None = None) -> Below:
    """How far `other` is below `first`.

    Args:
        pairs: the images that both saw, where that is known; why: why it is not.
    """
    if pairs is not None and pairs.why_not is None:
        found = paired_outcomes(pairs.before, pairs.after)
        return Below(found.drop, found.ci95, found.images, paired=found)
    why = why if pairs is None else pairs.why_not
    ends = difference(first, other, Z95)
    return Below(
        first.percent - other.percent, ends, min(first.images, other.images), samples=(first, other), why=why
    )  # fmt: skip


def difference(
    first: Sample, other: Sample, z: float = Z95, times: float = 1.0, interval: ShareInterval = wilson
) -> tuple[float, float]:
    """Interval of `first` less `other`, points; `times`: as if each had so many times its images."""
    (low, high), (other_low, other_high) = first.ends(z, times, interval), other.ends(z, times, interval)
    drop = first.percent - other.percent
    under = math.hypot(first.percent - low, other_high - other.percent)
    over = math.hypot(high - first.percent, other.percent - other_low)
    return max(-100.0, drop - under), min(100.0, drop + over)


def _outcome(ends: tuple[float, float], budget: float) -> Outcome:
    return "met" if ends[1] <= budget else "missed" if ends[0] > budget else "undecided"


def _of_each(first: Sample, other: Sample, budget: float, critical: float) -> int | None:
    smaller = min(first.images, other.images)
    if first.ci95 is not None or other.ci95 is not None:
        low, high = difference(first, other)
        half, away = (high - low) / 2, abs(first.percent - other.percent - budget)
        needed = smaller * (half / away) ** 2 if away > 0 else math.inf
        return math.ceil(needed) if needed <= MOST_IMAGES else None

    def enough(images: int) -> bool:
        ends = difference(first, other, critical, images / smaller, wilson_corrected)
        return _outcome(ends, budget) != "undecided"

    return fewest(enough)
