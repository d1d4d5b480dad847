"""Scales of plots: from values to pixels, with round ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A scale from values to pixels, with its ticks."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    is_log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high, here = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return self.start + (here - low) / (high - low) * (self.end - self.start)


def _nice_step(span: float, count: int) -> float:
    rough = span / count
    unit = 10.0 ** math.floor(math.log10(rough))
    return next(unit * each for each in (1, 2, 2.5, 5, 10) if unit * each >= rough * 0.999)


def linear_axis(low: float, high: float, start: float, end: float, top: float = math.inf) -> Axis:
    """An axis that holds low to high with some air, at round ticks; never above `top`."""
    span = max(high - low, abs(high) * 1e-3, 1e-3)
    step = _nice_step(span * 1.1, 5)
    first = max(0.0, math.floor((low - span * 0.05) / step) * step)
    last = math.ceil((high + span * 0.05) / step) * step
    last = last if last <= top else max(top, high)
    ticks = [first + i * step for i in range(round((last - first) / step + 0.499) + 1)]
    return Axis(first, last, start, end, tuple(round(t, 9) for t in ticks if t <= last + step * 1e-6))


def log_axis(low: float, high: float, start: float, end: float) -> Axis:
    """A logarithmic axis that holds low to high with some air, with ticks at 1, 2 and 5."""
    low, high = low / 1.25, high * 1.35
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = (1, 2, 5) if high / low < 300 else (1,)
    ticks = tuple(m * 10.0**d for d in decades for m in marks if low <= m * 10.0**d <= high)
    return Axis(low, high, start, end, ticks, True)
