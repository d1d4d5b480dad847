"""Verdicts on latencies where the truth is known, since dice made them: tests/simulated_latencies.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from simulated_latencies import Noise, sessions, verdicts

from edgekit.validate.faster import ratio, trimmed_mean
from edgekit.validate.latency import figures

CALM = Noise(clock=0.01, own=0.003, stays=0.0, run=0.01, interrupted=0.01, slowed=0.0)


def by_chance(share: float, count: int) -> float:
    """What such a share may come to in so many sessions."""
    return share + 3 * math.sqrt(share * (1 - share) / count)


@pytest.mark.parametrize("rounds", [3, 5, 10, 20])
def test_one_of_two_equal_networks_is_seldom_told_to_be_faster(rounds: int) -> None:
    faster, slower = verdicts(400, rounds, seed=rounds)
    assert faster <= by_chance(0.05, 400)
    assert slower <= by_chance(0.05, 400)


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [2, 3, 4, 5, 8, 10, 20, 80])
@pytest.mark.parametrize("noise", [Noise(), CALM], ids=["shared", "calm"])
def test_the_same_of_more_sessions(rounds: int, noise: Noise) -> None:
    faster, slower = verdicts(4_000, rounds, noise=noise, seed=rounds)
    assert faster <= by_chance(0.05, 4_000)
    assert slower <= by_chance(0.05, 4_000)


@pytest.mark.parametrize(("rounds", "times_faster", "least"), [(3, 1.1, 0.75), (10, 1.05, 0.9), (20, 1.02, 0.85)])
def test_differences_are_found(rounds: int, times_faster: float, least: float) -> None:
    faster, slower = verdicts(200, rounds, times_faster, seed=rounds)
    assert faster >= least
    assert slower == 0


def test_a_round_that_is_disturbed_widens_nothing() -> None:
    base, other = sessions(np.random.Generator(np.random.PCG64(0)), 1, 10, 1.1, CALM)
    middle, low, high = ratio(base[0], other[0])
    base[0, 4] *= 30
    assert ratio(base[0], other[0]) == pytest.approx((middle, low, high), rel=0.02)


def test_single_rounds_and_pairs_of_them() -> None:
    base, other = np.array([[10.0, 11.0, 10.5]]), np.array([[5.0, 5.5, 5.2]])
    assert ratio(base, other) == pytest.approx((10.5 / 5.2, 10 / 5.5, 11 / 5))
    assert trimmed_mean(np.array([1.0, 3.0])) == pytest.approx((2.0, 12.706 * math.sqrt(2) / math.sqrt(2)), rel=1e-3)
    assert ratio(np.ones((2, 3)), np.ones((5, 3))) == (1.0, 1.0, 1.0)
    assert figures(base, 0, 1.0, True).ci95 == (10.0, 11.0)
