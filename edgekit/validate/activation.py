"""What makes probabilities of a network's answers: what the runtime applies, for many answers at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.runtime.activation import ACTIVATE

Floats = NDArray[np.float64]


def probabilities(logits: NDArray[Any], activation: str) -> Floats:
    """Probabilities (N, classes) of answers, by the name of the activation; rows that are not finite become NaN."""
    wide = np.where(np.isfinite(logits).all(1, keepdims=True), logits, np.nan).astype(np.float64)
    out: Floats = ACTIVATE[activation](wide)
    return out


def softmax(logits: NDArray[Any]) -> Floats:
    """The same of logits whose probabilities sum to 1."""
    return probabilities(logits, "softmax")
