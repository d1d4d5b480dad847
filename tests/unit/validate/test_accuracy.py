"""Accuracy and its statistics, against counting by hand and by brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.validate.accuracy import (
    Agreement,
    PairedDrop,
    accuracy,
    decides,
    drop_interval,
    images_needed,
    mcnemar,
    paired_drop,
)
from edgekit.validate.binomial import wilson
from edgekit.validate.fidelity import fidelity


def logits_of(answers: list[int], classes: int = 6) -> np.ndarray:
    out = np.zeros((len(answers), classes), np.float32)
    out[np.arange(len(answers)), answers] = 1
    return out


def test_top1_and_top5_by_hand() -> None:
    logits = np.array([[5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 4, 5]], np.float32)
    told = accuracy(logits, np.array([0, 0]))
    assert (told.top1, told.top5, told.images) == (50.0, 50.0, 2)
    assert accuracy(logits, np.array([4, 1])).top5 == 100.0


def test_outputs_that_are_not_finite_are_never_right() -> None:
    logits = np.array([[np.nan, 0, 0], [1, 0, 0]], np.float32)
    assert accuracy(logits, np.array([0, 0])).top1 == 50.0


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_is_the_fair_coin(lost: int, won: int) -> None:
    thrown = lost + won
    at_least = abs(lost - won)
    extreme = sum(math.comb(thrown, k) for k in range(thrown + 1) if abs(thrown - 2 * k) >= at_least)
    assert mcnemar(lost, won) == pytest.approx(extreme / 2**thrown if thrown else 1.0)


@given(st.integers(0, 400), st.integers(1, 400))
def test_wilson_holds_the_share_and_is_symmetric(right: int, count: int) -> None:
    right = min(right, count)
    low, high = wilson(right, count)
    assert 0 <= low <= 100 * right / count + 1e-9
    assert 100 * right / count - 1e-9 <= high <= 100
    mirrored = wilson(count - right, count)
    assert (low, high) == pytest.approx((100 - mirrored[1], 100 - mirrored[0]))


def test_wilson_by_the_book() -> None:
    assert wilson(81, 263) == pytest.approx((25.53, 36.62), abs=0.01)  # Newcombe 1998, table I, method 3


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_the_drop_is_paired(pairs: list[tuple[bool, bool]]) -> None:
    labels = np.zeros(len(pairs), np.int64)
    before, after = (logits_of([0 if p[side] else 1 for p in pairs]) for side in (0, 1))
    told = paired_drop(before, after, labels)
    assert told.drop == pytest.approx(accuracy(before, labels).top1 - accuracy(after, labels).top1)
    assert told.ci95[0] <= told.drop <= told.ci95[1]
    back = paired_drop(after, before, labels)
    assert (back.lost, back.won, back.p_value) == (told.won, told.lost, told.p_value)
    assert back.ci95 == pytest.approx((-told.ci95[1], -told.ci95[0]))


def test_the_paired_interval_covers() -> None:
    """Of 400 experiments with a true drop of 2 points, about 95 % have it in their interval."""
    dice = np.random.Generator(np.random.PCG64(1))
    labels, held = np.zeros(500, np.int64), 0
    for _ in range(400):
        draw = dice.random(500)
        before = logits_of(np.where(draw < 0.05, 1, 0).tolist())  # 5 % lost before, 7 % after, 2 % won back
        after = logits_of(np.where((draw < 0.03) | (draw > 0.96), 1, 0).tolist())
        low, high = paired_drop(before, after, labels).ci95
        held += low <= 2.0 <= high
    assert 0.91 <= held / 400 <= 0.99


def test_fidelity_of_the_same_and_of_others() -> None:
    dice = np.random.Generator(np.random.PCG64(0))
    logits = dice.normal(size=(50, 7)).astype(np.float32)
    same = fidelity(logits, logits)
    assert (same.agreement, same.kl) == (100.0, 0.0)
    assert same.cosine == pytest.approx(1.0)
    near, far = (fidelity(logits, logits + dice.normal(0, s, logits.shape).astype(np.float32)) for s in (0.01, 1.0))
    assert near.kl < far.kl
    assert near.cosine > far.cosine
    assert near.agreement >= far.agreement


def test_kl_by_hand() -> None:
    a, b = np.log(np.array([[0.5, 0.5]])), np.log(np.array([[0.25, 0.75]]))
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert fidelity(a.astype(np.float32), b.astype(np.float32)).kl == pytest.approx(expected, rel=1e-5)


def test_the_interval_of_a_drop_by_hand() -> None:
    """10 lost and 4 won of 200: shares 11/202 and 5/202."""
    assert drop_interval(10, 4, 200) == pytest.approx((-0.8891, 6.8297), abs=1e-4)
    assert drop_interval(0, 0, 10) == pytest.approx((-23.0984, 23.0984), abs=1e-4)
    assert drop_interval(0, 3, 3)[0] == -100.0, "no drop is beyond all"


def test_labels_that_are_no_class_and_outputs_that_are_no_numbers_are_among_no_answers() -> None:
    logits = np.array([[3.0, 2.0, 1.0]] * 5, np.float32)
    logits[3, 2] = np.inf
    labels = np.array([-1, 3, 1, 1, 0])
    found = accuracy(logits, labels)
    assert (found.top1, found.top5) == (20.0, 40.0)
    one = accuracy(np.array([[1.0, np.nan, 0.0]], np.float32), np.array([0]))
    assert (one.top1, one.top5) == (0.0, 0.0)


def drop_of_vectors(drop: float, low: float, high: float) -> PairedDrop:
    """Of another metric than images that are right or wrong."""
    return PairedDrop(drop, (low, high), 0.5, 0, 0, 400, counted=False)


def test_a_drop_of_another_metric_is_decided_by_its_interval() -> None:
    assert decides(drop_of_vectors(0.2, 0.0, 0.9), 1.0)
    assert decides(drop_of_vectors(2.0, 1.1, 3.0), 1.0)
    for low, high in ((0.5, 1.5), (0.5, 1.0), (1.0, 2.0)):
        assert not decides(drop_of_vectors(0.8, low, high), 1.0)


def test_images_that_would_decide_another_metric_grow_with_the_square_of_its_interval() -> None:
    assert images_needed(drop_of_vectors(0.5, 0.0, 1.0), 1.0) == 400
    assert images_needed(drop_of_vectors(0.5, -0.5, 1.5), 1.0) == 1_600
    assert images_needed(drop_of_vectors(1.6, 0.6, 2.6), 1.0) == 1_112
    assert images_needed(drop_of_vectors(1.0, 0.0, 2.0), 1.0) is None
    assert images_needed(drop_of_vectors(1.001, 0.0, 2.002), 1.0) is None, "more than anybody labels"
    assert images_needed(drop_of_vectors(0.0, 0.0, 0.0), 1.0) == 1, "the same outputs: resampling varies nothing"


def test_an_agreement_is_decided_by_exact_tests() -> None:
    """0.97^100 is 4.76 %, 0.98^100 13.3 %; with a share of 0.97 at most 94 of 100 agree in 8.1 %, 93 in 3.1 %."""
    assert Agreement(100, 100).decided(97.0)
    assert not Agreement(100, 100).decided(98.0)
    assert not Agreement(94, 100).decided(97.0)
    assert Agreement(93, 100).decided(97.0)
    assert Agreement(0, 1).decided(0.0)
    assert Agreement(0, 1).decided(-1.0)
    assert not Agreement(1, 2).decided(50.0)


def test_few_classes() -> None:
    for classes in (2, 3):
        every = list(itertools.product(range(classes), repeat=2))
        logits = logits_of([answer for answer, _ in every], classes)
        assert accuracy(logits, np.array([label for _, label in every])).top5 == 100.0
