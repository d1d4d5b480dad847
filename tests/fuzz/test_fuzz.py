"""Hostile files, a few of each kind: read, or refused in words, in time and in bounds. `make fuzz` reads thousands."""

from __future__ import annotations

import pytest
from engine import read_known, read_new
from targets import TARGETS

QUICK = [each for each in TARGETS if not each.heavy]
CASES = 15


@pytest.mark.parametrize("target", QUICK, ids=[each.name for each in QUICK])
def test_hostile_files_are_read_or_refused(target) -> None:  # type: ignore[no-untyped-def]
    read_known(target)
    assert read_new(target, max(4, round(CASES * target.share)), None).cases
