"""Average precision and F1 of label sets, against slow counts of the same; intervals that resample the pictures."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.validate.multilabel import (
    RESAMPLES,
    average_precision,
    f1,
    macro_average_precision,
    probabilities,
    resampled_macro_ap,
    score_multilabel,
    two_sided,
)


def slow_ap(scores: Any, positive: Any) -> float:
    """The sum over thresholds of the gain of recall times the precision there."""
    found, before = 0.0, 0.0
    for limit in sorted(set(scores), reverse=True):
        given = [each >= limit for each in scores]
        right = sum(g and bool(p) for g, p in zip(given, positive, strict=True))
        recall, precision = right / sum(map(bool, positive)), right / sum(given)
        found += (recall - before) * precision
        before = recall
    return found


def sets(pictures: int = 60, classes: int = 5, seed: int = 0, step: float = 0.0) -> tuple[Any, Any]:
    """Outputs that tell something of the labels, on a grid if there is a step, and the labels."""
    dice = np.random.Generator(np.random.PCG64(seed))
    labels = dice.random((pictures, classes)) < 0.3
    labels[:2] = [[True] * classes, [False] * classes]
    outputs = 2.0 * labels + dice.normal(size=labels.shape) - 1
    return (np.round(outputs / step) * step if step else outputs).astype(np.float32), labels


def test_by_hand() -> None:
    # Ranked: right, wrong, right, wrong: precision 1 at the first, 2/3 at the second of the class.
    assert average_precision(np.array([0.9, 0.8, 0.7, 0.1]), np.array([1, 0, 1, 0], bool)) == pytest.approx(5 / 6)
    # All of the same score are one step: half of them are of the class.
    assert average_precision(np.array([0.5, 0.5, 0.5, 0.5]), np.array([1, 0, 1, 0], bool)) == pytest.approx(0.5)
    # Two share the second place.
    assert average_precision(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 0, 1, 0], bool)) == pytest.approx(5 / 6)
    assert average_precision(np.array([0.1, 0.9]), np.array([1, 0], bool)) == pytest.approx(0.5)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=25))
def test_the_slow_way_says_the_same(told: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([each for each, _ in told], float), np.array([each for _, each in told])
    positive[0] = True
    found = average_precision(scores, positive)
    assert found == pytest.approx(slow_ap(scores.tolist(), positive.tolist()))
    assert average_precision(scores / 7 + 3, positive) == pytest.approx(found)
    assert 0 < found <= 1


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_resamples_are_weighed_as_if_pictures_were_there_so_often(step: float) -> None:
    outputs, labels = sets(step=step)
    scores = outputs.astype(np.float64)
    found = resampled_macro_ap([scores], labels, 40, 7)[0]
    dice = np.random.Generator(np.random.PCG64(7))
    drawn = dice.integers(0, 60, (40, 60))
    for place, pictures in enumerate(drawn):
        known = labels[pictures].any(0)
        slow = [slow_ap(scores[pictures, c].tolist(), labels[pictures, c].tolist()) for c in np.flatnonzero(known)]
        assert found[place] == pytest.approx(np.mean(slow))


def test_resamples_do_not_depend_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, labels = sets()
    whole = resampled_macro_ap([outputs.astype(np.float64)], labels, 30)
    monkeypatch.setattr("edgekit.validate.multilabel._CELLS", 200)
    assert np.array_equal(resampled_macro_ap([outputs.astype(np.float64)], labels, 30), whole)


def test_f1_by_hand() -> None:
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], bool)
    given = np.array([[1, 0, 1], [0, 1, 0], [0, 1, 0]], bool)
    macro, micro = f1(given, labels)
    assert macro == pytest.approx((2 / 3 + 1) / 2)  # the third class has no picture
    assert micro == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))  # and its wrong label counts here
    assert f1(labels, labels) == (1.0, 1.0)
    assert f1(np.zeros_like(labels), labels) == (0.0, 0.0)


def test_fp32_against_itself() -> None:
    outputs, labels = sets()
    score, drop = score_multilabel(outputs, outputs, labels)
    assert (drop.drop, drop.ci95, drop.p_value, drop.lost, drop.won, drop.images) == (0.0, (0.0, 0.0), 1.0, 0, 0, 60)
    scores = outputs.astype(np.float64)
    assert score.map == pytest.approx(100 * macro_average_precision(scores, labels))
    assert score.ci95[0] < score.map < score.ci95[1]
    assert (score.images, score.threshold, score.classes_without_positive) == (60, 0.5, ())
    assert score.f1 == pytest.approx(100 * f1(outputs >= 0, labels)[0])


def test_a_worse_network_has_a_drop_that_is_seen() -> None:
    outputs, labels = sets(300)
    dice = np.random.Generator(np.random.PCG64(1))
    worse = (outputs + 1.5 * dice.normal(size=outputs.shape)).astype(np.float32)
    score, drop = score_multilabel(outputs, worse, labels)
    known = score_multilabel(outputs, outputs, labels)[0]
    assert drop.drop == pytest.approx(known.map - score.map)
    assert 0 < drop.ci95[0] < drop.drop < drop.ci95[1]
    assert drop.p_value == pytest.approx(2 / (RESAMPLES + 1))
    back = score_multilabel(worse, outputs, labels)[1]
    assert back.drop == pytest.approx(-drop.drop)
    assert back.ci95 == pytest.approx((-drop.ci95[1], -drop.ci95[0]))
    assert score_multilabel(outputs, worse, labels) == (score, drop)


def test_the_interval_of_the_drop_is_paired() -> None:
    """Two networks that are nearly the same are known to be so, however uncertain each is alone."""
    outputs, labels = sets(80)
    nearly = (outputs + np.float32(0.001) * np.arange(5, dtype=np.float32)).astype(np.float32)
    nearly[3] += 0.3
    score, drop = score_multilabel(outputs, nearly, labels)
    assert drop.ci95[1] - drop.ci95[0] < 0.2 * (score.ci95[1] - score.ci95[0])


def test_sure_outputs_keep_their_order() -> None:
    outputs = np.array([[60.0], [50.0], [40.0], [-90.0]], np.float32)
    labels = np.array([[0], [1], [0], [0]], bool)
    assert (probabilities(outputs, "sigmoid")[:3] == 1).all()
    assert score_multilabel(outputs, outputs, labels)[0].map == pytest.approx(50)


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("sigmoid", [[0.5, 0.7310586]]), ("softmax", [[0.2689414, 0.7310586]]), ("none", [[0.0, 1.0]])],
)
def test_what_makes_probabilities(
    activation: Literal["none", "softmax", "sigmoid"], expected: list[list[float]]
) -> None:
    assert probabilities(np.array([[0, 1]], np.float32), activation) == pytest.approx(np.array(expected), abs=1e-6)
    huge = probabilities(np.array([[3e38, -3e38]], np.float32), activation)
    assert np.isfinite(huge).all()


def test_the_threshold_is_of_probabilities() -> None:
    outputs, labels = sets()
    for activation, shown in (("sigmoid", outputs), ("none", probabilities(outputs, "sigmoid").astype(np.float32))):
        score, _ = score_multilabel(shown, shown, labels, 0.8, activation)  # type: ignore[arg-type]
        assert score.f1 == pytest.approx(100 * f1(probabilities(outputs, "sigmoid") >= 0.8, labels)[0])
        assert score.threshold == 0.8


def test_classes_without_a_picture_are_named_and_in_no_mean() -> None:
    outputs, labels = sets()
    labels[:, [1, 4]] = False
    score, _ = score_multilabel(outputs, outputs, labels)
    assert score.classes_without_positive == (1, 4)
    few, _ = score_multilabel(outputs[:, [0, 2, 3]], outputs[:, [0, 2, 3]], labels[:, [0, 2, 3]])
    assert (score.map, score.ci95, score.f1) == (few.map, few.ci95, few.f1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_picture_without_finite_outputs_is_as_wrong_as_can_be(bad: float) -> None:
    outputs, labels = sets()
    spoilt = outputs.copy()
    spoilt[0, 2] = bad
    score, drop = score_multilabel(outputs, spoilt, labels)
    worst = outputs.copy()
    worst[0] = np.where(labels[0], -1e9, 1e9)
    assert score == score_multilabel(outputs, worst, labels)[0]
    assert drop.drop > 0
    assert np.isfinite([*drop.ci95, *score.ci95, drop.p_value]).all()


def test_what_cannot_be_scored_is_refused() -> None:
    outputs, labels = sets()
    with pytest.raises(InputError, match="no picture has a label"):
        score_multilabel(outputs, outputs, np.zeros_like(labels))
    with pytest.raises(InputError, match="has 5 outputs, and the labels are of 3 classes"):
        score_multilabel(outputs, outputs, labels[:, :3])


def test_one_rare_class_leaves_resamples_without_it() -> None:
    outputs, _ = sets(20, 1)
    labels: NDArray[np.bool_] = np.zeros((20, 1), bool)
    labels[3] = True
    found = resampled_macro_ap([outputs.astype(np.float64)], labels)[0]
    assert 0.25 < np.isnan(found).mean() < 0.5  # (19/20)^20 = 0.36
    score, drop = score_multilabel(outputs, -outputs, labels)
    assert np.isfinite([*score.ci95, *drop.ci95, drop.p_value]).all()


def test_p_is_two_sided_and_never_nothing() -> None:
    assert two_sided(np.ones(99)) == two_sided(-np.ones(99)) == pytest.approx(0.02)
    assert two_sided(np.array([-1.0, 1.0])) == 1
    assert two_sided(np.zeros(9)) == 1
    assert two_sided(np.array([np.nan, 1.0])) == 1
