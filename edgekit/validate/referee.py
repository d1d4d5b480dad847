"""Whether two ways of computing a network give the same answers: the statistics of the referee."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.validate.activation import softmax

TOLERANCE: Final = 0.005
"""Of the range of the reference's logits: two right FP32 runtimes stay far below (1e-5 and less), half precision does
not always.
"""

NARROW_TOLERANCE: Final = 0.03
"""The same where the reference computes in 16 bits."""

ROUNDING: Final = 1e-5
"""Of the largest logit: what FP32 loses where logits are large and hardly differ."""

LEAST_PROBABILITY: Final = 1e-6
"""Of a network that ends in softmax, probabilities below this one are lost in FP32 and are not compared."""

SUM: Final = 1e-3
"""How far probabilities in FP32, or in 16 bits, may add up to something else than 1."""

Answers = NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """How two ways of computing the same network agree on the same pictures.

    Attributes:
        agreement: percent of the pictures with the same first answer; those where the reference's own two answers are
            no further apart than the tolerance are ties, and agree.
        max_difference: largest difference of logits; tolerance: what is allowed of it.
    """

    images: int
    agreement: float
    max_difference: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether all answers agree, and the logits within the tolerance."""
        return self.agreement == 100 and self.max_difference <= self.tolerance


def agreement(reference: Answers, other: Answers, inside: str = "none", narrow: bool = False) -> Agreement:
    """Compares two sets of answers, float32 (N, C).

    Args:
        inside: the activation that the reference's answers have gone through already, and the other's have not:
            "softmax", "sigmoid" or "none".
        narrow: whether the reference computes in fewer than 32 bits, and so is no better than that itself.
    """
    if reference.shape != other.shape:
        return Agreement(len(reference), 0.0, float("inf"), 0.0)
    ours, theirs, counted = _comparable(reference, other, inside)
    finite = np.isfinite(ours) & np.isfinite(theirs)
    counted &= np.isfinite(ours)
    spread = float(np.ptp(ours[counted])) if counted.any() else 0.0
    largest = float(np.abs(ours[counted]).max(initial=0.0))
    tolerance = max((NARROW_TOLERANCE if narrow else TOLERANCE) * spread, ROUNDING * largest)
    apart = np.subtract(ours, theirs, out=np.zeros_like(ours), where=finite)
    worst = np.where(counted, np.where(finite, np.abs(apart), np.inf), 0)
    return Agreement(len(ours), _same_answer(ours, theirs, tolerance), float(worst.max(initial=0.0)), tolerance)


def looks_like(answers: Answers) -> str | None:
    """What kind of probabilities answers (N, C) to pictures seem to be: "softmax" where each row adds up to 1,
    "sigmoid" where all only lie between 0 and 1; None for others.
    """
    if not np.isfinite(answers).all() or answers.min() < 0 or answers.max() > 1:
        return None
    sums = answers.astype(np.float64).sum(1)
    return "softmax" if answers.shape[1] > 1 and np.abs(sums - 1).max() < SUM else "sigmoid"


def _comparable(
    reference: Answers, other: Answers, inside: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Both as logits of the same kind, and which of them mean something."""
    ours, theirs = reference.astype(np.float64), other.astype(np.float64)
    if inside == "none":
        return ours, theirs, np.ones(ours.shape, bool)
    if inside == "softmax":
        significant = ours > LEAST_PROBABILITY
        return np.log(np.maximum(ours, 1e-30)), np.log(np.maximum(softmax(other), 1e-30)), significant
    inner = np.clip(ours, 1e-30, 1 - 1e-16)
    significant = (ours > LEAST_PROBABILITY) & (ours < 1 - LEAST_PROBABILITY)
    return np.log(inner / (1 - inner)), theirs, significant


def _same_answer(ours: NDArray[np.float64], theirs: NDArray[np.float64], tolerance: float) -> float:
    """Percent of the rows with the same first answer, ties of `ours` aside; what is not finite is no answer."""
    own, finite = np.isfinite(ours).all(1), np.isfinite(theirs).all(1)
    first, second = (np.where(np.isfinite(each), each, -np.inf).argmax(1) for each in (ours, theirs))
    rows = np.arange(len(ours))
    with np.errstate(invalid="ignore"):  # infinities less infinities, of rows that are not finite
        tied = ours[rows, first] - ours[rows, second] <= tolerance
    return 100 * float(np.mean(np.where(own & finite, (first == second) | tied, own == finite)))
