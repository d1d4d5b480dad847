"""What makes probabilities of a network's outputs."""

from typing import Callable, Dict

import numpy as np


def _softmax(row: np.ndarray) -> np.ndarray:
    weights = np.exp(row - row.max(), dtype=np.float64)
    return np.asarray(weights / weights.sum())


def _sigmoid(row: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(row), dtype=np.float64)  # of the size only, which cannot overflow
    return np.asarray(np.where(row < 0, small, 1.0) / (1.0 + small))


def _none(row: np.ndarray) -> np.ndarray:
    return row.astype(np.float64)


ACTIVATE: Dict[str, Callable[[np.ndarray], np.ndarray]] = {"softmax": _softmax, "sigmoid": _sigmoid, "none": _none}
"""What makes probabilities (classes,), float64, of the outputs of one image, by the name that a manifest has for it."""
