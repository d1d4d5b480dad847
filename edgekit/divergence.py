"""How far one network's answers are from another's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def divergence(wanted: NDArray[Any], made: NDArray[Any], activation: str = "softmax") -> NDArray[np.float64]:
    """(N,) Kullback-Leibler divergence of the probabilities that are made of `made` from those of `wanted`, nats.

    Args:
        wanted, made: answers, (N, classes), all of them finite.
        activation: what makes probabilities of them: "softmax", or "sigmoid", where those of all classes are added up.
    """
    if activation == "sigmoid":
        return sum((_between(_log_sigmoid(sign * wanted), _log_sigmoid(sign * made)) for sign in (1, -1)), np.zeros(1))
    return _between(_log_softmax(wanted), _log_softmax(made))


def _between(expected: NDArray[np.float64], told: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) of logarithms of probabilities."""
    out: NDArray[np.float64] = (np.exp(expected) * (expected - told)).sum(1)
    return out


def _log_softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    values = logits.astype(np.float64)
    shifted = values - values.max(1, keepdims=True)
    out: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return out


def _log_sigmoid(logits: NDArray[Any]) -> NDArray[np.float64]:
    out: NDArray[np.float64] = -np.logaddexp(0.0, -logits.astype(np.float64))
    return out
