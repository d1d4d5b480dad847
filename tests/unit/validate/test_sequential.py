"""A test that looks while images come in: its error rate, its looks, and the score of one look."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.validate.sequential import (
    ERROR,
    LOOKS,
    _skewness,
    _weights,
    boundaries,
    looks,
    one_sided,
    outcome,
    score,
)


@pytest.fixture(autouse=True)
def nothing_is_remembered() -> None:
    """What boundaries were found before is found again."""
    boundaries.cache_clear()


def test_looks_end_with_all_images() -> None:
    assert looks(300) == (300,)
    assert looks(2_400) == (500, 1_000, 1_500, 2_000, 2_400)
    assert looks(2_050) == (500, 1_000, 1_500, 2_050)  # one that comes just before the last is left to it
    assert looks(50_000)[:4] == (500, 1_000, 1_500, 2_000)
    assert looks(10_000)[-3:] == (6_000, 8_000, 10_000)


@given(st.integers(1, 200_000))
def test_looks_rise(total: int) -> None:
    found = looks(total)
    assert found[-1] == total
    assert all(early < late for early, late in pairwise(found))
    assert set(found[:-1]) <= set(LOOKS)


def test_one_look_is_the_plain_test() -> None:
    (critical,) = boundaries((700,))
    assert critical == pytest.approx(1.6747, abs=1e-3)  # of 4.7 %
    assert one_sided() == pytest.approx(1.6449, abs=1e-4)


@pytest.mark.parametrize("total", [1_200, 2_400, 10_000, 50_000])
def test_all_looks_together_err_as_often_as_is_allowed(total: int) -> None:
    """Brownian motion at the looks, a million steps of it in all, crosses in ERROR of the cases."""
    places = np.array(looks(total))
    critical = np.array(boundaries(looks(total)))
    dice = np.random.Generator(np.random.PCG64(total))
    steps = dice.normal(size=(200_000, len(places))) * np.sqrt(np.diff(places, prepend=0))
    crossed = (steps.cumsum(1) / np.sqrt(places) >= critical).any(1).mean()
    assert crossed == pytest.approx(ERROR, abs=4 * math.sqrt(ERROR / 200_000))


def test_the_score_by_hand() -> None:
    """Nothing lost nor won: n share / sqrt(n share (1 - share)); equal losses and gains against a budget of 0 are 0."""
    assert score(0, 0, 500, 1.0) == pytest.approx(math.sqrt(500 * 0.01 / 0.99))
    assert score(7, 7, 500, 0.0) == score(0, 0, 500, 0.0) == 0
    assert score(30, 5, 2_000, 0.5) == pytest.approx(-2.7372, abs=1e-4)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(400, 5_000), st.floats(0, 10))
def test_more_losses_speak_against_it_and_the_sign_is_that_of_the_difference(
    lost: int, won: int, images: int, budget: float
) -> None:
    found = score(lost, won, images, budget)
    difference = images * budget / 100 - (lost - won)
    assert (found > 0) == (difference > 0) or abs(difference) < 1e-9
    assert score(lost + 1, won, images + 1, budget) <= found + 1e-9 or budget > 0


def test_no_image_that_could_be_lost_or_won_moves_no_boundary() -> None:
    assert outcome(0, 0, 50, 0.0, 1.645) == "undecided"
    assert _skewness(0, 0, 50, 0.0) == 0.0


def test_the_trapezoidal_rule() -> None:
    assert _weights(np.linspace(0.0, 1.0, 5)).tolist() == [0.125, 0.25, 0.25, 0.25, 0.125]


def test_what_a_look_tells() -> None:
    assert outcome(0, 0, 500, 1.0, 1.645) == "met"
    assert outcome(30, 0, 500, 1.0, 1.645) == "missed"
    assert outcome(8, 3, 500, 1.0, 1.645) == "undecided"


@pytest.mark.parametrize(
    ("lost", "won", "images", "budget"),
    [(3, 2, 700, 1.0), (40, 9, 2_000, 0.5), (25, 60, 900, 2.0), (90, 8, 300, 12.0), (0, 1, 60, 2.0)],
)
def test_a_look_decides_from_just_its_boundary_on(lost: int, won: int, images: int, budget: float) -> None:
    """The boundary is moved by the skewness of the drop, third moment over variance to 3/2, by (z z - 1) / 6 of it."""
    share, found = budget / 100, score(lost, won, images, budget, 0.5)
    # with the likeliest share of won ones where the drop is the budget: a root of Tango's equation, found by halving
    low, high = 0.0, (1 - share) / 2
    for _ in range(200):
        w = (low + high) / 2
        slope = lost / (w + share) + won / w - 2 * (images - lost - won) / (1 - 2 * w - share)
        low, high = (w, high) if slope > 0 else (low, w)
    gained, shed = low, low + share
    variance = gained + shed - share**2
    third = shed - gained - 3 * share * (gained + shed) + 2 * share**3
    skewness = third / variance**1.5 / math.sqrt(images)
    for critical in (1.2, 1.645, 2.5, 4.0):
        moved = skewness * (critical**2 - 1) / 6
        met, missed = max(critical - moved, critical / 2), -max(critical + moved, critical / 2)
        wanted = "met" if found > met else "missed" if found < missed else "undecided"
        assert outcome(lost, won, images, budget, critical) == wanted
    edge = next(
        z for z in np.linspace(0.01, 30, 300_000) if outcome(lost, won, images, budget, float(z)) == "undecided"
    )
    moved = skewness * (edge**2 - 1) / 6
    assert abs(found) == pytest.approx(max(edge - math.copysign(moved, found), edge / 2), abs=2e-4)


def test_a_true_drop_at_the_budget_is_seldom_taken_for_within_it() -> None:
    """2,000 evaluations of up to 2,400 images; tests/benchmarks/sequential_drops.py has more of them."""
    dice = np.random.Generator(np.random.PCG64(1))
    places, met = looks(2_400), 0
    for _ in range(2_000):
        lost = won = before = 0
        for place, bound in zip(places, boundaries(places), strict=True):
            more = dice.multinomial(place - before, [0.02, 0.01, 0.97])
            lost, won, before = lost + int(more[0]), won + int(more[1]), place
            if (told := outcome(lost, won, place, 1.0, bound)) != "undecided":
                met += told == "met"
                break
    assert met / 2_000 <= 0.05 + 3 * math.sqrt(0.05 / 2_000)
