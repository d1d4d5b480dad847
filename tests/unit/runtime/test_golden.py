"""What a bundle must keep on another machine, in answers."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.runtime.golden import compare

SURE = np.array([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])


def test_rounding_keeps_every_answer() -> None:
    found = compare(SURE, SURE + np.array([[0.3, -0.2, 0.1]]), "softmax")
    assert found.ok
    assert str(found).startswith("2 of 2 pictures have the answer that they had")


def test_another_answer_is_refused() -> None:
    found = compare(SURE, SURE[::-1], "softmax")
    assert not found.ok
    assert found.same == 0


def test_a_tie_may_go_either_way_and_a_probability_no_further() -> None:
    tied = np.array([[1.0, 1.05, -9.0]])
    assert compare(tied, np.array([[1.05, 1.0, -9.0]]), "softmax").ok
    assert not compare(tied, np.array([[2.0, 1.0, -9.0]]), "softmax").ok


def test_a_network_that_is_never_sure_is_held_to_its_own_measure() -> None:
    faint = np.random.default_rng(0).normal(0, 0.5, (4, 1000))
    assert compare(faint, faint + 0.01 * np.random.default_rng(1).normal(0, 1, faint.shape), "softmax").ok
    assert not compare(faint, faint[:, ::-1], "softmax").ok  # although every probability is below a hundredth


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_what_is_no_number_is_refused(activation: str) -> None:
    broken = SURE.copy()
    broken[0, 1] = np.nan
    assert not compare(SURE, broken, activation).ok


def test_sets_of_labels_are_compared_label_by_label() -> None:
    assert compare(SURE - 4, SURE - 4.1, "sigmoid").ok
    assert not compare(SURE - 4, SURE - np.array([[4.0, 4.0, -4.0]]), "sigmoid").ok


def test_vectors_keep_their_direction() -> None:
    assert compare(SURE, SURE * 3, "none").ok
    assert not compare(SURE, SURE + 2, "none").ok
