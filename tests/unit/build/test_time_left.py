"""What is said of the time that is left: never negative, nothing at the end, less and less as stages go as foreseen."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.build.time_left import Expected, Left, TimeLeft

SECONDS = st.floats(0.1, 1000)


def whole(*ahead: Expected) -> TimeLeft:
    found = TimeLeft()
    found.foresee(ahead)
    return found


@given(st.lists(st.tuples(SECONDS, st.booleans()), min_size=1, max_size=8), st.integers(1, 10))
def test_it_shrinks_to_nothing_when_stages_go_as_foreseen(stages: list[tuple[float, bool]], steps: int) -> None:
    found = whole(*(Expected(f"s{place}", seconds, whole=tells) for place, (seconds, tells) in enumerate(stages)))
    now, said = 0.0, []
    for place, (seconds, _) in enumerate(stages):
        found.began(f"s{place}", now)
        for step in range(1, steps + 1):
            found.moved(f"s{place}", step, steps, now + seconds * step / steps)
            said.append(found.left(now + seconds * step / steps))
        now += seconds
        found.ended(f"s{place}", cached=False)
    assert None not in said
    told = [each.seconds for each in said if each is not None]
    assert all(later <= before + 1e-6 * now for before, later in pairwise(told))
    assert found.left(now) == Left(0)


@given(
    st.lists(st.one_of(st.none(), SECONDS), max_size=6),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3), st.floats(0, 100), st.floats(0, 50)), max_size=30),
)
def test_whatever_happens_it_is_never_below_nothing(
    ahead: list[float | None], moves: list[tuple[int, int, float, float]]
) -> None:
    found = whole(*(Expected(f"s{place}", each, whole=bool(place % 2)) for place, each in enumerate(ahead)))
    now = 0.0
    for stage, what, done, passes in moves:
        now += passes
        if what == 0:
            found.began(f"s{stage}", now)
        elif what == 1:
            found.ended(f"s{stage}", cached=stage % 2 == 0)
        else:
            found.moved(f"s{stage}", done, None if what == 2 else 100, now)
        left = found.left(now)
        assert left is None or left.seconds >= 0
        assert found.to_come is not None
        assert found.to_come >= 0


def test_nothing_is_said_where_a_stage_takes_nobody_knows_how_long() -> None:
    found = whole(Expected("export", 10), Expected("quantize"))
    found.began("export", 0)
    assert found.left(5) is None
    assert TimeLeft().left(5) is None


def test_nothing_is_said_while_all_was_cached() -> None:
    found = whole(Expected("export", 10), Expected("quantize", 20), Expected("compile", 30))
    found.began("export", 0)
    found.ended("export", cached=True)
    found.began("quantize", 0.1)
    assert found.left(0.2) is None
    assert found.left(2.1) == Left(pytest.approx(18 + 30))  # it runs too long for one that is read


def test_what_was_cached_is_taken_off_at_once() -> None:
    found = whole(Expected("export", 10), Expected("quantize", 20), Expected("compile", 30))
    found.began("export", 0)
    found.ended("export", cached=False)
    assert found.left(0) == Left(50)
    found.began("quantize", 0)
    found.ended("quantize", cached=True)
    assert found.left(0) == Left(30)


def test_what_did_not_come_is_taken_off_when_a_later_stage_begins() -> None:
    found = whole(Expected("prune", 5), Expected("recover", 400), Expected("quantize", 20), Expected("compile", 30))
    found.began("prune", 0)
    found.ended("prune", cached=False)
    found.began("compile", 0)
    assert (found.left(0), found.to_come) == (Left(30), 0)


def test_what_may_come_counts_once_it_begins() -> None:
    found = whole(Expected("measure", 10), Expected("measure", 40, may=True), Expected("kernels", 1))
    found.began("measure", 0)
    assert (found.left(2), found.to_come) == (Left(9), 1)
    found.ended("measure", cached=False)
    found.began("measure", 10)
    assert found.left(10) == Left(41)


def test_a_ceiling_is_said_to_be_one_until_the_pace_is_known() -> None:
    found = whole(Expected("recover", 400, is_ceiling=True, whole=True))
    found.began("recover", 0)
    assert found.left(10) == Left(390, at_most=True)
    found.moved("recover", 0, 100, 10)
    found.moved("recover", 50, 100, 60)
    assert found.left(60) == Left(pytest.approx(50))


def test_a_stage_that_is_long_overdue_makes_the_rest_unknown() -> None:
    found = whole(Expected("export", 10), Expected("compile", 30))
    found.began("export", 0)
    assert found.left(20) == Left(30)
    assert found.left(26) is None
