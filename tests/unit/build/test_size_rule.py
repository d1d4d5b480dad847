"""Which input size pruning begins with, by what each loses on images to choose by and what it takes."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.build.prune import NOISE
from edgekit.build.sizes import chosen_size
from edgekit.recipe import Recipe, merged

NAMES = ("int8", "int8-256", "int8-224", "int8-192")
DROPS = {"fp32": 0.0, "int8": 0.3, "int8-256": 0.5, "int8-224": 1.4, "int8-192": 4.0}
LATENCIES = {"int8": 10.0, "int8-256": 7.5, "int8-224": 6.0, "int8-192": 4.0}


def chosen(drops: dict[str, float] = DROPS, latencies: dict[str, float] = LATENCIES, **told: Any) -> str:
    recipe: Recipe = merged({"max_drop": 1.0}, told)
    return NAMES[chosen_size(NAMES, drops, latencies, recipe)]


def test_the_fastest_that_loses_no_more_than_training_may_win_back() -> None:
    assert DROPS["int8-224"] <= 1.0 + NOISE < DROPS["int8-192"]
    assert chosen() == "int8-224"
    assert chosen(max_drop=0.0) == "int8-256"
    assert chosen(max_drop=5.0) == "int8-192"


def test_a_budget_is_met_by_the_largest_that_can() -> None:
    assert chosen(latency_budget_ms=8.0) == "int8-256"
    assert chosen(latency_budget_ms=12.0) == "int8", "nothing need be smaller"
    assert chosen(pruning={"latency_share": 0.75}) == "int8-256"


def test_a_budget_that_no_size_meets_is_for_widths_on_top_of_the_fastest() -> None:
    assert chosen(latency_budget_ms=2.0) == "int8-224"
    assert chosen(pruning={"latency_share": 0.2}) == "int8-224"


@pytest.mark.parametrize("told", [{}, {"latency_budget_ms": 2.0}])
def test_what_loses_too_much_or_is_hardly_faster_is_no_beginning(told: dict[str, float]) -> None:
    assert chosen({**DROPS, "int8-256": 2.0, "int8-224": 3.0}, **told) == "int8"
    assert chosen(latencies={name: 9.8 - place / 10 for place, name in enumerate(NAMES)}, **told) == "int8"
