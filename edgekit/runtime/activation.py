"""What makes probabilities of a network's outputs."""

from typing import Callable, Dict

import numpy as np


def _softmax(outputs: np.ndarray) -> np.ndarray:
    weights = np.exp(outputs - outputs.max(-1, keepdims=True), dtype=np.float64)
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def _sigmoid(outputs: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(outputs), dtype=np.float64)  # of the size only, which cannot overflow
    return np.asarray(np.where(outputs < 0, small, 1.0) / (1.0 + small))


def _none(outputs: np.ndarray) -> np.ndarray:
    return outputs.astype(np.float64)


ACTIVATE: Dict[str, Callable[[np.ndarray], np.ndarray]] = {"softmax": _softmax, "sigmoid": _sigmoid, "none": _none}
"""What makes probabilities, float64, of outputs (..., classes), by the name that a manifest has for it."""
