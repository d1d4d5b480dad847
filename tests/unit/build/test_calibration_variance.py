"""Other calibration sets to compare with: of the same kind, all different, none with an evaluated image."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.build.calibration_variance import not_evaluated, others
from edgekit.data.calibration import choose
from edgekit.data.image_set import Selection
from edgekit.data.signs_set import SignsSet

POOL = SignsSet("calibration", 96)


def hashes(chosen: Any) -> frozenset[str]:
    return frozenset(item.sha256 for item in chosen.items)


def test_evaluated_images_are_left_out_by_content() -> None:
    evaluated = Selection(POOL, (3, 5, 90))
    rest = not_evaluated(POOL, evaluated)
    assert len(rest) == len(POOL) - 3
    kept = {rest.content_hash(index) for index in range(len(rest))}
    assert not kept & {POOL.content_hash(index) for index in (3, 5, 90)}
    assert not_evaluated(POOL, SignsSet("validation", 24)) is POOL


@pytest.mark.parametrize("strategy", ["random", "stratified"])
def test_others_are_of_the_same_kind_and_all_different(strategy: Any) -> None:
    chosen = choose(POOL, 24, strategy, 0, data="signs")
    rest = not_evaluated(POOL, Selection(POOL, (0, 1)))
    made = others(chosen, rest, 3, 1)
    assert len(made) == 3
    assert len({hashes(each) for each in (chosen, *made)}) == 4
    assert {(len(each.items), each.strategy) for each in made} == {(24, strategy)}
    assert not any(hashes(each) & {POOL.content_hash(0), POOL.content_hash(1)} for each in made)
    assert [each.digest for each in others(chosen, rest, 3, 1)] == [each.digest for each in made]
    assert [each.digest for each in others(chosen, rest, 1, 1)] == [made[0].digest]


def test_seeds_that_choose_the_same_images_again_are_no_others() -> None:
    few = Selection(POOL, (0, 1))
    assert len(others(choose(few, 1, "random", 0, data="signs"), few, 4, 1)) == 1
    assert others(choose(few, 2, "random", 0, data="signs"), few, 2, 1) == []
