"""What compression changed: the classes that lost or won images, and the images whose first answer changed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.validate.accuracy import Labels, Logits, first_right
from edgekit.validate.activation import probabilities
from edgekit.validate.blocks import blocks
from edgekit.validate.chance import NO_ANSWER, first_answers

MOST_FLIPS: Final = 12
MOST_CLASSES: Final = 20

Outcome = Literal["lost", "won", "other"]


@dataclass(frozen=True)
class Flip:
    """An image whose first answer changed.

    Attributes:
        index: row of the logits.
        label: its class; None without labels.
        before, after: the answers (class ids); None where outputs were not finite, which is no answer.
        before_probability, after_probability: what each network gave its own answer, 0 to 1; None with no answer.
        outcome: lost (right before, wrong after), won (the other way about), or other, as all are without labels.
    """

    index: int
    label: int | None
    before: int | None
    after: int | None
    before_probability: float | None
    after_probability: float | None
    outcome: Outcome


@dataclass(frozen=True)
class Flips:
    """How many first answers changed, how many of them were lost and won, and those worth showing."""

    changed: int
    lost: int
    won: int
    shown: tuple[Flip, ...]


@dataclass(frozen=True)
class ClassChange:
    """A class: its images, how many were right before and after, and how many were lost and won between."""

    label: int
    images: int
    right_before: int
    right_after: int
    lost: int
    won: int


@dataclass(frozen=True)
class ClassChanges:
    """The classes that changed most, and how many other classes changed."""

    shown: tuple[ClassChange, ...]
    left_out: int


def flips(
    base: Logits, other: Logits, labels: Labels | None, activation: str = "softmax", most: int = MOST_FLIPS
) -> Flips:
    """Images whose first answer differs between two networks, both (N, C) on the same images.

    Shown are at most `most`: first the lost ones, of each kind those first that the base was surest of.
    """
    before, after = first_answers(base), first_answers(other)
    changed = np.flatnonzero(before != after)
    sure, sure_after = (_first_probabilities(each, changed, activation) for each in (base, other))
    lost, won = np.zeros(len(base), bool), np.zeros(len(base), bool)
    if labels is not None:
        right, right_after = first_right(base, labels), first_right(other, labels)
        lost, won = right & ~right_after, ~right & right_after

    def flip(index: int) -> Flip:
        return Flip(
            index,
            None if labels is None else int(labels[index]),
            None if before[index] == NO_ANSWER else int(before[index]),
            None if after[index] == NO_ANSWER else int(after[index]),
            None if math.isnan(sure[index]) else sure[index],
            None if math.isnan(sure_after[index]) else sure_after[index],
            "lost" if lost[index] else "won" if won[index] else "other",
        )

    def first(index: int) -> tuple[bool, float, int]:
        return not lost[index], -(0.0 if math.isnan(sure[index]) else sure[index]), index

    order = sorted(changed.tolist(), key=first)
    return Flips(len(changed), int(lost.sum()), int(won.sum()), tuple(flip(index) for index in order[:most]))


def _first_probabilities(logits: Logits, rows: NDArray[np.int64], activation: str) -> dict[int, float]:
    """What the first answers of some rows are given, by row."""
    found: dict[int, float] = {}
    for part in blocks((len(rows), logits.shape[1])):
        here = rows[part]
        found.update(zip(here.tolist(), first_probability(logits[here], activation).tolist(), strict=True))
    return found


def class_changes(base: Logits, other: Logits, labels: Labels, most: int = MOST_CLASSES) -> ClassChanges:
    """Classes that lost or won images, by net loss, then by loss; at most `most`."""
    before, after = first_right(base, labels), first_right(other, labels)
    size = int(labels.max()) + 1
    counts = [
        np.bincount(labels[where], minlength=size)
        for where in (slice(None), before, after, before & ~after, ~before & after)
    ]
    found = [ClassChange(label, *(int(each[label]) for each in counts)) for label in range(size)]
    changed = [each for each in found if each.lost or each.won]
    changed.sort(key=lambda each: (each.won - each.lost, -each.lost, each.label))
    return ClassChanges(tuple(changed[:most]), max(0, len(changed) - most))


def first_probability(logits: Logits, activation: str = "softmax") -> NDArray[np.float64]:
    """(N,) what the first answer is given, 0 to 1; NaN where outputs are not finite, or are no probabilities.

    Args:
        activation: what makes probabilities of the logits, see edgekit.validate.activation.
    """
    found: NDArray[np.float64] = probabilities(logits, activation).max(1, initial=-np.inf)
    out: NDArray[np.float64] = np.where((found >= 0) & (found <= 1 + 1e-6), np.minimum(found, 1.0), np.nan)
    return out
