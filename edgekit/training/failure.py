"""A training that came to nothing; light, so that what only tells of it needs no torch."""

from __future__ import annotations

from edgekit.errors import InputError


class TrainingFailed(InputError):
    """A training diverged, or its process was ended: whoever can do without its result goes on."""
