"""Statistics of networks whose outputs are vectors that are compared by cosine: faces, products, places.

Two questions are asked of labelled pictures. Is the nearest other picture one of the same class? And can one cosine
tell pairs of the same class from pairs of different classes?

Definitions:
    threshold: two pictures are taken for the same class where their cosine is at least this. By default it is FP32's at
        1 % false accepts: the smallest 32-bit number with which at most 1 % of FP32's pairs of different classes are
        accepted. Every variant is judged at that same number, as an app that keeps its threshold would.
    false accepts: of the pairs of different classes, those at or above the threshold, percent.
    false rejects: of the pairs of the same class, those below it, percent.

A vector of zeros, or with a number that is not finite, points nowhere: its picture is never right, is nobody's
neighbour, and its pairs are below every threshold, as a comparison in an app would have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.validate.accuracy import Labels, PairedDrop, paired_outcomes
from edgekit.validate.binomial import wilson

Vectors = NDArray[np.float32]
"""(N, D), a vector of each picture; of any length but zero."""
Right = NDArray[np.bool_]
Indices = NDArray[np.int64]

FALSE_ACCEPTS: Final = 0.01
"""Share of pairs of different classes that the default threshold accepts at most."""
MOST_PAIRS: Final = 5_000_000
"""Pairs that are looked at; of more a sample is drawn, half of it of each kind where there are as many."""
SEED: Final = 0

_NOWHERE: Final = -2.0
"""Stands for the cosine with a vector that points nowhere: below every cosine that there is."""
_CELLS: Final = 1 << 24
"""Numbers of a block of work, 64 MB."""


@dataclass(frozen=True)
class CosineScore:
    """Cosines between a variant's vectors and FP32's of the same pictures: their mean and 1st percentile."""

    mean: float
    p1: float


@dataclass(frozen=True)
class PairScore:
    """How well cosines tell pairs of the same class from others.

    Attributes:
        threshold: that the next two are counted at; a cosine.
        roc_auc: share of (same, different) couples of pairs where the same has the greater cosine, ties half: 0 to 1.
        false_accept, false_reject: percent, at the threshold.
        same, different: pairs that were looked at; of: pairs that there are of both kinds.
    """

    threshold: float
    roc_auc: float
    false_accept: float
    false_reject: float
    same: int
    different: int
    of: int


@dataclass(frozen=True)
class EmbeddingScore:
    """What a network's vectors are worth on labelled pictures.

    Attributes:
        top1: percent of pictures whose nearest other picture, by cosine, is of their class (leave one out).
        images: pictures that this was asked of; ci95: Wilson's interval of top1, percent.
        unscored: labels of classes with one picture, of which this cannot be asked; it stays a neighbour of others.
    """

    top1: float
    images: int
    ci95: tuple[float, float]
    cosine: CosineScore
    pairs: PairScore
    unscored: tuple[int, ...]


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows, of the same class and of different ones; `of`: how many there are in all."""

    same: tuple[Indices, Indices]
    different: tuple[Indices, Indices]
    of: int


@dataclass(frozen=True)
class Reference:
    """FP32's vectors, and what every variant is compared with: made once by `reference`."""

    vectors: Vectors
    labels: Labels
    right: Right
    pairs: Pairs
    threshold: float

    def score(self, made: Vectors) -> tuple[EmbeddingScore, PairedDrop]:
        """A variant's vectors of the same pictures, (N, D), and the drop of its nearest-neighbour top-1."""
        right = self.right if made is self.vectors else nearest_right(made, self.labels)
        asked = scored(self.labels)
        drop = paired_outcomes(self.right[asked], right[asked])
        hits, images = int(right[asked].sum()), int(asked.sum())
        return (
            EmbeddingScore(
                top1=100 * hits / images,
                images=images,
                ci95=wilson(hits, images),
                cosine=cosine_score(self.vectors, made),
                pairs=_pair_score(made, self.pairs, self.threshold),
                unscored=tuple(int(each) for each in np.unique(self.labels[~asked])),
            ),
            drop,
        )


def reference(base: Vectors, labels: Labels, threshold: float | None = None) -> Reference:
    """What variants are compared with.

    Args:
        base: FP32's vectors, (N, D).
        labels: (N,) classes.
        threshold: cosine from which two pictures are one class; by default FP32's at 1 % false accepts.
    Raises:
        InputError: there are fewer than two classes, or no class has two pictures.
    """
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2:
        raise InputError(
            f"the pictures have {len(counts)} class{'' if len(counts) == 1 else 'es'}",
            "Vectors are judged by pictures of at least two classes.",
        )
    if counts.max() < 2:
        raise InputError(
            f"each of the {len(counts)} classes has one picture",
            "Vectors are judged by classes of two or more pictures.",
        )
    pairs = choose_pairs(labels)
    if threshold is None:
        threshold = threshold_at(cosines(base, pairs.different), FALSE_ACCEPTS)
    return Reference(base, labels, nearest_right(base, labels), pairs, threshold)


def unit_rows(vectors: Vectors) -> tuple[Vectors, Right]:
    """Vectors of length 1, float32, and (N,) which rows have a direction; the others become zeros."""
    sound = np.asarray(np.isfinite(vectors).all(1))
    unit = np.where(sound[:, None], vectors, 0).astype(np.float32)
    largest = np.maximum(unit.max(1, initial=0), -unit.min(1, initial=0))
    sound &= largest > 0
    unit /= np.where(sound, largest, 1)[:, None]  # so that squares of tiny and of huge numbers stay in range
    lengths = np.sqrt(np.einsum("ij,ij->i", unit, unit, dtype=np.float64))
    unit /= np.where(sound, lengths, 1)[:, None].astype(np.float32)
    return unit, sound


def scored(labels: Labels) -> Right:
    """(N,) which pictures have another one of their class, so that their nearest neighbour can be right."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    asked: Right = counts[inverse] > 1
    return asked


def nearest(vectors: Vectors) -> Indices:
    """(N,) row of the nearest other vector by cosine, of equally near ones the first; -1 where there is none.

    It works in blocks: 50,000 vectors of 512 numbers take some 300 MB.
    """
    unit, sound = unit_rows(vectors)
    found = np.full(len(unit), -1, np.int64)
    step = max(1, _CELLS // max(1, len(unit)))
    for first in range(0, len(unit), step):
        rows = np.arange(first, min(first + step, len(unit)))
        near = unit[rows] @ unit.T
        near[:, ~sound] = _NOWHERE
        near[np.arange(len(rows)), rows] = _NOWHERE
        best = near.argmax(1)
        found[rows] = np.where(sound[rows] & (near[np.arange(len(rows)), best] > _NOWHERE), best, -1)
    return found


def nearest_right(vectors: Vectors, labels: Labels) -> Right:
    """(N,) whether the nearest other picture by cosine is of the same class."""
    found = nearest(vectors)
    right: Right = (found >= 0) & (labels[found] == labels)
    return right


def cosine_score(base: Vectors, made: Vectors) -> CosineScore:
    """How near a variant's vectors are to FP32's, both (N, D); 0 where one of the two points nowhere."""
    if made is base:
        return CosineScore(1.0, 1.0)
    found = np.einsum("ij,ij->i", unit_rows(base)[0], unit_rows(made)[0], dtype=np.float64).clip(-1, 1)
    return CosineScore(float(found.mean()), float(np.percentile(found, 1)))


def choose_pairs(labels: Labels, most: int = MOST_PAIRS, seed: int = SEED) -> Pairs:
    """All pairs of pictures, or where they are more than `most`, at most half as many of each kind.

    A kind of more pairs than that is drawn from with equal chances, and with replacement.
    """
    order = np.argsort(labels, kind="stable").astype(np.int64)
    place = np.arange(len(order), dtype=np.int64)  # in that order classes lie together, each from `start` to `end`
    _, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    start, size = (np.repeat(each.astype(np.int64), sizes) for each in (first, sizes))
    end = start + size
    of = len(order) * (len(order) - 1) // 2
    limit = most if of <= most else most // 2
    dice = np.random.Generator(np.random.PCG64(seed))
    if int((end - place - 1).sum()) <= limit:
        same = _all_pairs(place + 1, end - place - 1)
    else:
        one, number = _draws(size - 1, limit, dice)
        same = one, start[one] + number + (start[one] + number >= one)  # leaves itself out
    if int((len(order) - end).sum()) <= limit:
        different = _all_pairs(end, len(order) - end)
    else:
        one, number = _draws(len(order) - size, limit, dice)
        different = one, number + np.where(number >= start[one], size[one], 0)  # leaves its class out
    return Pairs((order[same[0]], order[same[1]]), (order[different[0]], order[different[1]]), of)


def _all_pairs(after: Indices, counts: Indices) -> tuple[Indices, Indices]:
    """Every place with each of the `counts` places from `after` on."""
    one = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts)
    return one, after[one] + number


def _draws(partners: Indices, count: int, dice: np.random.Generator) -> tuple[Indices, Indices]:
    """Places, each as likely as it has partners, and the number of one of those partners."""
    ends = np.cumsum(partners)
    one = np.searchsorted(ends, dice.integers(0, ends[-1], count), side="right")
    return one, dice.integers(0, partners[one])


def cosines(vectors: Vectors, pairs: tuple[Indices, Indices]) -> Vectors:
    """(P,) cosine of each pair of rows."""
    unit, sound = unit_rows(vectors)
    step = max(1, _CELLS // (4 * max(1, unit.shape[1])))
    found = np.empty(len(pairs[0]), np.float32)
    for at in range(0, len(found), step):
        first, second = (each[at : at + step] for each in pairs)
        near = np.einsum("ij,ij->i", unit[first], unit[second])
        found[at : at + step] = np.where(sound[first] & sound[second], near, _NOWHERE)
    return found


def threshold_at(different: Vectors, share: float) -> float:
    """The smallest 32-bit number that at most a share of these cosines reach, -1 at least."""
    allowed = int(share * len(different))
    above = np.partition(different, len(different) - 1 - allowed)[len(different) - 1 - allowed]
    return max(-1.0, float(np.nextafter(np.float32(above), np.float32(np.inf))))


def roc_auc(same: Vectors, different: Vectors) -> float:
    """Area under the ROC curve, exactly, by ranks: how often the same is greater than the different, ties half."""
    ordered = np.sort(different)
    below = np.searchsorted(ordered, same, side="left").sum(dtype=np.int64)
    not_above = np.searchsorted(ordered, same, side="right").sum(dtype=np.int64)
    return float(int(below) + int(not_above)) / (2 * len(same) * len(different))


def _pair_score(vectors: Vectors, pairs: Pairs, threshold: float) -> PairScore:
    same, different = cosines(vectors, pairs.same), cosines(vectors, pairs.different)
    at = np.float32(threshold)
    return PairScore(
        threshold=threshold,
        roc_auc=roc_auc(same, different),
        false_accept=100 * float(np.mean(different >= at)),
        false_reject=100 * float(np.mean(same < at)),
        same=len(same),
        different=len(different),
        of=pairs.of,
    )
