"""Statistics beside other implementations of them, and published tables: tests/number_comparisons.py says which."""

from __future__ import annotations

import numpy as np
import pytest
from number_comparisons import COMPARISONS, Comparison


@pytest.mark.parametrize("compared", COMPARISONS, ids=lambda each: each.statistic.replace(" ", "-"))
def test_a_statistic_is_what_others_compute(compared: Comparison) -> None:
    assert compared.largest() <= compared.allowed


def test_a_wrong_number_is_seen() -> None:
    def pairs(ours: object, theirs: object) -> Comparison:
        return Comparison("", "", "", 0.0, lambda: iter([(ours, theirs)]))

    assert pairs([1.0, 200.0], [1.0, 202.0]).largest() == pytest.approx(2 / 202)
    assert pairs(0.5, 0.25).largest() == 0.25
    assert pairs([np.nan, 1.0], [np.inf, 1.0]).largest() == 0.0  # neither bounds anything
    for ours, theirs in (([1.0], [1.0, 2.0]), ([np.nan], [1.0]), ([], [])):
        with pytest.raises(AssertionError):
            pairs(ours, theirs).largest()
