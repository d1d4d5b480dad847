"""What edgekit builds for: a table of targets (target.py, table.py) and a look at the machine at hand (machine.py)."""

from __future__ import annotations

from edgekit.targets.machine import Inventory, Machine, adds_int8_in_16_bits, describe, processor, this_machine
from edgekit.targets.releases import Release
from edgekit.targets.table import TARGETS, dla_leaves_means, find, release_of, release_with
from edgekit.targets.target import Target

__all__ = [
    "TARGETS",
    "Inventory",
    "Machine",
    "Release",
    "Target",
    "adds_int8_in_16_bits",
    "describe",
    "dla_leaves_means",
    "find",
    "processor",
    "release_of",
    "release_with",
    "this_machine",
]
