"""Probabilities of the binomial distribution, exact but for rounding; without scipy, which devices and reports lack."""

from __future__ import annotations

import math


def exactly(hits: int, count: int, share: float) -> float:
    """Probability of so many hits in `count` throws, each of which hits with the probability `share`."""
    if share <= 0 or share >= 1:
        return float(hits == (count if share >= 1 else 0))
    chosen = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(chosen + hits * math.log(share) + (count - hits) * math.log1p(-share))


def at_most(hits: int, count: int, share: float) -> float:
    """Probability of so many hits or fewer."""
    return min(1.0, math.fsum(exactly(each, count, share) for each in range(hits + 1)))
