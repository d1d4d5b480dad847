"""What makes probabilities of a network's answers, applied once, and in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def softmax(logits: NDArray[Any]) -> Floats:
    """Probabilities (N, classes) of logits that sum to 1; rows that are not finite become NaN."""
    wide = _finite(logits)
    powers = np.exp(wide - wide.max(1, keepdims=True))
    out: Floats = powers / powers.sum(1, keepdims=True)
    return out


def sigmoid(logits: NDArray[Any]) -> Floats:
    """Probabilities (N, classes), of each class by itself; rows that are not finite become NaN."""
    wide = _finite(logits)
    smaller = np.exp(-np.abs(wide))
    out: Floats = np.where(wide >= 0, 1.0, smaller) / (1.0 + smaller)
    return out


def unchanged(logits: NDArray[Any]) -> Floats:
    """The answers as they come; rows that are not finite become NaN."""
    return _finite(logits)


ACTIVATIONS: Final[Mapping[str, Callable[[NDArray[Any]], Floats]]] = MappingProxyType(
    {"softmax": softmax, "sigmoid": sigmoid, "none": unchanged}
)
"""By the names that recipes and manifests have for them."""


def probabilities(logits: NDArray[Any], activation: str) -> Floats:
    """Probabilities (N, classes) of answers, by the name of the activation."""
    return ACTIVATIONS[activation](logits)


def _finite(logits: NDArray[Any]) -> Floats:
    out: Floats = np.where(np.isfinite(logits).all(1, keepdims=True), logits, np.nan).astype(np.float64)
    return out
