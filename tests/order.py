"""Files whose tests take longest, longest first: the last one that is begun must not go on for minutes alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

LONGEST: Final[Sequence[str]] = (
    "test_pruning.py",
    "test_user_models.py",
    "test_commands_in_docs.py",
    "test_headline.py",
    "test_locked.py",
    "test_paper_networks.py",
    "test_devices.py",
    "test_faults.py",
    "test_small_networks_deep.py",
)


def longest_first(items: list[pytest.Item]) -> None:
    """Sorts tests by their files; those of a file stay in their order, as do all other files."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(Path(item.path).name, len(place)))
