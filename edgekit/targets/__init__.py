"""What edgekit builds for: a table of targets (table.py) and a look at the machine at hand (machine.py)."""

from __future__ import annotations

from edgekit.targets.machine import Machine, describe, processor
from edgekit.targets.table import TARGETS, Target, find, require

__all__ = ["TARGETS", "Machine", "Target", "describe", "find", "processor", "require"]
