"""Bounds of quantiles that assume nothing of how times are distributed: order statistics and the binomial distribution.

Of n times, the number that lie under the true p-quantile is binomial with n and p (David and Nagaraja, Order
Statistics, section 7.1). What is assumed is that they are independent of each other, which runs of one block are not:
what slows a round slows all of them. The median is therefore bounded by the medians of blocks, of which there are a
tenth as many; of p99 runs alone can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from edgekit.validate.binomial import exactly

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ONE_SIDED: Final = 0.05
"""Error of one end: both together are wrong in at most twice as many cases."""


LEVELS: Final = (0.0, 1.0, *(float(each) for each in range(5, 100, 5)), 99.0, 100.0)
"""Which quantiles are kept, percent: enough to draw a distribution."""


Bounds: TypeAlias = tuple[float | None, float | None]


@dataclass(frozen=True)
class Quantiles:
    """A distribution of milliseconds: `percent` of the runs took no longer than `ms`, place by place."""

    percent: tuple[float, ...]
    ms: tuple[float, ...]


def distribution(ordered: Sequence[float]) -> Quantiles:
    """The quantiles of times, between two of them on the straight line, as numpy's percentiles are."""
    import numpy as np

    return Quantiles(LEVELS, tuple(float(each) for each in np.percentile(ordered, LEVELS)))


FAR: Final = 2.0
"""Times: nothing that this machine does to a few rounds makes them differ by as much."""


def median_bounds(blocks: NDArray[np.float64]) -> Bounds:
    """Lower and upper bound of the median of times in blocks, (blocks, runs), each wrong in at most ONE_SIDED.

    Returns:
        None for an end that so few blocks do not bound: five are the least.
    """
    import numpy as np

    return bounds(sorted(float(each) for each in np.median(blocks, 1)), 0.5)


def surely(median: float, told: Bounds | None) -> tuple[float, float]:
    """Ends to decide by: those of a median, and half or twice of it where so few rounds were timed that there are none.

    What a median is so far from is no question of a few rounds more.
    """
    low, high = told or (None, None)
    return median / FAR if low is None else low, median * FAR if high is None else high


def bounds(ordered: Sequence[float], share: float, error: float = ONE_SIDED) -> Bounds:
    """Lower and upper bound of a quantile, each wrong in at most `error` of all cases.

    Args:
        ordered: times, the shortest first; share: of the quantile, such as 0.99.
    Returns:
        None for an end that so few times do not bound.
    """
    low, high = ranks(len(ordered), share, error)
    return None if low is None else ordered[low - 1], None if high is None else ordered[high - 1]


def ranks(count: int, share: float, error: float = ONE_SIDED) -> tuple[int | None, int | None]:
    """The places, from 1, of the times that bound a quantile of so many from below and from above."""
    low = high = None
    under = 0.0  # probability that at most `place` times lie under the quantile
    for place in range(count):
        under += exactly(place, count, share)
        if under <= error:
            low = place + 1
        if under >= 1 - error:
            high = place + 1
            break
    return low, high
