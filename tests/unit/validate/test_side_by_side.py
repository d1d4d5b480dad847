"""How much longer a network takes: what repeats is the process. Real ones are timed by the verb's own test."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.validate.side_by_side import PROCESSES, Slower, slower_than


def times(dice: np.random.Generator, ms: float, layout: float) -> list[np.ndarray]:
    """Of five processes, each with a speed of its own."""
    return [ms * math.exp(dice.normal(0, layout)) * dice.lognormal(0, 0.03, (4, 10)) for _ in range(PROCESSES)]


@pytest.mark.parametrize(("factor", "least", "most"), [(1.0, 0.0, 0.05), (1.05, 0.9, 1.0)])
def test_a_slowdown_of_five_percent_is_seen_and_none_is_not(factor: float, least: float, most: float) -> None:
    """400 comparisons each, where processes differ by one percent, as two copies of one network do."""
    dice = np.random.Generator(np.random.PCG64(2))
    found = [slower_than(times(dice, 4.0, 0.01), times(dice, 4.0 * factor, 0.01)) for _ in range(400)]
    share = sum(each.outcome(1.0) == "missed" for each in found) / 400
    assert least <= share <= most


def test_the_interval_decides() -> None:
    assert [Slower(1.04, (1.02, 1.06)).outcome(limit) for limit in (1.01, 1.05, 1.07)] == ["missed", "undecided", "met"]
    with pytest.raises(ValueError, match="one process"):
        slower_than([np.ones((3, 10))], [np.ones((3, 10))])
