"""What stages took before: the most alike ones count, and old entries are read as well."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.store import PastTimes, Store, Subject, Took

CPU, BOARD, OTHER = Subject("net", "cpu"), Subject("net", "arm64"), Subject("other", "cpu")


def test_the_same_network_on_the_same_target_counts_first() -> None:
    took = [Took("quantize", 10, CPU), Took("quantize", 50, BOARD), Took("quantize", 90, OTHER), Took("export", 1, CPU)]
    assert PastTimes(tuple(took)).seconds("quantize", CPU) == 10
    assert PastTimes(tuple(took[1:])).seconds("quantize", CPU) == 50
    assert PastTimes(tuple(took[2:])).seconds("quantize", CPU) == 90
    assert PastTimes(tuple(took[3:])).seconds("quantize", CPU) is None


def test_one_slow_run_does_not_count_and_old_ones_are_forgotten() -> None:
    took = tuple(Took("quantize", each, CPU) for each in (10, 11, 300, 12, 9, 500, 500, 500))
    assert PastTimes(took).seconds("quantize", CPU) == 11


def test_a_store_tells_what_its_entries_took_and_for_what(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.past() == PastTimes(())
    store.build("a" * 64, "export", lambda folder: None, subject=CPU)
    found = store.past().took
    assert [(each.stage, each.subject) for each in found] == [("export", CPU)]
    assert store.past().seconds("export", CPU) == pytest.approx(found[0].seconds)


def test_entries_of_older_versions_are_whole_and_count(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.build("a" * 64, "export", lambda folder: None, subject=CPU).path / "entry.json"
    record = json.loads(path.read_text())
    del record["subject"]
    path.write_text(json.dumps(record | {"seconds": 7.5}))
    assert store.get("a" * 64) is not None
    assert store.past().seconds("export", CPU) == 7.5


def test_damaged_entries_are_passed_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    path = store.build("a" * 64, "export", lambda folder: None).path / "entry.json"
    path.write_text('{"stage": "export", "subject": []}')
    assert store.past() == PastTimes(())
