"""Statistics at their ends: one image, all right, nothing finite, ties, zeros with a sign, and very many of all."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom

from edgekit.validate.accuracy import (
    Agreement,
    accuracy,
    decides,
    images_needed,
    mcnemar,
    paired_drop,
    paired_outcomes,
)
from edgekit.validate.arithmetic import arithmetic
from edgekit.validate.between_builds import Below, Sample, below, difference
from edgekit.validate.binomial import at_most, exactly, wilson, wilson_corrected
from edgekit.validate.blocks import CELLS, blocks
from edgekit.validate.chance import near_chance, of_first
from edgekit.validate.embedding import cosine_score, roc_auc, threshold_at
from edgekit.validate.fidelity import cosines, fidelity
from edgekit.validate.flips import flips
from edgekit.validate.multilabel import score_multilabel
from edgekit.validate.quantiles import bounds, distribution
from edgekit.validate.question import Question
from edgekit.validate.referee import agreement
from edgekit.validate.tasks import judge

VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.0000001, -1.0, 1e30, -1e30, 1e-40, np.inf, -np.inf, np.nan])


@st.composite
def answered(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(st.tuples(st.integers(1, 8), st.integers(1, 7)))
    labels = arrays(np.int64, shape[0], elements=st.integers(-1, shape[1]))
    return draw(arrays(np.float32, shape, elements=VALUES)), draw(labels)


@given(answered())
def test_top5_is_what_sorting_gives(given: tuple[np.ndarray, np.ndarray]) -> None:
    """Of equal ones, and 0 and -0 are equal, the earlier class comes first; a label that is none is never right."""
    logits, labels = given
    finite = np.isfinite(logits).all(1)
    order = np.argsort(-np.where(np.isfinite(logits), logits, 0), axis=1, kind="stable")[:, :5]
    told = accuracy(logits, labels)
    assert told.top5 == pytest.approx(100 * ((order == labels[:, None]).any(1) & finite).mean())
    assert told.top1 == pytest.approx(100 * ((order[:, 0] == labels) & finite).mean())
    assert told.top1 <= told.top5


@given(answered(), st.sampled_from(["softmax", "sigmoid", "none"]))
def test_no_figure_of_two_networks_is_not_a_number(given: tuple[np.ndarray, np.ndarray], activation: str) -> None:
    logits, _ = given
    other = logits[::-1].copy()
    told = fidelity(logits, other, activation)
    unlike = ~(np.isfinite(logits).all(1) & np.isfinite(other).all(1))
    assert told.not_finite == unlike.sum()
    assert 0 <= told.agreement <= 100
    assert -1 <= told.cosine <= 1
    assert (told.kl is None) == (activation == "none" or unlike.all())
    assert told.kl is None or 0 <= told.kl < math.inf
    assert (told.why(len(logits)) is None) == (not unlike.any())
    exact = arithmetic("one", "other", logits, other)
    assert 0 <= exact.same <= 100
    assert -1 <= exact.least_cosine <= exact.cosine + 1e-12 <= 1 + 1e-9


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_told_and_are_no_answer(odd: float) -> None:
    base = np.random.Generator(np.random.PCG64(0)).normal(size=(8, 5)).astype(np.float32)
    made = base.copy()
    made[3, 2] = odd
    told = fidelity(base, made)
    assert (told.agreement, told.not_finite) == (87.5, 1)
    assert told.cosine == pytest.approx(7 / 8)
    assert told.kl == 0.0  # of the seven others, which are the same
    assert told.why(8) == "1 of 8 images have outputs that are not finite: their cosine is 0, KL is of the others"
    assert flips(base, made, None).changed == 1
    assert agreement(base, made).agreement == 87.5
    assert agreement(made, made).agreement == 100.0
    assert not arithmetic("one", "other", made, base).ok
    none = fidelity(np.full_like(base, odd), base)
    assert (none.agreement, none.cosine, none.kl, none.not_finite) == (0.0, 0.0, None, 8)
    assert str(none.why(8)).endswith("there is no KL")


def test_a_picture_without_outputs_keeps_no_set_of_labels() -> None:
    """Though nothing is at or above the threshold, as in the empty set that FP32 gives."""
    base = np.full((4, 3), -9.0, np.float32)
    made = base.copy()
    made[1] = np.nan
    judged = judge(Question("multilabel", "sigmoid"), base, None)(made, False)
    assert (judged.fidelity.agreement, judged.fidelity.not_finite) == (75.0, 1)
    vectors = judge(Question("embed", "none"), np.eye(4, dtype=np.float32), None)
    assert vectors(np.full((4, 4), np.nan, np.float32), False).fidelity.not_finite == 4


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (0, 2), (2, 2), (0, 50_000), (50_000, 50_000)])
@pytest.mark.parametrize("interval", [wilson, wilson_corrected])
def test_all_right_and_all_wrong(interval: Callable[..., tuple[float, float]], right: int, count: int) -> None:
    low, high = interval(right, count)
    assert 0 <= low < high <= 100
    assert low <= 100 * right / count <= high
    assert (low == 0) == (right == 0)
    assert (high == 100) == (right == count)


@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_few_pairs_decide_nothing(images: int, before: bool, after: bool) -> None:
    found = paired_outcomes(np.full(images, before), np.full(images, after))
    assert -100 <= found.ci95[0] <= found.drop <= found.ci95[1] <= 100
    assert found.p_value == (1.0 if before == after else 2.0 / 2**images)
    assert not decides(found, 1.0) or found.lost == images > 1
    assert images_needed(found, 1.0) is not None
    unpaired = below(Sample(100.0 * before, images), Sample(100.0 * after, images), None)
    assert unpaired.outcome(1.0) == "undecided" or images == 3
    assert -100 <= unpaired.ci95[0] <= unpaired.drop <= unpaired.ci95[1] <= 100


def test_many_more_images_than_anybody_has() -> None:
    assert mcnemar(25_000, 25_000) == 1.0
    assert mcnemar(24_000, 26_000) == pytest.approx(3.9e-19, rel=0.05)
    assert mcnemar(0, 5_000) == 0.0  # below what a double holds
    many = paired_outcomes(np.ones(1_000_000, bool), np.arange(1_000_000) % 100 > 0)
    assert many.ci95 == pytest.approx((0.98, 1.02), abs=1e-3)
    assert wilson(5e9, 1e10) == pytest.approx((50, 50), abs=1e-3)
    assert at_most(24_800, 50_000, 0.5) == pytest.approx(binom.cdf(24_800, 50_000, 0.5), rel=1e-8)


def test_a_comparison_of_many_builds_asks_for_the_images_that_decide_it() -> None:
    """All tests together err in 5 %, so that each wants more images than a single one."""
    lost, won = np.arange(1_000) < 6, np.arange(1_000) >= 995
    found = paired_outcomes(~won, ~lost)
    paired = Below(found.drop, found.ci95, 1_000, paired=found)
    apart = below(Sample(95.0, 3_000), Sample(95.1, 3_000), None)
    for told, budget in ((paired, 1.0), (apart, 1.2)):
        assert (told.outcome(budget, 1), told.outcome(budget, 20)) == ("met", "undecided")
        needed = told.images_needed(budget, 20)
        assert needed is not None
        assert needed > told.images > (told.images_needed(budget) or 0)


@pytest.mark.parametrize("least", [0.0, 50.0, 99.0, 100.0])
def test_an_agreement_is_decided_by_an_exact_test(least: float) -> None:
    """At the very share that is wanted, one of the two ends is wrong in at most 5 % of the cases."""
    for images in (1, 30, 299, 700):
        met = missed = 0.0
        for agreeing in range(images + 1):
            likely = exactly(agreeing, images, least / 100)
            if likely < 1e-9 or not Agreement(agreeing, images).decided(least):
                continue
            if 100 * agreeing / images >= least:
                met += likely
            else:
                missed += likely
        assert missed <= 0.05
        assert met <= 0.05 or least == 0
    assert Agreement(299, 299).decided(99.0)
    assert not Agreement(298, 298).decided(99.0)
    assert Agreement(0, 10).decided(0.0)


def test_chance_of_one_image_and_of_one_class() -> None:
    assert not near_chance(np.ones((1, 3), np.float32), np.zeros(1, np.int64)).doubtful
    same = of_first(np.zeros(200, np.int64), np.zeros(200, np.int64))
    assert (same.top1, same.expected, same.doubtful) == (100.0, 100.0, False)
    nothing = near_chance(np.full((200, 3), np.nan, np.float32), np.arange(200) % 3)
    assert (nothing.top1, nothing.expected, nothing.refused) == (0.0, 0.0, True)


def test_one_time_and_equal_times() -> None:
    assert bounds([], 0.5) == (None, None)
    assert bounds([3.0], 0.5) == (None, None)
    assert bounds([3.0] * 40, 0.5) == (3.0, 3.0)
    assert set(distribution([3.0]).ms) == {3.0}
    assert set(distribution([2.0, 2.0, 2.0]).ms) == {2.0}


def test_vectors_that_are_all_the_same_or_zeros() -> None:
    same, zeros = np.ones((5, 3), np.float32), np.zeros((5, 3), np.float32)
    assert cosine_score(same, same * 7).mean == pytest.approx(1, abs=1e-7)
    assert cosine_score(same, zeros).mean == 0
    assert (cosines(zeros, -zeros) == 0).all()
    assert (cosines(same, -same * 1e30) == -1).all()
    assert roc_auc(same[:, 0], same[:, 0]) == 0.5
    assert threshold_at(same[:, 0], 0.01) > 1


def test_label_sets_of_one_picture() -> None:
    logits = np.array([[2.0, -1.0]], np.float32)
    score, drop = score_multilabel(logits, logits, np.array([[True, False]]))
    assert (score.map, score.classes_without_positive, drop.drop, drop.p_value) == (100.0, (1,), 0.0, 1.0)


def test_small_differences_of_many_images_are_not_lost_in_a_sum() -> None:
    """50,000 images whose divergences are 1e-9 nats each, which 32 bits would add up to something else."""
    base = np.tile(np.array([[2.0, 1.0, 0.0]], np.float32), (50_000, 1))
    made = base + np.array([[0, 6e-5, 0]], np.float32)
    one = fidelity(base[:1], made[:1]).kl
    assert one == pytest.approx(3e-10, rel=0.5)
    assert fidelity(base, made).kl == pytest.approx(one, rel=1e-9)


def test_parts_are_all_rows_once() -> None:
    for shape in ((1, 1), (7, CELLS), (5, 3 * CELLS), (2_500, 1_000), (3, 0)):
        assert [row for part in blocks(shape) for row in range(shape[0])[part]] == list(range(shape[0]))


@pytest.mark.parametrize("answers", ["as they are", "all changed"])
def test_judging_many_images_takes_little_beside_their_logits(answers: str) -> None:
    """8 million logits, 32 MB a network; in one go, what is computed of them in 64 bits would take ten times that."""
    dice = np.random.Generator(np.random.PCG64(0))
    base = dice.standard_normal((8_000, 1_000), np.float32)
    made = base + np.float32(0.01) if answers == "as they are" else np.roll(base, 1, 1)
    labels = base.argmax(1)
    tracemalloc.start()
    try:
        judged = judge(Question(), base, labels)(made, False)
        assert accuracy(made, labels).top5 >= 0
        assert paired_drop(base, made, labels).images == 8_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert judged.flips is not None
    assert peak < 50e6


def test_the_interval_of_a_difference_of_shares_that_are_not_quite_shares() -> None:
    """7 of 41 in percent and back is not 7, but nearly."""
    for images in range(1, 200):
        low, high = difference(Sample(100.0 * images / images, images), Sample(100 * 7 / 200, 200))
        assert -100 <= low <= high <= 100
