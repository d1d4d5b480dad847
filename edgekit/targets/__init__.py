"""What edgekit builds for: a table of targets (table.py) and a look at the machine at hand (machine.py)."""

from __future__ import annotations

from edgekit.targets.machine import Machine, describe, processor
from edgekit.targets.table import TARGETS, Release, Target, find, release_of, release_with

__all__ = ["TARGETS", "Machine", "Release", "Target", "describe", "find", "processor", "release_of", "release_with"]
