"""What an entry's record says, and what is wrong with entries that were changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgekit.store.entries import ENTRY_FILE, Record, Subject, problem, read_record, record_of, write_record


@pytest.fixture
def entry(tmp_path: Path) -> Path:
    """An entry with a file and one in a folder, named by its key."""
    folder = tmp_path / "ab12"
    (folder / "inside").mkdir(parents=True)
    (folder / "net.onnx").write_bytes(b"a network")
    (folder / "inside" / "facts.json").write_bytes(b"{}")
    write_record(folder, "export", "ab12", 2.5, Subject("inception_v4", "cpu"))
    return folder


def record(folder: Path) -> Record:
    found = read_record(folder)
    assert found is not None
    return found


def test_a_record_says_what_was_kept_and_for_whom(entry: Path) -> None:
    told = record(entry)
    assert (told.stage, told.key, told.seconds) == ("export", "ab12", 2.5)
    assert told.subject == Subject("inception_v4", "cpu")
    assert {name: facts.size_bytes for name, facts in told.files.items()} == {"inside/facts.json": 2, "net.onnx": 9}
    assert problem(entry, told, thorough=True) is None
    write_record(entry, "export", "ab12", 3.0, Subject())
    assert ENTRY_FILE not in record(entry).files, "a record that is written again is no file of itself"


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [(None, Subject()), ({}, Subject()), ({"model": "a"}, Subject("a")), ({"target": "b"}, Subject(target="b"))],
)
def test_records_of_older_versions_are_for_nobody(entry: Path, subject: Any, wanted: Subject) -> None:
    told = json.loads((entry / ENTRY_FILE).read_text())
    del told["subject"]
    if subject is not None:
        told["subject"] = subject
    made = record_of(json.dumps(told).encode())
    assert made is not None
    assert made.subject == wanted


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"stage": "a"}', b'{"files": {"a": {}}}', b'{"files": 3}', b"\xff", b"[" * 100_000]
)
def test_what_is_no_record_is_damaged(content: bytes) -> None:
    assert record_of(content) is None


def test_what_is_wrong_is_said(entry: Path) -> None:
    told = record(entry)
    assert problem(entry, None, thorough=False) == "its record is missing or damaged"
    assert problem(entry.rename(entry.with_name("cd34")), told, thorough=False) == "its record is of another entry"
    entry = entry.with_name("cd34").rename(entry)
    (entry / "net.onnx").write_bytes(b"another")
    assert problem(entry, told, thorough=False) == "net.onnx has changed"
    (entry / "net.onnx").write_bytes(b"A network")
    assert problem(entry, told, thorough=False) == "net.onnx has changed", "its time tells"
    (entry / "net.onnx").write_bytes(b"a network")
    assert problem(entry, told, thorough=False) is None, "another time with the same content is no change"
    (entry / "inside" / "facts.json").unlink()
    assert problem(entry, told, thorough=False) == "inside/facts.json is missing"
