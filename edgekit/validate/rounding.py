"""Counts as people say them; imports nothing, so that reports are rendered without numpy."""

from __future__ import annotations


def about(count: int) -> str:
    """A count rounded up to two digits that mean something: 5823 is "about 5,900"."""
    unit = 10 ** max(0, len(str(count)) - 2)
    return f"about {-(-count // unit) * unit:,}"
