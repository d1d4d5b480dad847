"""Statistics of networks that give every picture a set of labels.

Definitions:
    average precision of a class: pictures by score, the best first, pictures of equal score together; the mean over the
        class's pictures of the precision down to there. Nothing is interpolated.
    macro average precision: the mean of that over the classes that a picture has; the others are counted.
    F1 at a threshold: a label is given where its probability is at least this. Macro: the mean over the same classes of
        2 TP / (2 TP + FP + FN); micro: that of the sums over all classes.
    interval: of 2,000 resamples of the pictures, with a seed and the same for every variant, the middle 95 %. A class
        that no picture of a resample has is left out of its mean, for both variants.

A picture for which a network gives numbers that are not finite is as wrong as it can be: the labels that it has come
last, and those that it has not come first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.recipe import Activation
from edgekit.validate.accuracy import Logits, PairedDrop
from edgekit.validate.activation import probabilities
from edgekit.validate.question import THRESHOLD

LabelSets = NDArray[np.bool_]
"""(N, C), which picture has which label."""
Scores = NDArray[np.float64]
Counts = NDArray[np.int32]

RESAMPLES: Final = 2_000
SEED: Final = 0

_CELLS: Final = 1 << 17
"""Numbers of a block of work, resamples times pictures: what fits the caches of a core."""


@dataclass(frozen=True)
class MultilabelScore:
    """What a network's label sets are worth.

    Attributes:
        map: macro average precision, percent; ci95: its interval over resampled pictures, percent.
        f1, f1_micro: macro and micro F1 at the threshold, percent.
        threshold: probability from which a label is given.
        classes_without_positive: columns that no picture has: they are in no mean.
    """

    map: float
    ci95: tuple[float, float]
    f1: float
    f1_micro: float
    images: int
    threshold: float
    classes_without_positive: tuple[int, ...]


def score_multilabel(
    base: Logits,
    made: Logits,
    label_sets: LabelSets,
    threshold: float | None = None,
    activation: Activation = "sigmoid",
) -> tuple[MultilabelScore, PairedDrop]:
    """A variant's outputs `made` against FP32's `base`, both (N, C) for the same pictures.

    Args:
        label_sets: (N, C) which labels each picture has.
        threshold: probability from which a label is given; by default 0.5.
        activation: what makes probabilities of the outputs; "none" where they are probabilities.
    Returns:
        its score, and the drop of macro average precision in points with its interval and two-sided p-value, both by
        resampling; `lost` and `won` are 0, for no picture is right or wrong.
    Raises:
        InputError: outputs and labels have other shapes, or no class has a picture.
    """
    labels = np.asarray(label_sets, np.bool_)
    if base.shape != labels.shape or made.shape != labels.shape:
        raise InputError(
            f"the network has {made.shape[1]} outputs, and the labels are of {labels.shape[1]} classes",
            "Give label sets of as many classes as the network has outputs.",
        )
    known = np.flatnonzero(labels.any(0))
    if not known.size:
        raise InputError("no picture has a label", "Average precision wants pictures of at least one class.")
    limit = THRESHOLD if threshold is None else threshold
    ranks, given = _prepared(made, labels, activation, limit)
    variants = [ranks] if made is base else [_prepared(base, labels, activation, limit)[0], ranks]
    points = [100 * macro_average_precision(each, labels) for each in variants]
    resampled = resampled_macro_ap([each[:, known] for each in variants], labels[:, known])
    macro, micro = f1(given, labels)
    score = MultilabelScore(
        map=points[-1],
        ci95=_middle(100 * resampled[-1]),
        f1=100 * macro,
        f1_micro=100 * micro,
        images=len(labels),
        threshold=limit,
        classes_without_positive=tuple(int(each) for each in np.flatnonzero(~labels.any(0))),
    )
    drops = 100 * (resampled[0] - resampled[-1])
    return score, PairedDrop(points[0] - points[-1], _middle(drops), two_sided(drops), 0, 0, len(labels), False)


def _prepared(outputs: Logits, labels: LabelSets, activation: Activation, threshold: float) -> tuple[Scores, LabelSets]:
    """What pictures are ordered by, (N, C), and the labels that are given them."""
    likely = probabilities(outputs, activation)
    lost = ~np.isfinite(outputs).all(1, keepdims=True)
    given = np.where(lost, ~labels, likely >= threshold)
    # The sigmoid keeps the order, but rounds what is nearly sure to the same 1: its outputs are ordered themselves.
    order = outputs.astype(np.float64) if activation == "sigmoid" else likely
    return np.where(lost, np.where(labels, -np.inf, np.inf), order), given


def average_precision(scores: Scores, positive: LabelSets) -> float:
    """Of one class: scores (N,) and which pictures have it, at least one."""
    whole = np.ones((1, len(scores)), np.int32)
    return float(_weighted_ap(_Ranking.of(scores, positive), whole)[0])


def macro_average_precision(scores: Scores, labels: LabelSets) -> float:
    """The mean over the classes that a picture has, 0 to 1; both (N, C)."""
    found = [average_precision(scores[:, each], labels[:, each]) for each in np.flatnonzero(labels.any(0))]
    return float(np.mean(found))


def f1(given: LabelSets, labels: LabelSets) -> tuple[float, float]:
    """Macro F1 over the classes that a picture has, and micro F1 over all, 0 to 1; both (N, C)."""
    right, wrong = (given & labels).sum(0), (given ^ labels).sum(0)
    known = labels.any(0)
    of_classes = 2 * right[known] / (2 * right[known] + wrong[known])
    return float(of_classes.mean()), float(2 * right.sum() / (2 * right.sum() + wrong.sum()))


@dataclass(frozen=True)
class _Ranking:
    """Pictures by the score of a class, the best first: which have it, and where those of the same score end."""

    order: NDArray[np.intp]
    positive: NDArray[np.intp]
    ends: NDArray[np.intp]

    @classmethod
    def of(cls, scores: Scores, positive: LabelSets) -> _Ranking:
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
        places = np.flatnonzero(positive[order])
        return cls(order, places, last[np.searchsorted(last, places)])


def _weighted_ap(ranking: _Ranking, weights: Counts) -> Scores:
    """Average precision in each of B resamples, NaN where none of the class is in one; weights (B, N): how often each
    picture is.
    """
    ranked = weights[:, ranking.order]
    hits = ranked[:, ranking.positive]
    above = np.cumsum(ranked, axis=1, dtype=np.int32)[:, ranking.ends]
    # Of the pictures of the class, those down to the same end: the sum up to the last place that has this end.
    last = np.searchsorted(ranking.ends, ranking.ends, side="right") - 1
    found = np.cumsum(hits, axis=1, dtype=np.int32)[:, last]
    total = hits.sum(1)
    precision = np.where(hits > 0, found / np.maximum(above, 1), 0)
    means: Scores = np.where(total > 0, (hits * precision).sum(1) / np.maximum(total, 1), np.nan)
    return means


def resampled_macro_ap(
    variants: Sequence[Scores], labels: LabelSets, resamples: int = RESAMPLES, seed: int = SEED
) -> list[Scores]:
    """Macro average precision, 0 to 1, of each variant in the same resamples of the pictures: (resamples,) each, NaN
    where a resample has no picture with a label.

    Args:
        variants: scores, (N, C) each.
        labels: (N, C), no class without a picture.
    """
    rankings = [[_Ranking.of(each[:, c], labels[:, c]) for c in range(labels.shape[1])] for each in variants]
    made: list[list[Scores]] = [[] for _ in variants]
    for weights in _resamples(len(labels), resamples, seed):
        for place, ranked in enumerate(rankings):
            made[place].append(_mean_of_known(np.stack([_weighted_ap(each, weights) for each in ranked])))
    return [np.concatenate(each) for each in made]


def _mean_of_known(values: Scores) -> Scores:
    """The mean over the first axis of what is not NaN; NaN where all is."""
    known = ~np.isnan(values)
    count = known.sum(0)
    means: Scores = np.where(count > 0, np.where(known, values, 0).sum(0) / np.maximum(count, 1), np.nan)
    return means


def _resamples(images: int, resamples: int, seed: int) -> Iterator[Counts]:
    """How often each picture is in each resample, (B, N) at a time."""
    dice = np.random.Generator(np.random.PCG64(seed))
    step = max(1, _CELLS // images)
    for first in range(0, resamples, step):
        rows = min(step, resamples - first)
        drawn = dice.integers(0, images, (rows, images)) + images * np.arange(rows)[:, None]
        counted = np.bincount(drawn.ravel(), minlength=rows * images)
        yield counted.reshape(rows, images).astype(np.int32)


def _middle(values: Scores) -> tuple[float, float]:
    """The ends of the middle 95 %."""
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return float(low), float(high)


def two_sided(drops: Scores) -> float:
    """How often resamples fall on the rarer side of no drop at all, doubled; never 0, for resamples are few."""
    told = drops[~np.isnan(drops)]
    rarer = min(int((told <= 0).sum()), int((told >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(told) + 1))
