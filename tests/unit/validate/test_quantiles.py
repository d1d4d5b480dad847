"""Bounds of quantiles that assume no distribution."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgekit.validate.latency import figures
from edgekit.validate.quantiles import bounds, median_bounds, ranks


def test_so_many_runs_bound_p99_from_above() -> None:
    """0.99 to the power of 299 is the first under 5 %."""
    assert ranks(298, 0.99)[1] is None
    assert ranks(299, 0.99) == (293, 299)


def test_the_median_of_ten() -> None:
    """P(at most 1 of 10 under the median) = 11 / 1024, at most 2: 56 / 1024."""
    assert ranks(10, 0.5) == (2, 9)
    assert bounds([float(each) for each in range(1, 11)], 0.5) == (2.0, 9.0)
    assert ranks(4, 0.5) == (None, None)


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_each_end_is_wrong_in_no_more_cases_than_it_may(share: float) -> None:
    """Of times with a long tail, drawn 4,000 times."""
    dice = np.random.Generator(np.random.PCG64(3))
    true = math.exp(0.5 * _normal_quantile(share))
    low, high = ranks(400, share)
    assert low is not None
    assert high is not None
    drawn = np.sort(np.exp(0.5 * dice.normal(size=(4_000, 400))), 1)
    margin = 3 * math.sqrt(0.05 / 4_000)
    assert (drawn[:, low - 1] > true).mean() <= 0.05 + margin
    assert (drawn[:, high - 1] < true).mean() <= 0.05 + margin
    assert (drawn[:, high - 1] < true).mean() > 0.005  # nor are they wider than they need be


def _normal_quantile(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def test_a_budget_is_met_missed_or_open() -> None:
    blocks = np.linspace(9.5, 10.5, 10) + np.linspace(-0.5, 0.5, 20)[:, None]
    found = figures(blocks, 10, 100.0, True)
    assert found.p50_bounds is not None
    assert (found.within(12.0), found.within(8.0), found.within(10.0)) == (True, False, None)
    assert found.p99_bounds == (pytest.approx(10.84, abs=0.01), None)  # 200 runs bound no p99 from above


@pytest.mark.parametrize("rounds", [1, 3, 4])
def test_few_rounds_tell_of_budgets_that_are_far_off(rounds: int) -> None:
    found = figures(np.linspace(9.5, 10.5, 10) + np.zeros((rounds, 1)), 10, 100.0, True)
    assert found.p50_bounds is None or found.p50_bounds == (None, None)
    assert (found.within(1000.0), found.within(0.001)) == (True, False)
    assert (found.within(11.0), found.within(9.0)) == (None, None)


def test_the_median_is_bounded_by_rounds_since_runs_of_one_are_slowed_together() -> None:
    """Of 1,000 sessions whose rounds differ more than the runs in them, at most 5 % are wrong at either end."""
    dice = np.random.Generator(np.random.PCG64(4))
    sessions = 10 + dice.normal(0, 0.1, (1_000, 20, 1)) + dice.normal(0, 0.1, (1_000, 20, 10))
    ends = np.array([median_bounds(each) for each in sessions], np.float64)
    margin = 3 * math.sqrt(0.05 / 1_000)
    assert (ends[:, 0] > 10).mean() <= 0.05 + margin
    assert (ends[:, 1] < 10).mean() <= 0.05 + margin
    by_runs = np.array([bounds(sorted(each.ravel().tolist()), 0.5) for each in sessions], np.float64)
    assert (by_runs[:, 0] > 10).mean() > 0.1
    assert median_bounds(sessions[0, :4]) == (None, None)
    assert None not in median_bounds(sessions[0, :5])
