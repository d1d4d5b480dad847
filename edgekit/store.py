"""The stage store: finished stages by the digest of what decided them. Atomic, checksummed, locked between processes.

Layout: ROOT/entries/KEY/ holds what a stage wrote and `entry.json` with its stage, time and the SHA-256 of each file;
ROOT/work/ what is being made; ROOT/locks/ one lock file a key. An entry appears by one rename, whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgekit import __version__
from edgekit.errors import InputError

LAYOUT: Final = 1
ENTRY_FILE: Final = "entry.json"
FULL_BYTES: Final = 1 << 16


@dataclass(frozen=True)
class Entry:
    """A finished stage: the directory of what it wrote, whether it was there before, and the seconds it took now."""

    path: Path
    cached: bool
    seconds: float


@dataclass(frozen=True)
class Listed:
    """One line of `edgekit cache ls`; `problem` says what is wrong with it, if anything is."""

    key: str
    stage: str
    size_bytes: int
    used: float
    seconds: float
    problem: str | None = None


def default_root() -> Path:
    """$EDGEKIT_CACHE, or edgekit/ in $XDG_CACHE_HOME or ~/.cache."""
    told = os.environ.get("EDGEKIT_CACHE")
    if told:
        return Path(told)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgekit"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class Store:
    """The store under one root directory, made when first written to."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def key(self, stage: str, inputs: Mapping[str, Any]) -> str:
        """The digest of everything that decides a stage: its name, its inputs, edgekit's version."""
        whole = {"layout": LAYOUT, "edgekit": __version__, "stage": stage, "inputs": inputs}
        return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def get(self, key: str) -> Path | None:
        """The directory of a finished entry whose files are as they were left (sizes and times); else None."""
        path = self.root / "entries" / key
        return path if _problem(path, thorough=False) is None else None

    def build(self, key: str, stage: str, make: Callable[[Path], None]) -> Entry:
        """The entry of a key, made by `make` in an empty directory if it is not there.

        Two processes that want the same entry make it once: the second waits. What `make` leaves when it fails or is
        killed is never seen. A damaged entry is made again.

        Raises:
            InputError: the disk is full, or the store cannot be written.
        """
        began = time.monotonic()
        found = self.get(key)
        if found is None:
            try:
                with self._locked(key):
                    found = self.get(key)  # another process may have made it while this one waited
                    if found is None:
                        return Entry(self._make(key, stage, make), False, time.monotonic() - began)
            except OSError as error:
                raise _refusal(error, self.root) from error
        with contextlib.suppress(OSError):
            os.utime(found)  # when it was last used, for prune
        return Entry(found, True, time.monotonic() - began)

    def _make(self, key: str, stage: str, make: Callable[[Path], None]) -> Path:
        final = self.root / "entries" / key
        work = Path(tempfile.mkdtemp(prefix=f"{stage}-", dir=_directory(self.root / "work")))
        began = time.monotonic()
        try:
            make(work)
            told = {"stage": stage, "key": key, "seconds": time.monotonic() - began, "files": _hashes(work)}
            (work / ENTRY_FILE).write_text(json.dumps(told, indent=1))
            _sync(work)
            if final.exists():
                shutil.rmtree(final)
            os.replace(work, _directory(final.parent) / key)
        except (RuntimeError, ValueError) as error:
            # Libraries that write with C++ streams do not say why a write failed; a disk that is full does.
            if shutil.disk_usage(work).free < FULL_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(work)) from error
            raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return final

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        import fcntl

        path = _directory(self.root / "locks") / key
        with path.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def ls(self) -> list[Listed]:
        """Every entry, the most recently used first."""
        return self._listed(thorough=False)

    def verify(self) -> list[Listed]:
        """Every entry, each file read and compared with its checksum."""
        return self._listed(thorough=True)

    def _listed(self, thorough: bool) -> list[Listed]:
        folder = self.root / "entries"
        rows = []
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            told = _told(path) or {}
            rows.append(
                Listed(
                    path.name,
                    str(told.get("stage", "?")),
                    sum(f.stat().st_size for f in path.rglob("*") if f.is_file()),
                    path.stat().st_mtime,
                    float(told.get("seconds", 0.0)),
                    _problem(path, thorough),
                )
            )
        return sorted(rows, key=lambda row: -row.used)

    def prune(
        self, max_bytes: int | None = None, older_than_days: float | None = None, everything: bool = False
    ) -> list[Listed]:
        """Removes damaged entries, those not used for so many days, and the oldest until `max_bytes` are left.

        What killed runs left half done goes too. Entries that a running build holds the lock of stay.
        """
        kept_bytes, removed = 0, []
        for row in self.ls():
            old = older_than_days is not None and time.time() - row.used > older_than_days * 86_400
            large = max_bytes is not None and kept_bytes + row.size_bytes > max_bytes
            if everything or old or large or row.problem is not None:
                shutil.rmtree(self.root / "entries" / row.key, ignore_errors=True)
                removed.append(row)
            else:
                kept_bytes += row.size_bytes
        self._drop_leftovers()
        return removed

    def _drop_leftovers(self) -> None:
        """Removes work directories that nobody has written to for a day: their makers were killed."""
        folder = self.root / "work"
        for path in folder.iterdir() if folder.is_dir() else []:
            if time.time() - path.stat().st_mtime > 86_400:
                shutil.rmtree(path, ignore_errors=True)


def _directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _hashes(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    return {
        f.relative_to(folder).as_posix(): {
            "sha256": file_sha256(f),
            "size_bytes": f.stat().st_size,
            "time_ns": f.stat().st_mtime_ns,
        }
        for f in files
    }


def _sync(folder: Path) -> None:
    """Puts every file on the disk, so that a power cut after the rename leaves no empty ones."""
    for path in [*(f for f in folder.rglob("*") if f.is_file()), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _told(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((path / ENTRY_FILE).read_text())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) and isinstance(told.get("files"), dict) else None


def _problem(path: Path, thorough: bool) -> str | None:
    """What is wrong with an entry. A file whose size and time are as they were left is read only if `thorough`."""
    told = _told(path)
    if told is None:
        return "its record is missing or damaged"
    for name, facts in told["files"].items():
        file = path / name
        try:
            state = file.stat()
        except OSError:
            return f"{name} is missing"
        if state.st_size != facts["size_bytes"]:
            return f"{name} has changed"
        touched = state.st_mtime_ns != facts["time_ns"]
        if (thorough or touched) and file_sha256(file) != facts["sha256"]:
            return f"{name} has changed"
    return None


def _refusal(error: OSError, root: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InputError(f"the disk of the store {root} is full", "Free some space, or `edgekit cache prune --all`.")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR):
        return InputError(
            f"the store {root} cannot be written: {error.strerror}", "Set EDGEKIT_CACHE to another folder."
        )
    return error
