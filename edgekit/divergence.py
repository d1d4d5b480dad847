"""How far one network's answers are from another's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def divergence(wanted: NDArray[Any], made: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) Kullback-Leibler divergence of softmax(made) from softmax(wanted), nats; both are logits, (N, classes)."""
    expected, told = _log_softmax(wanted), _log_softmax(made)
    out: NDArray[np.float64] = (np.exp(expected) * (expected - told)).sum(1)
    return out


def _log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    values = logits.astype(np.float64)
    shifted = values - values.max(1, keepdims=True)
    out: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return out
