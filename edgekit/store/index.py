"""The content index: SHA-256 of files that were read before, so that nothing unchanged is read again.

A file is unchanged when its inode, size, mtime and ctime are what they were: `cp -p` and rsync keep mtimes, the other
three tell. A file that was touched within the clock's step before it was read is not kept, since it could change once
more and look the same (git's index calls such entries racy).

One file a folder: a line that says what it is, the SHA-256 of the rest, a line of JSON, a row of fixed size for each
name, the names. A damaged one counts as empty.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from edgekit.store.locks import if_free
from edgekit.store.root import default_root, prepared

MAGIC: Final = b"edgekit content index 1\n"
ROW: Final = struct.Struct("<QQqq32sB")
STEP_NS: Final = 2_000_000_000
"""The coarsest step of a clock that file times come from (FAT's)."""

SAVE_TRIES: Final = 20
UNKNOWN, WHOLE, BROKEN = 0, 1, 2

Row: TypeAlias = tuple[int, int, int, int, bytes, int]
"""Inode, size, mtime_ns, ctime_ns, SHA-256, and whether the file is a whole image."""


class Content(NamedTuple):
    """What is in a file: its SHA-256, and whether it is a whole image (None: nobody looked)."""

    sha256: str
    whole: bool | None


class ContentIndex:
    """What is known of files, kept under one root of a store; a store that cannot be written keeps nothing."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()

    def folder(self, folder: str | Path, reader: str = "") -> FolderIndex:
        """What is known of the files in and below a folder.

        Args:
            reader: what decides whether an image is whole, with its version; what another one said is forgotten. Empty
                where no images are looked at.
        """
        return FolderIndex(self.root, os.path.abspath(folder), reader)

    def sha256(self, path: Path) -> str:
        """SHA-256 of a file, which is read only if it is not known.

        Raises:
            OSError: it cannot be read.
        """
        known = self.folder(path.parent)
        digest = known.sha256(path.name)
        known.save()
        return digest


class FolderIndex:
    """What is known of the files of one folder. Names are paths relative to it. Threads may read at once."""

    def __init__(self, root: Path, folder: str, reader: str) -> None:
        self._root, self._folder, self._reader = root, folder, reader
        self._name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]
        self._path = root / "index" / self._name
        self._new: dict[str, Row] = {}
        self._known: Mapping[str, Row] = self._loaded()
        with contextlib.suppress(OSError):
            os.utime(self._path)  # when it was last used, for prune

    def find(self, name: str) -> Content | None:
        """What is known of a file as it is now; None if nothing is, or it is not there."""
        try:
            now = os.stat(os.path.join(self._folder, name))
        except (OSError, ValueError):  # a name that no file can have is a ValueError
            return None
        row = self._known.get(name)
        if row is None or row[:4] != (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns):
            return None
        return Content(row[4].hex(), None if row[5] == UNKNOWN else row[5] == WHOLE)

    def sha256(self, name: str) -> str:
        """SHA-256 of a file, which is read, in pieces, only if it is not known.

        Raises:
            OSError: it cannot be read.
        """
        known = self.find(name)
        if known is not None:
            return known.sha256
        began = time.time_ns()
        with open(os.path.join(self._folder, name), "rb") as file:
            before, digest = os.fstat(file.fileno()), hashlib.sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)
            self._keep(name, before, os.fstat(file.fileno()), began, (digest.digest(), UNKNOWN))
        return digest.hexdigest()

    def image(self, name: str, is_whole: Callable[[bytes], bool], most_bytes: int) -> Content:
        """The content of an image file, which is read and looked at only if it is not known.

        Args:
            is_whole: looks at what the file holds; most_bytes: of a larger file only the SHA-256 is taken.
        Raises:
            OSError: it cannot be read.
        """
        known = self.find(name)
        if known is not None and known.whole is not None:
            return known
        began = time.time_ns()
        with open(os.path.join(self._folder, name), "rb") as file:
            before, content = os.fstat(file.fileno()), file.read(most_bytes + 1)
            digest, whole = hashlib.sha256(content), len(content) <= most_bytes and is_whole(content)
            while piece := file.read(1 << 20):
                digest.update(piece)
            after = os.fstat(file.fileno())
        self._keep(name, before, after, began, (digest.digest(), WHOLE if whole else BROKEN))
        return Content(digest.hexdigest(), whole)

    def _keep(
        self, name: str, before: os.stat_result, after: os.stat_result, began_ns: int, found: tuple[bytes, int]
    ) -> None:
        facts = _facts(before)
        if facts == _facts(after) and max(before.st_mtime_ns, before.st_ctime_ns) < began_ns - STEP_NS:
            self._new[name] = (*facts, *found)

    def save(self) -> None:
        """Puts what was read now beside what the store has, which another process may have added to meanwhile."""
        if not self._new:
            return
        with contextlib.suppress(OSError):
            for _ in range(SAVE_TRIES):
                with if_free(self._root, lock_name(self._name), "index") as mine:
                    if mine:
                        self._write()
                        return
                time.sleep(0.1)

    def _write(self) -> None:
        """Writes the file anew, whole; without the files that are no longer there."""
        kept = {name: row for name, row in self._loaded().items() if name in self._new or self._is_there(name)}
        rows = {**kept, **self._new}
        header = json.dumps({"folder": self._folder, "reader": self._reader, "count": len(rows)}) + "\n"
        names = "\0".join(rows).encode("utf-8", "surrogateescape")
        payload = header.encode() + b"".join(ROW.pack(*row) for row in rows.values()) + names
        partial = prepared(self._root, "index") / f".{self._name}"
        with partial.open("wb") as file:
            file.writelines((MAGIC, hashlib.sha256(payload).digest(), payload))
        os.replace(partial, self._path)
        self._known, self._new = rows, {}

    def _is_there(self, name: str) -> bool:
        return os.path.lexists(os.path.join(self._folder, name))

    def _loaded(self) -> dict[str, Row]:
        """The rows of the file; none if it is missing or damaged."""
        payload = _payload(self._path)
        if payload is None:
            return {}
        end = payload.index(b"\n") + 1
        header = json.loads(payload[:end])
        if header["folder"] != self._folder or not header["count"]:
            return {}
        split = end + ROW.size * int(header["count"])
        names = payload[split:].decode("utf-8", "surrogateescape").split("\0")
        rows: dict[str, Row] = dict(zip(names, ROW.iter_unpack(payload[end:split]), strict=True))
        self._reader = self._reader or str(header["reader"])
        if self._reader == header["reader"]:
            return rows
        return {name: (*row[:5], UNKNOWN) for name, row in rows.items()}


def lock_name(name: str) -> str:
    """The lock of an index file."""
    return f"index-{name}"


def damage(path: Path) -> str | None:
    """What is wrong with an index file, if anything is."""
    return "its checksum is not that of its content" if path.exists() and _payload(path) is None else None


def _payload(path: Path) -> bytes | None:
    """What follows the checksum of an index file; None if that is not its checksum. What is written is as it says."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    start = len(MAGIC) + hashlib.sha256().digest_size
    payload = content[start:]
    if not content.startswith(MAGIC) or content[len(MAGIC) : start] != hashlib.sha256(payload).digest():
        return None
    return payload


def _facts(state: os.stat_result) -> tuple[int, int, int, int]:
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns
