"""Whether a network's answers have anything to do with the labels: compared with the same labels shuffled."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

SHUFFLES: Final = 2_000
"""The smallest p-value is one over so many and one."""

DOUBTFUL: Final = 0.01
"""From this p-value on, answers are called no better than chance."""

ENOUGH: Final = 100
"""With as many images of two classes or more, a network that is no better than chance is refused."""

NO_ANSWER: Final = -1
"""No label is this one."""

AT_ONCE: Final = 4_000_000
"""Shuffled labels that are held in memory at once."""

Counter: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.int64]]
"""How many are right with the labels taken in an order, (..., N)."""

Labels: TypeAlias = NDArray[np.int64] | NDArray[np.bool_]
"""(N,) the class of each image, or (N, C) which labels each has."""


@dataclass(frozen=True)
class Chance:
    """How often the first answer is right, and how often it would be by chance.

    Attributes:
        top1: percent; expected: the same with shuffled labels, on average.
        p_value: the share of shuffles with at least as many right, of a permutation test.
        images, classes: that were looked at; classes are those that images are of.
        testable: whether answers that are all right could be told from chance with these images.
    """

    top1: float
    expected: float
    p_value: float
    images: int
    classes: int
    testable: bool

    @property
    def doubtful(self) -> bool:
        """Whether shuffled labels do as well; of images of one class nothing is said."""
        return self.p_value > DOUBTFUL and self.classes > 1 and (self.testable or self.top1 <= self.expected)

    @property
    def refused(self) -> bool:
        """Whether there are enough images to hold that against the network or the labels."""
        return self.doubtful and self.images >= ENOUGH

    @property
    def said(self) -> str:
        """What was found of a network, in words that follow its name."""
        how = "is no better than chance" if self.top1 <= self.expected else "cannot be told from chance"
        return (
            f"{how}: {self.top1:.1f} % top-1 on {self.images} images of {self.classes} classes; with shuffled"
            f" labels it is {self.expected:.1f} % (p = {self.p_value:.2g})"
        )


def first_answers(answers: NDArray[np.floating]) -> NDArray[np.int64]:
    """(N,) the first answer of each row of (N, C); NO_ANSWER where an output is not finite."""
    first: NDArray[np.int64] = np.where(np.isfinite(answers).all(1), answers.argmax(1), NO_ANSWER).astype(np.int64)
    return first


def near_chance(answers: NDArray[np.floating], labels: Labels) -> Chance:
    """How a network's answers, (N, C), fare beside shuffled labels; N is at least 1. The seed is fixed."""
    return of_first(first_answers(answers), labels)


def of_first(first: NDArray[np.int64], labels: Labels) -> Chance:
    """The same of first answers (N,), -1 where there is none."""
    images = len(first)
    if labels.ndim == 2:
        classes = int(labels.any(0).sum())
        inside = (first >= 0) & (first < labels.shape[1])
        right_of = np.where(inside, first, 0)

        def count(order: NDArray[np.int64]) -> NDArray[np.int64]:
            made: NDArray[np.int64] = (labels[order, right_of] & inside).sum(-1)
            return made
    else:
        classes = len(np.unique(labels))

        def count(order: NDArray[np.int64]) -> NDArray[np.int64]:
            made: NDArray[np.int64] = (labels[order] == first).sum(-1)
            return made

    right = int(count(np.arange(images)))
    shuffled = _shuffled(images, count)
    return Chance(
        100 * right / images,
        100 * float(shuffled.mean()) / images,
        (1 + int((shuffled >= right).sum())) / (1 + SHUFFLES),
        images,
        classes,
        _testable(labels),
    )


def _testable(labels: Labels) -> bool:
    """Whether at most DOUBTFUL of all orders of the labels are the one they are in."""
    counts = np.unique(labels, axis=0, return_counts=True)[1]
    orders = math.lgamma(len(labels) + 1) - sum(math.lgamma(count + 1) for count in counts)
    return orders >= -math.log(DOUBTFUL)


def _shuffled(images: int, count: Counter) -> NDArray[np.int64]:
    """(SHUFFLES,) how many are right with the images in another order."""
    dice, block = np.random.Generator(np.random.PCG64(0)), max(1, AT_ONCE // images)
    found = []
    for begin in range(0, SHUFFLES, block):
        orders = np.tile(np.arange(images), (min(block, SHUFFLES - begin), 1))
        found.append(count(dice.permuted(orders, axis=1)))
    return np.concatenate(found)
