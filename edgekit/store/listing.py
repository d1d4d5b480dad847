"""What the store keeps, row by row: its kind, size and last use, what is wrong with it; and removing it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgekit.json_files import json_file
from edgekit.store import entries
from edgekit.store.index import damage, lock_name
from edgekit.store.locks import holder, if_free, is_held

KILLED: Final = "left by a process that was killed"
STALE_S: Final = 3_600.0
"""A hidden file is what a writer has not renamed yet; after so long it never will."""


@dataclass(frozen=True)
class Listed:
    """One line of `edgekit cache ls`.

    Attributes:
        key: of the stage, or the name of the file.
        stage: whose it is; "?" where nothing says so, empty for what belongs to no stage.
        used: when, in seconds of the epoch; seconds: that making it took.
        problem: what is wrong with it, if anything is.
        kind: entry, unfinished (what a resumable stage has so far), work (what a stage is making, or left), latency,
            timing, index or lock.
        in_use: whether a process holds its lock.
    """

    key: str
    stage: str
    size_bytes: int
    used: float
    seconds: float
    problem: str | None = None
    kind: str = "entry"
    in_use: bool = False


def finished(root: Path, thorough: bool) -> list[Listed]:
    """Every entry, the most recently used first; `thorough` reads each file and compares it with its checksum."""
    return _sorted([row for _, row in _entries(root, thorough)])


def others(root: Path, thorough: bool) -> list[Listed]:
    """All that is not an entry, the most recently used first."""
    return _sorted([row for _, row in _others(root, thorough)])


def prune(
    root: Path,
    max_bytes: int | None,
    older_than_days: float | None,
    everything: bool,
    on_busy: Callable[[Listed], None],
) -> list[Listed]:
    """See Store.prune."""
    found = [*_entries(root, thorough=False), *_others(root, thorough=False)]
    kept_bytes, removed = 0, []
    for path, row in sorted(found, key=lambda each: -each[1].used):
        old = older_than_days is not None and time.time() - row.used > older_than_days * 86_400
        large = max_bytes is not None and row.size_bytes > 0 and kept_bytes + row.size_bytes > max_bytes
        if not (everything or old or large or row.problem is not None):
            kept_bytes += row.size_bytes
        elif _removed(root, path, row):
            removed.append(row)
        else:
            kept_bytes += row.size_bytes
            on_busy(replace(row, in_use=True))
    return removed


def _removed(root: Path, path: Path, row: Listed) -> bool:
    """Removes what a row is of, unless a process holds its lock. A lock file goes when it is let go of."""
    with if_free(root, _lock_of(row), "prune") as mine:
        if mine and path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif mine and row.kind != "lock":
            path.unlink(missing_ok=True)
        return mine


def _lock_of(row: Listed) -> str:
    return lock_name(row.key) if row.kind == "index" else row.key


def _sorted(rows: list[Listed]) -> list[Listed]:
    return sorted(rows, key=lambda row: -row.used)


def _entries(root: Path, thorough: bool) -> Iterator[tuple[Path, Listed]]:
    for path, used in _inside(root / "entries"):
        record = entries.read_record(path)
        wrong = entries.problem(path, record, thorough)
        stage, seconds = ("?", 0.0) if record is None else (record.stage, record.seconds)
        held = is_held(root / "locks" / path.name)
        yield path, Listed(path.name, stage, _size(path), used, seconds, wrong, "entry", held)


def _others(root: Path, thorough: bool) -> Iterator[tuple[Path, Listed]]:
    for path, used in _inside(root / "unfinished"):
        yield path, _of_stage(root, path, used, path.name, "?", "unfinished")
    for path, used in _inside(root / "work"):
        stage, _, key = path.name.rpartition("-")
        yield path, _of_stage(root, path, used, key, stage or "?", "work")
    for kind in ("latency", "timing", "index"):
        for path, used in _inside(root / kind):
            held = kind == "index" and is_held(root / "locks" / lock_name(path.name.lstrip(".")))
            if path.name.startswith("."):
                wrong = KILLED if time.time() - used > STALE_S else None
                yield path, Listed(path.name, "", _size(path), used, 0.0, wrong, "work", held)
            else:
                wrong = _wrong_with(path, kind, thorough)
                yield path, Listed(path.name, "", _size(path), used, 0.0, wrong, kind, held)
    for path, used in _inside(root / "locks"):
        yield path, _of_stage(root, path, used, path.name, "?", "lock")


def _of_stage(root: Path, path: Path, used: float, key: str, stage: str, kind: str) -> Listed:
    lock = root / "locks" / key
    whose, held = holder(lock), is_held(lock)
    wrong = KILLED if kind in ("work", "lock") and not held else None
    return Listed(key, whose.stage if whose else stage, _size(path), used, 0.0, wrong, kind, held)


def _wrong_with(path: Path, kind: str, thorough: bool) -> str | None:
    if kind == "index":
        return damage(path) if thorough else None
    if kind == "latency":
        try:
            json_file(path)
        except (OSError, ValueError):
            return "it is damaged"
    return None


def _inside(folder: Path) -> Iterator[tuple[Path, float]]:
    """What is in a folder, and when it was last used; what another process removes meanwhile is passed over."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        try:
            yield folder / name, (folder / name).stat().st_mtime
        except OSError:
            continue


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    total = 0
    for each in [path, *path.rglob("*")] if path.is_dir() else [path]:
        try:
            total += each.stat().st_size if each.is_file() else 0
        except OSError:
            continue
    return total
