"""The binomial distribution and intervals of its share; with nothing but math, as reports are read without numpy."""

from __future__ import annotations

import math
from typing import Final

Z95: Final = 1.959963984540054
"""Of the normal distribution, two-sided 95 %."""


def exactly(hits: int, count: int, share: float) -> float:
    """Probability of so many hits in `count` throws, each of which hits with the probability `share`."""
    if share <= 0 or share >= 1:
        return float(hits == (count if share >= 1 else 0))
    chosen = math.lgamma(count + 1) - math.lgamma(hits + 1) - math.lgamma(count - hits + 1)
    return math.exp(chosen + hits * math.log(share) + (count - hits) * math.log1p(-share))


def at_most(hits: int, count: int, share: float) -> float:
    """Probability of so many hits or fewer."""
    return min(1.0, math.fsum(exactly(each, count, share) for each in range(hits + 1)))


def wilson(right: float, count: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval of a proportion, in percent; of 95 % with the usual z. Counts may be fractions."""
    share, spread = right / count, z * z / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return 100 * max(0.0, min(share, middle - half)), 100 * min(1.0, max(share, middle + half))


def wilson_corrected(right: float, count: float, z: float = Z95) -> tuple[float, float]:
    """The same with a correction for counts going in whole steps (Newcombe 1998, method 4): it errs no more often."""
    share, square = right / count, z * z
    middle, whole, odd = 2 * right + square, 2 * (count + square), 4 * share * count * (1 - share)
    under = math.sqrt(max(0.0, square - 2 - 1 / count + odd + 4 * share))
    over = math.sqrt(max(0.0, square + 2 - 1 / count + odd - 4 * share))
    low, high = (middle - 1 - z * under) / whole, (middle + 1 + z * over) / whole
    return 100 * max(0.0, min(share, low)), 100 * min(1.0, max(share, high))
