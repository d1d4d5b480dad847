"""Times in words: what has passed exactly, what is left roughly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

SOON: Final = "a few seconds"

if TYPE_CHECKING:
    from edgekit.build.time_left import Left


def clock(seconds: float) -> str:
    """A time that has passed: 0.4 s, 12 s, 1:20 or 1:02:03."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def roughly(seconds: float) -> str:
    """A time to come: a few seconds, 30 s, 4 min or 1 h 20 min."""
    if seconds < 10:
        return SOON
    if seconds < 55:
        return f"{10 * math.ceil(seconds / 10)} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(5 * round(minutes / 5), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def time_left(left: Left | None) -> str:
    """What is said of the time that is left; empty where it is not known."""
    if left is None:
        return ""
    told = roughly(left.seconds)
    return f"{told} left" if told == SOON else f"{'at most' if left.at_most else 'about'} {told} left"
