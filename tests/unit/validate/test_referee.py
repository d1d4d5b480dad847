"""When two ways of computing a network are called the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.validate.activation import softmax
from edgekit.validate.referee import TOLERANCE, agreement


def logits(seed: int = 0, images: int = 12, classes: int = 7) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (images, classes)).astype(np.float32)


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_rounding_is_no_difference_at_any_scale(seed: int, scale: float) -> None:
    reference = logits(seed) * np.float32(scale)
    noise = np.random.default_rng(seed + 1).uniform(-1, 1, reference.shape) * np.ptp(reference) * TOLERANCE / 2
    assert agreement(reference, (reference + noise).astype(np.float32)).ok


def test_another_answer_is_a_difference() -> None:
    reference = logits()
    other = reference.copy()
    other[3] = np.roll(other[3], 1)
    found = agreement(reference, other)
    assert not found.ok
    assert found.agreement == pytest.approx(100 * 11 / 12)


def test_a_tie_is_none() -> None:
    reference = np.array([[1.0, 1.0 + 1e-4, -3.0]], np.float32)
    found = agreement(reference, np.array([[1.0 + 2e-4, 1.0, -3.0]], np.float32))
    assert found.ok
    assert found.agreement == 100


def test_the_same_answers_with_other_logits_are_a_difference() -> None:
    found = agreement(logits(), logits() * 1.1)
    assert (found.agreement, found.ok) == (100, False)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_is_no_number_is_a_difference(broken: float) -> None:
    other = logits()
    other[0, 0] = broken
    found = agreement(logits(), other)
    assert not found.ok
    assert found.max_difference == float("inf")


def test_another_count_of_classes_is_a_difference() -> None:
    assert not agreement(logits(), logits(classes=8)).ok


def test_answers_that_went_through_softmax_are_compared_with_logits() -> None:
    raw = logits() * 5  # so that some probabilities are lost in FP32
    probabilities = softmax(raw).astype(np.float32)
    assert agreement(probabilities, raw, "softmax").ok
    assert agreement(probabilities, raw + 3, "softmax").ok  # softmax does not see a shift
    assert not agreement(probabilities, raw * 1.05, "softmax").ok
    assert not agreement(probabilities, probabilities, "softmax").ok  # a softmax of a softmax


def test_answers_that_went_through_sigmoid_are_compared_with_logits() -> None:
    raw = logits() * 2
    probabilities = (1 / (1 + np.exp(-raw.astype(np.float64)))).astype(np.float32)
    assert agreement(probabilities, raw, "sigmoid").ok
    assert not agreement(probabilities, raw + 1, "sigmoid").ok
