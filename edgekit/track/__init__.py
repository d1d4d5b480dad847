"""Tracking of experiments: a build that is there, recorded as one run of a tracker.

A tracker is one module with `Tracker`, and its line in TRACKERS. Nothing that a build does depends on it: it reads the
bundle that was written.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from edgekit.track.record import Record, Tracked, record_of

Progress = Callable[[int, int], None]
"""Is told how many bytes are there, and how many there are in all."""

TRACKERS: Final = {"mlflow": "edgekit.track.mlflow_server"}
"""Name of a tracker: its module."""


class Tracker(Protocol):
    """Where runs go. Made when it has been asked whether it answers."""

    def keep(self, record: Record, on_progress: Progress) -> Tracked:
        """Records a build once: what an earlier call has recorded of it is completed, not repeated.

        Raises:
            UnavailableError: it cannot be reached, or does not take it.
        """


@dataclass(frozen=True)
class Tracking:
    """How builds are tracked: where, and whether all files of a bundle go there or those that tell of it."""

    tracker: Tracker
    whole: bool = False

    def of(self, bundle: Path, on_progress: Progress) -> Tracked:
        """Records the bundle of a build.

        Raises:
            InputError: it is no bundle, or a damaged one. UnavailableError: see Tracker.
        """
        return self.tracker.keep(record_of(bundle, self.whole), on_progress)


def tracking(name: str, whole: bool = False) -> Tracking:
    """How builds are tracked by a tracker that answers.

    Args:
        name: of TRACKERS; whole: whether all files of bundles are kept.
    Raises:
        InputError: nothing says where it is. UnavailableError: it cannot be reached, or does not let this user in.
        ImportError: its package is not installed.
    """
    tracker: Tracker = importlib.import_module(TRACKERS[name]).Tracker()
    return Tracking(tracker, whole)
