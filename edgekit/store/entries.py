"""An entry of the store: the files that a stage wrote, and the record of their sizes, times and checksums."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from edgekit.store.root import file_sha256

ENTRY_FILE: Final = "entry.json"


@dataclass(frozen=True)
class FileFacts:
    """One file as its stage left it."""

    sha256: str
    size_bytes: int
    time_ns: int


@dataclass(frozen=True)
class Subject:
    """What a stage was run for: names of the network and of the target, empty where nobody told. In no key."""

    model: str = ""
    target: str = ""


@dataclass(frozen=True)
class Record:
    """What entry.json says: the stage, its key, the seconds that it took, its files by name, and what it was for."""

    stage: str
    key: str
    seconds: float
    files: Mapping[str, FileFacts]
    subject: Subject = Subject()


def write_record(folder: Path, stage: str, key: str, seconds: float, subject: Subject) -> None:
    """Writes entry.json about the files in a folder, and puts all of them on the disk.

    A power cut after the folder is renamed then leaves no empty ones.
    """
    record = folder / ENTRY_FILE
    record.unlink(missing_ok=True)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): _facts(path) for path in paths}
    record.write_text(json.dumps(asdict(Record(stage, key, seconds, files, subject)), indent=1))
    for path in [*paths, record, folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _facts(path: Path) -> FileFacts:
    state = path.stat()
    return FileFacts(file_sha256(path), state.st_size, state.st_mtime_ns)


def read_record(folder: Path) -> Record | None:
    """What entry.json says; None if it is missing or damaged."""
    try:
        return record_of((folder / ENTRY_FILE).read_bytes())
    except OSError:
        return None


def record_of(content: bytes) -> Record | None:
    """What the content of an entry.json says; None if it is damaged."""
    try:
        read = json.loads(content)
        files = {
            str(name): FileFacts(str(each["sha256"]), int(each["size_bytes"]), int(each["time_ns"]))
            for name, each in read["files"].items()
        }
        told = read.get("subject", {})  # entries of older versions have none
        subject = Subject(str(told.get("model", "")), str(told.get("target", "")))
        return Record(str(read["stage"]), str(read["key"]), float(read["seconds"]), files, subject)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def problem(folder: Path, record: Record | None, thorough: bool) -> str | None:
    """What is wrong with an entry. A file whose size and time are as they were left is read only if `thorough`.

    Args:
        folder: named by its key.
    """
    if record is None:
        return "its record is missing or damaged"
    if record.key != folder.name:
        return "its record is of another entry"
    for name, facts in record.files.items():
        file = folder / name
        try:
            state = file.stat()
            if state.st_size != facts.size_bytes:
                return f"{name} has changed"
            touched = state.st_mtime_ns != facts.time_ns
            if (thorough or touched) and file_sha256(file) != facts.sha256:
                return f"{name} has changed"
        except OSError:
            return f"{name} is missing"
    return None
