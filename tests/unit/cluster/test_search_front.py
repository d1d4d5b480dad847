"""Fronts, their doubts, the plane that they cover, and what is stopped early."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.cluster.search.early import after_few, before_recovery
from edgekit.cluster.search.front import Point, corner, front, hypervolume, most_first

IMAGES = 1000
CORNER = (0.0, 1.5)
Pairs = list[tuple[float, float]]


def point(number: int, right: float, ratio: float, size: int = 100, width: float = 0.01, first: int = 0) -> Point:
    """A network that has a part of the images right, beginning with one of them."""
    answers = np.zeros(IMAGES, np.bool_)
    answers[first : first + round(right * IMAGES)] = True
    return Point(number, answers, ratio, (ratio * (1 - width), ratio * (1 + width)), size)


def test_what_none_beats_is_on_the_front() -> None:
    found = front([point(0, 0.95, 1.0), point(1, 0.90, 0.5), point(2, 0.70, 0.8), point(3, 0.6, 0.3)])
    assert [(each.number, each.beaten_by) for each in found] == [(3, None), (1, None), (0, None)]


def test_what_is_beaten_by_figures_alone_stays_and_says_so() -> None:
    found = front([point(0, 0.95, 0.5), point(1, 0.949, 0.6), point(2, 0.95, 0.503, size=101), point(3, 0.5, 0.7)])
    assert [(each.number, each.beaten_by, each.undecided) for each in found] == [
        (0, None, False),
        (2, 0, True),
        (1, 0, True),
    ]


def test_a_smaller_network_is_on_the_front_too() -> None:
    found = front([point(0, 0.95, 0.5), point(1, 0.8, 0.9, size=10)])
    assert [each.number for each in found] == [0, 1]


def test_those_that_cover_most_are_built_first() -> None:
    points = [
        point(0, 0.85, 0.27),  # the fastest, and beyond what counts
        point(1, 0.94, 0.31),
        point(2, 0.975, 0.38),
        point(3, 0.978, 1.4),
        point(4, 0.974, 0.381),  # beaten by the figures of 2 alone
    ]
    found = front(points)
    assert [each.number for each in found] == [0, 1, 2, 3, 4]
    assert [each.number for each in most_first(found, points, (87.0, 1.5))] == [2, 1, 3, 0, 4]


@given(
    st.lists(
        st.tuples(st.floats(0, 100), st.floats(0.01, 2)),
        max_size=12,
    )
)
def test_the_hypervolume_is_that_of_optuna(points: Pairs) -> None:
    from optuna._hypervolume import compute_hypervolume

    least, most = CORNER
    inside = np.array([(-top1, ratio) for top1, ratio in points if top1 > least and ratio < most]).reshape(-1, 2)
    expected = compute_hypervolume(inside, np.array([-least, most])) if len(inside) else 0.0
    assert hypervolume(points, CORNER) == pytest.approx(expected, abs=1e-9)


def test_more_points_never_cover_less() -> None:
    assert hypervolume([], CORNER) == 0
    assert hypervolume([(90, 0.5)], CORNER) == pytest.approx(90.0)
    assert hypervolume([(90, 0.5), (80, 0.6)], CORNER) == pytest.approx(90.0)
    assert hypervolume([(90, 0.5), (95, 1.0)], CORNER) == pytest.approx(90.0 + 5 * 0.5)
    assert hypervolume([(90, 1.6)], CORNER) == 0


def test_who_is_no_faster_than_one_as_good_as_fp32_is_not_trained() -> None:
    fp32, good, poor = point(9, 0.95, 3.0).right, point(4, 0.95, 0.5), point(5, 0.93, 0.5)
    assert "trial 4" in str(before_recovery(0.8, fp32, [poor, good]))
    assert before_recovery(0.8, fp32, [poor]) is None, "it may be passed"
    assert before_recovery(0.53, fp32, [good]) is None, "predictions are wrong by a tenth"


def test_few_images_on_which_all_is_alike_do_not_tell_that_one_cannot_be_passed() -> None:
    fp32 = np.ones(40, np.bool_)
    told = Point(1, np.ones(40, np.bool_), 0.5, (0.49, 0.51), 1)
    assert before_recovery(0.9, fp32, [told]) is None


def test_who_is_surely_less_accurate_than_a_faster_one_is_not_shown_the_rest() -> None:
    told = point(4, 0.95, 0.5)
    few = np.arange(200) < 120
    reason = after_few(0.8, few, [told])
    assert reason is not None
    assert "60.0 % of the first 200 images" in reason
    assert "trial 4" in reason
    assert after_few(0.5, few, [told]) is None, "it is as fast"
    assert after_few(None, few, [told]) is None, "nobody knows how fast it is"
    assert after_few(0.8, np.arange(200) < 199, [told]) is None, "it may be as accurate"


def test_the_corner_is_ten_points_below_fp32() -> None:
    assert corner(95.5) == (85.5, 1.5)
    assert corner(4.0) == (0.0, 1.5)
    assert hypervolume([(85.0, 0.1)], corner(95.5)) == 0
    assert hypervolume([(90.5, 0.5)], corner(95.5)) == pytest.approx(5.0)
