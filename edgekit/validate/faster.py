"""How many times faster one network is than another that was timed in the same rounds, and how sure that is."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

T95: Final = (12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139)
"""Student's t, two-sided 95 %, by degrees of freedom from 1."""

PARTS: Final = 8
"""Of a session, at most: what stays from one round into the next is then within one of them."""

TRIMMED: Final = 0.2
"""Share of the parts that is left out at either end: what disturbs a round makes the interval no wider."""

Blocks = NDArray[np.float64]
"""(rounds, runs a block) milliseconds."""


def t95(degrees: int) -> float:
    """Student's t for a two-sided 95 % interval; Cornish and Fisher's expansion beyond the table."""
    if degrees <= len(T95):
        return T95[degrees - 1]
    z, part = 1.959963985, 1 / degrees
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + part * (first + part * (second + part * third))


def ratio(base: Blocks, other: Blocks) -> tuple[float, float, float]:
    """How many times faster `other` is: ratio of medians, and its 95 % interval.

    In each round both had their turn, so that what slows the machine for a while slows both. The interval is that of
    Yuen (1974) for a trimmed mean: Student's t over the logarithms of what the parts of the session say, each the
    median of some rounds that follow one another. Of one round it is as wide as its single runs.
    """
    rounds = min(len(base), len(other))
    middle = float(np.median(base) / np.median(other))
    if rounds < 2:
        return middle, float(base.min() / other.max()), float(base.max() / other.min())
    logs = np.log(np.median(base[:rounds], 1) / np.median(other[:rounds], 1))
    parts = np.array([np.median(each) for each in np.array_split(logs, min(rounds, PARTS))])
    centre, half = trimmed_mean(parts)
    return middle, min(math.exp(centre - half), middle), max(math.exp(centre + half), middle)


def trimmed_mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """The mean of two values or more without the least and the greatest, and half its 95 % interval."""
    ordered, cut = np.sort(values), int(TRIMMED * len(values))
    count, kept = len(values), ordered[cut : len(values) - cut]
    spread = float(np.clip(ordered, kept[0], kept[-1]).std(ddof=1))
    return float(kept.mean()), t95(len(kept) - 1) * spread * math.sqrt(count) / len(kept)
