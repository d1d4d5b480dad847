"""Whether the images decide about a budget, and how many would: against searching by hand."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgekit.validate.accuracy import PairedDrop, decides, drop_interval, images_needed, mcnemar
from edgekit.validate.rounding import about
from edgekit.validate.sequential import one_sided, outcome

BUDGETS = st.floats(0, 20, allow_nan=False)


@st.composite
def drops(draw: st.DrawFn) -> PairedDrop:
    images = draw(st.integers(1, 5000))
    lost = draw(st.integers(0, images))
    return drop_of(lost, draw(st.integers(0, images - lost)), images)


def drop_of(lost: int, won: int, images: int) -> PairedDrop:
    interval = drop_interval(lost, won, images)
    return PairedDrop(100 * (lost - won) / images, interval, mcnemar(lost, won), lost, won, images)


def decided_with(drop: PairedDrop, images: int, budget: float) -> bool:
    """Whether so many images with the same rates, which may be fractions of an image, decide."""
    lost, won = drop.lost / drop.images * images, drop.won / drop.images * images
    return outcome(lost, won, images, budget, one_sided()) != "undecided"


@given(drops(), BUDGETS)
def test_so_many_images_decide_and_fewer_do_not(drop: PairedDrop, budget: float) -> None:
    needed = images_needed(drop, budget)
    if needed is None:
        assert not decided_with(drop, 10_000_000, budget)
        return
    assert decided_with(drop, needed, budget)
    assert not any(decided_with(drop, count, budget) for count in {1, needed // 2, needed - 1} - {0, needed})
    assert all(decided_with(drop, needed + more, budget) for more in (1, 7, needed, 10 * needed))


@given(drops(), BUDGETS)
def test_what_is_decided_needs_no_more_images(drop: PairedDrop, budget: float) -> None:
    needed = images_needed(drop, budget)
    if decides(drop, budget):
        assert needed is not None
        assert needed <= drop.images
    elif needed is not None:
        assert needed > drop.images


@given(drops(), BUDGETS, BUDGETS)
def test_a_budget_farther_off_needs_fewer_images(drop: PairedDrop, one: float, other: float) -> None:
    near, far = sorted((one, other), key=lambda budget: abs(budget - drop.drop))
    assume((near > drop.drop) == (far > drop.drop))
    for_near, for_far = images_needed(drop, near), images_needed(drop, far)
    assert for_near is None or (for_far is not None and for_far <= for_near)


def test_by_hand() -> None:
    """Nothing lost of 299 images happens in 5 % of the cases where one of a hundred is lost; the test asks for 311."""
    assert 0.99**299 < 0.05 < 0.99**298
    assert images_needed(drop_of(0, 0, 50), 1.0) == 311
    assert images_needed(drop_of(24, 7, 2400), 1.0) == pytest.approx(4_900, rel=0.2)


@pytest.mark.parametrize(("drop", "budget"), [(drop_of(3, 1, 200), 1.0), (drop_of(0, 0, 10), 0.0)])
def test_a_drop_that_is_the_budget_is_never_decided(drop: PairedDrop, budget: float) -> None:
    assert images_needed(drop, budget) is None


def test_of_few_images() -> None:
    assert images_needed(drop_of(1, 0, 1), 1.0) is not None
    assert images_needed(drop_of(0, 0, 1), 150.0) == 1  # no drop can be that large


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "about 1"), (99, "about 99"), (101, "about 110"), (5823, "about 5,900"), (9990, "about 10,000")],
)
def test_counts_as_people_say_them(count: int, said: str) -> None:
    assert about(count) == said
