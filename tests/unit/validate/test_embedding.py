"""Nearest neighbours and pairs by cosine: slow counts of the same, and what has no direction, no partner, no end."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.validate.embedding import (
    CosineScore,
    choose_pairs,
    cosine_score,
    cosines,
    nearest_right,
    reference,
    roc_auc,
    threshold_at,
    unit_rows,
)

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]


def clouds(classes: int = 4, each: int = 6, numbers: int = 8, noise: float = 0.8, seed: int = 0) -> tuple[Any, Any]:
    """Vectors around a middle for each class, and their labels."""
    dice = np.random.Generator(np.random.PCG64(seed))
    labels = np.repeat(np.arange(classes), each)
    middles = dice.normal(size=(classes, numbers))
    return (middles[labels] + noise * dice.normal(size=(len(labels), numbers))).astype(np.float32), labels


def slow_cosine(a: Vectors, b: Vectors) -> float:
    wide, other = a.astype(np.float64), b.astype(np.float64)
    return float(wide @ other / np.sqrt(wide @ wide) / np.sqrt(other @ other))


def slow_right(vectors: Vectors, labels: Labels) -> list[bool]:
    found = []
    for row, label in enumerate(labels):
        others = [each for each in range(len(labels)) if each != row]
        found.append(bool(labels[max(others, key=lambda each: slow_cosine(vectors[row], vectors[each]))] == label))
    return found


def slow_auc(same: list[float], different: list[float]) -> float:
    return float(np.mean([(a > b) + (a == b) / 2 for a in same for b in different]))


def test_by_hand() -> None:
    vectors = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 3], [1, 0.9]], np.float32)
    labels = np.array([0, 0, 1, 1, 1])
    assert nearest_right(vectors, labels).tolist() == [True, True, True, True, False]
    score, drop = reference(vectors, labels).score(vectors)
    assert (score.top1, score.images, score.unscored) == (80.0, 5, ())
    assert (drop.drop, drop.lost, drop.won, drop.images, drop.p_value) == (0.0, 0, 0, 5, 1.0)
    assert score.cosine == CosineScore(1.0, 1.0)
    assert (score.pairs.same, score.pairs.different, score.pairs.of) == (4, 6, 10)
    # Of six pairs of different classes none may be accepted: the threshold is just above the nearest, the last with
    # the second; both pairs of a class that are nearer than that are accepted, and no other.
    nearest = slow_cosine(vectors[4], vectors[1])
    assert score.pairs.threshold == pytest.approx(nearest, abs=2e-7)
    assert (score.pairs.false_accept, score.pairs.false_reject) == (0.0, 50.0)
    assert score.pairs.roc_auc == pytest.approx((6 + 6 + 4 + 4) / 24)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 3), st.integers(2, 5))
def test_the_slow_way_says_the_same(seed: int, noise: float, classes: int) -> None:
    vectors, labels = clouds(classes, 4, 6, noise, seed)
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(labels))
    vectors, labels = vectors[order], labels[order]
    score, _ = reference(vectors, labels).score(vectors)
    assert nearest_right(vectors, labels).tolist() == slow_right(vectors, labels)
    same, different = [], []
    for one, other in combinations(range(len(labels)), 2):
        (same if labels[one] == labels[other] else different).append(slow_cosine(vectors[one], vectors[other]))
    assert score.pairs.roc_auc == pytest.approx(slow_auc(same, different), abs=1e-6)
    assert 100 * np.mean(np.array(different) >= score.pairs.threshold + 1e-6) <= score.pairs.false_accept <= 1
    assert score.pairs.false_reject == pytest.approx(100 * np.mean(np.array(same) < score.pairs.threshold), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-30, 1e30))
def test_lengths_mean_nothing(seed: int, factor: float) -> None:
    vectors, labels = clouds(seed=seed)
    dice = np.random.Generator(np.random.PCG64(seed))
    stretched = (vectors * (factor * dice.uniform(0.5, 2, (len(vectors), 1)))).astype(np.float32)
    score, drop = reference(vectors, labels).score(stretched)
    assert drop.drop == 0
    assert score.cosine.p1 == pytest.approx(1, abs=1e-5)
    assert score.pairs.roc_auc == pytest.approx(reference(vectors, labels).score(vectors)[0].pairs.roc_auc, abs=1e-5)


def test_the_drop_is_paired_and_the_threshold_is_fp32s() -> None:
    vectors, labels = clouds(5, 8, noise=0.6)
    spoilt = vectors.copy()
    spoilt[:3] = vectors[8:11]
    known = reference(vectors, labels)
    score, drop = known.score(spoilt)
    before, after = nearest_right(vectors, labels), nearest_right(spoilt, labels)
    assert (drop.lost, drop.won) == (int((before & ~after).sum()), int((after & ~before).sum()))
    assert drop.lost >= 3
    assert score.top1 == 100 * after.mean()
    assert score.pairs.threshold == known.threshold == reference(vectors, labels).score(vectors)[0].pairs.threshold
    assert score.cosine.p1 < score.cosine.mean < 1
    assert reference(vectors, labels).score(spoilt) == (score, drop)


def test_a_threshold_that_was_told() -> None:
    vectors, labels = clouds()
    near = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    table = near @ near.T
    same = labels[:, None] == labels[None]
    upper = np.triu(np.ones_like(same), 1)
    score, _ = reference(vectors, labels, 0.4).score(vectors)
    assert score.pairs.threshold == 0.4
    assert score.pairs.false_accept == pytest.approx(100 * np.mean(table[upper & ~same] >= 0.4))
    assert score.pairs.false_reject == pytest.approx(100 * np.mean(table[upper & same] < 0.4))


def test_the_cosine_itself_counts_as_accepted() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 1], [1, 1]], np.float32)
    labels = np.array([0, 0, 1, 1])
    pairs = reference(vectors, labels, 0.0).score(vectors)[0].pairs
    assert (pairs.false_accept, pairs.false_reject) == (100.0, 0.0)


@pytest.mark.parametrize(("share", "accepted"), [(0.0, 0), (0.01, 1), (0.019, 1), (0.02, 2), (0.5, 50)])
def test_the_threshold_accepts_at_most_the_share(share: float, accepted: int) -> None:
    different = np.linspace(-1, 0.9, 100).astype(np.float32)
    limit = np.float32(threshold_at(different, share))
    assert int((different >= limit).sum()) == accepted
    assert int((different >= np.nextafter(limit, np.float32(-2))).sum()) == accepted + 1
    ties = np.full(100, 0.5, np.float32)
    assert not (ties >= np.float32(threshold_at(ties, 0.99))).any()


def test_a_class_of_one_picture_is_named_and_not_scored() -> None:
    vectors, labels = clouds(3, 4)
    alone = np.concatenate([vectors, vectors[:1] + 0.001, vectors[4:5] + 0.001]).astype(np.float32)
    told = np.concatenate([labels, [9, 7]])
    score, drop = reference(alone, told).score(alone)
    assert (score.images, drop.images, score.unscored) == (12, 12, (7, 9))
    # It is still what stands nearest to another: the picture that it was made from is now wrong.
    assert not nearest_right(alone, told)[[0, 4]].any()


@pytest.mark.parametrize(
    ("labels", "told"),
    [([3, 3, 3], "the pictures have 1 class"), ([0, 1, 2], "each of the 3 classes has one picture"), ([], "0 classes")],
)
def test_what_cannot_be_scored_is_refused(labels: list[int], told: str) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        reference(np.ones((len(labels), 2), np.float32), np.array(labels, np.int64))
    assert refusal.value.hint


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf, -np.inf])
def test_a_vector_that_points_nowhere_is_wrong_and_nobodys_neighbour(bad: float) -> None:
    vectors, labels = clouds(3, 5, noise=0.05)
    spoilt = vectors.copy()
    spoilt[2] = 0
    spoilt[2, 0] = bad
    score, drop = reference(vectors, labels, 0.5).score(spoilt)
    right = nearest_right(spoilt, labels)
    assert not right[2]
    assert right[np.arange(15) != 2].all()
    assert (drop.lost, drop.won) == (1, 0)
    assert score.pairs.false_reject == pytest.approx(100 * 4 / 30)
    assert score.cosine.p1 < 0.5
    assert np.isfinite([score.cosine.mean, score.pairs.roc_auc, score.pairs.threshold]).all()


def test_nothing_points_anywhere() -> None:
    vectors, labels = clouds(2, 3)
    score, drop = reference(np.zeros_like(vectors), labels).score(np.zeros_like(vectors))
    assert (score.top1, drop.drop) == (0.0, 0.0)
    assert (score.pairs.threshold, score.pairs.false_accept, score.pairs.false_reject) == (-1.0, 0.0, 100.0)
    assert score.pairs.roc_auc == 0.5


def test_rows_of_any_size_get_the_length_one() -> None:
    unit, sound = unit_rows(np.array([[3e38, 3e38], [1e-38, 0], [0, 0], [np.nan, 1]], np.float32))
    assert unit.dtype == np.float32
    assert np.linalg.norm(unit, axis=1) == pytest.approx([1, 1, 0, 0], abs=1e-6)
    assert sound.tolist() == [True, True, False, False]


def test_many_pictures_are_worked_on_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, labels = clouds(6, 9)
    whole, pairs = nearest_right(vectors, labels), choose_pairs(labels)
    near = cosines(vectors, pairs.different)
    monkeypatch.setattr("edgekit.validate.embedding._CELLS", 150)
    assert np.array_equal(nearest_right(vectors, labels), whole)
    assert np.array_equal(cosines(vectors, pairs.different), near)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=30))
def test_all_pairs_are_there_once(told: list[int]) -> None:
    labels = np.array(told)
    pairs = choose_pairs(labels)
    drawn = [
        {frozenset((int(a), int(b))) for a, b in zip(*each, strict=True)} for each in (pairs.same, pairs.different)
    ]
    everything = {frozenset(each): labels[each[0]] == labels[each[1]] for each in combinations(range(len(told)), 2)}
    assert drawn[0] == {pair for pair, alike in everything.items() if alike}
    assert drawn[1] == {pair for pair, alike in everything.items() if not alike}
    assert len(pairs.same[0]) + len(pairs.different[0]) == pairs.of == len(everything)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=6, max_size=30), st.integers(2, 14), st.integers(0, 3))
def test_of_many_pairs_some_are_drawn_of_each_kind(told: list[int], most: int, seed: int) -> None:
    labels = np.array(told)
    pairs = choose_pairs(labels, most, seed)
    for (one, other), alike in ((pairs.same, True), (pairs.different, False)):
        assert len(one) <= most // 2 or pairs.of <= most
        assert np.all((labels[one] == labels[other]) == alike)
        assert np.all(one != other)
        assert np.all((one >= 0) & (one < len(told)) & (other >= 0) & (other < len(told)))
    again = choose_pairs(labels, most, seed)
    assert np.array_equal(pairs.different, again.different)
    assert np.array_equal(pairs.same, again.same)


def test_every_pair_is_drawn_as_often_as_any_other() -> None:
    labels = np.array([0, 1, 0, 2, 1, 0, 0])
    pairs = choose_pairs(labels, 18, 0)
    assert (len(pairs.same[0]), len(pairs.different[0]), pairs.of) == (7, 9, 21)
    counts: dict[frozenset[int], int] = {}
    for seed in range(3000):
        drawn = choose_pairs(labels, 12, seed)
        for each in (drawn.same, drawn.different):
            assert len(each[0]) == 6
            for a, b in zip(*each, strict=True):
                pair = frozenset((int(a), int(b)))
                counts[pair] = counts.get(pair, 0) + 1
    alike = [count for pair, count in counts.items() if len({int(labels[each]) for each in pair}) == 1]
    other = [count for pair, count in counts.items() if len({int(labels[each]) for each in pair}) == 2]
    assert (len(alike), len(other)) == (7, 14)
    assert alike == pytest.approx([18_000 / 7] * 7, rel=0.08)
    assert other == pytest.approx([18_000 / 14] * 14, rel=0.1)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.lists(st.integers(-3, 3), min_size=1, max_size=12))
def test_the_area_counts_ties_half(same: list[int], different: list[int]) -> None:
    found = roc_auc(np.array(same, np.float32), np.array(different, np.float32))
    assert found == pytest.approx(slow_auc([*map(float, same)], [*map(float, different)]))
    turned = roc_auc(np.array(different, np.float32), np.array(same, np.float32))
    assert found + turned == pytest.approx(1)


def test_cosines_to_fp32() -> None:
    base = np.array([[1, 0], [0, 2], [1, 1]], np.float32)
    made = np.array([[2, 0], [1, 0], [1, 0]], np.float32)
    found = cosine_score(base, made)
    assert found.mean == pytest.approx((1 + 0 + np.sqrt(0.5)) / 3)
    assert found.p1 == pytest.approx(0.02 * np.sqrt(0.5))
    assert cosine_score(base, base.copy()).mean == pytest.approx(1)
