"""What stages took before: what an estimate of the time that is left is made of."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from edgekit.store.entries import Subject, read_record

MOST: Final = 2_000
"""Entries that are looked at, the most recently used first: more would make a build begin late."""

LATEST: Final = 5
"""Times of alike entries that the median is of: a machine may have been slower once."""


@dataclass(frozen=True)
class Took:
    """A stage that was made once: its name, the seconds that it took, and what it was for."""

    stage: str
    seconds: float
    subject: Subject


@dataclass(frozen=True)
class PastTimes:
    """Stages that were made, the most recently used first."""

    took: tuple[Took, ...]

    def seconds(self, stage: str, subject: Subject) -> float | None:
        """What a stage may take for a subject: the median of the most alike ones; None where it was never made.

        Alike is first the same network on the same target, then the same network, then any.
        """
        same = [each for each in self.took if each.stage == stage]
        for alike in _ALIKE:
            found = [each.seconds for each in same if alike(each.subject, subject)]
            if found:
                return median(found[:LATEST])
        return None


_ALIKE: Final[tuple[Callable[[Subject, Subject], bool], ...]] = (
    lambda past, now: past == now,
    lambda past, now: past.model == now.model,
    lambda past, now: True,
)


def past_times(root: Path) -> PastTimes:
    """Of a store, what its entries say; of one that cannot be read, nothing."""
    try:
        with os.scandir(root / "entries") as found:
            dated = sorted(((each.stat().st_mtime, each.path) for each in found), reverse=True)[:MOST]
    except OSError:
        return PastTimes(())
    records = (read_record(Path(path)) for _, path in dated)
    return PastTimes(tuple(Took(each.stage, each.seconds, each.subject) for each in records if each is not None))
