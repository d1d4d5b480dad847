"""Builds against each other: paired on the images that both saw, else two samples; false alarms and planted drops."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.bundle.answers import Answers
from edgekit.validate.accuracy import paired_outcomes
from edgekit.validate.between_builds import Below, Sample, below, common, difference
from edgekit.validate.binomial import Z95
from edgekit.validate.sequential import one_sided, outcome


def answers_of(
    right: NDArray[np.bool_], names: range | None = None, baseline: NDArray[np.bool_] | None = None
) -> Answers:
    """Answers to pictures that are told apart by their numbers; label 0."""
    base = right if baseline is None else baseline
    hashes = b"".join(hashlib.sha256(str(each).encode()).digest()[:8] for each in names or range(len(base)))
    images = np.frombuffer(hashes, np.uint8).reshape(-1, 8)
    return Answers(images, np.zeros(len(base), np.int32), base, right)


@pytest.mark.parametrize(
    ("first", "other", "ends"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((6, 7), (2, 7), (0.0582, 0.8062)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
        ((0, 10), (0, 10), (-0.2775, 0.2775)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
        ((10, 10), (0, 10), (0.6075, 1.0)),
    ],
)
def test_the_interval_of_two_samples_as_published(
    first: tuple[int, int], other: tuple[int, int], ends: tuple[float, float]
) -> None:
    """Newcombe 1998, Statistics in Medicine 17, table II, method 10."""
    samples = [Sample(100 * right / count, count) for right, count in (first, other)]
    assert difference(*samples, Z95) == pytest.approx([100 * each for each in ends], abs=0.006)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 100))
def test_it_holds_the_difference_and_shrinks_with_more_images(one: int, two: int, times: int) -> None:
    first, other = Sample(one / 3, 300), Sample(two / 3, 300)
    low, high = difference(first, other)
    assert low <= first.percent - other.percent + 1e-9
    assert high >= first.percent - other.percent - 1e-9
    narrow = difference(first, other, Z95, times)
    assert narrow[1] - narrow[0] <= high - low + 1e-9


def test_a_figure_with_its_own_interval_keeps_it() -> None:
    first, other = Sample(71.0, 500, (69.0, 73.0)), Sample(70.0, 500, (67.0, 73.0))
    assert difference(first, other) == pytest.approx((1 - math.hypot(2, 3), 1 + math.hypot(2, 3)))
    found = below(first, other, None, "of no image")
    assert (found.outcome(1.5), found.outcome(20.0)) == ("undecided", "met")
    assert found.images_needed(2.0) == pytest.approx(500 * 13, abs=1)
    assert found.images_needed(1.0) is None


def test_a_planted_drop_of_two_points_is_found_on_a_thousand_paired_images() -> None:
    dice = np.random.Generator(np.random.PCG64(5))
    before = dice.random(1_000) < 0.93
    after = before.copy()
    after[dice.choice(before.nonzero()[0], 26, replace=False)] = False
    after[dice.choice((~before).nonzero()[0], 6, replace=False)] = True
    first, other = answers_of(before), answers_of(after)
    samples = [Sample(100 * float(each.chosen.mean()), 1_000) for each in (first, other)]
    found = below(*samples, common(first, other))
    assert found.drop == pytest.approx(2.0)
    assert found.paired is not None
    assert (found.paired.lost, found.paired.won, found.images) == (26, 6, 1_000)
    assert (found.outcome(0.5), found.outcome(1.2), found.outcome(4.0)) == ("missed", "undecided", "met")
    assert 1_000 < (found.images_needed(1.2) or 0) < 2_500
    unpaired = below(*samples, None, "no answers")
    assert unpaired.outcome(0.5) == "undecided"  # the same figures, of two samples
    assert (unpaired.images_needed(0.5) or 0) > 1_500


def test_only_images_that_both_saw_are_paired() -> None:
    right = np.ones(600, np.bool_)
    first = answers_of(right[:400], range(600), right)  # stopped after 400
    other = answers_of(np.zeros(500, np.bool_), range(100, 600))
    pairs = common(first, other)
    assert pairs.images == (400, 500)
    assert (len(pairs.before), pairs.why_not) == (300, None)
    assert pairs.before.all()
    assert not pairs.after.any()
    assert len(common(first, other, baseline=True).before) == 500


def test_few_common_images_and_other_labels_are_told() -> None:
    right = np.ones(400, np.bool_)
    first, far = answers_of(right), answers_of(right, range(300, 700))
    assert common(first, far).why_not == "100 of 400 images are in both builds"
    shifted = Answers(first.images, first.labels + 1, right, right)
    assert common(first, shifted).why_not == "0 of 400 images are in both builds, 400 more have other labels"
    found = below(Sample(100, 400), Sample(100, 400), common(first, far))
    assert found.paired is None
    assert found.why == "100 of 400 images are in both builds"


def test_an_image_that_is_there_twice_counts_once() -> None:
    right = np.array([True, False, True])
    images = np.zeros((3, 8), np.uint8)
    images[2] = 1
    twice = Answers(images, np.zeros(3, np.int32), right, right)
    pairs = common(twice, twice)
    assert pairs.images == (2, 2)
    assert pairs.before.tolist() == [True, True]


@pytest.mark.parametrize(("gate", "most"), [(0.0, 0.05), (0.5, 0.01)])
def test_equal_builds_raise_few_false_alarms(gate: float, most: float) -> None:
    """10,000 comparisons of two builds with the same truth on 2,400 paired images, 2 % of which one alone has right."""
    dice = np.random.Generator(np.random.PCG64(7))
    lost, won, _ = dice.multinomial(2_400, [0.01, 0.01, 0.98], 10_000).T
    told = [outcome(int(a), int(b), 2_400, gate, one_sided()) for a, b in zip(lost, won, strict=True)]
    assert told.count("missed") / 10_000 <= most + 3 * math.sqrt(most / 10_000)


def test_equal_samples_raise_few_false_alarms() -> None:
    dice = np.random.Generator(np.random.PCG64(8))
    rights = dice.binomial(1_000, 0.95, (2_000, 2))
    told = [below(Sample(a / 10, 1_000), Sample(b / 10, 1_000), None).outcome(0.0) for a, b in rights.tolist()]
    assert told.count("missed") / 2_000 <= 0.05 + 3 * math.sqrt(0.05 / 2_000)


def test_of_twenty_equal_builds_hardly_ever_two_are_taken_for_worse() -> None:
    """Each with other images lost and won, compared with the first at a gate of 0: all tests err in 5 % together."""
    dice, sets, alarms = np.random.Generator(np.random.PCG64(7)), 300, []
    for _ in range(sets):
        base = dice.random(1_000) < 0.96
        right = [np.where(dice.random(1_000) < 0.01, ~base, base) for _ in range(20)]
        told = [paired_outcomes(right[0], each) for each in right[1:]]
        found = [Below(each.drop, each.ci95, 1_000, paired=each).outcome(0.0, len(told)) for each in told]
        alarms.append(found.count("missed"))
    assert np.mean([count > 0 for count in alarms]) <= 0.12  # the first build is in all of them
    assert np.mean([count > 1 for count in alarms]) <= 0.05


def test_more_builds_ask_for_more_of_each() -> None:
    told = paired_outcomes(np.ones(400, bool), np.arange(400) >= 6)
    one = Below(told.drop, told.ci95, 400, paired=told)
    assert (one.outcome(0.2), one.outcome(0.2, 19)) == ("missed", "undecided")
