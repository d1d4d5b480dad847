"""A store that several machines share: what it can be asked, and the verification of all that comes from it.

What comes is trusted no further than this: the record is of the key that was asked for, names stay inside the entry's
folder, and each file has the size and the SHA-256 that the record tells. That the files are what the stage would have
made nobody can tell from a key, so that a shared store must be one's own.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from edgekit.store.entries import ENTRY_FILE, FileFacts, Record, record_of, write_record
from edgekit.store.root import prepared

RECORD_BYTES: Final = 4 << 20
MOST_FILES: Final = 10_000
SPARE_BYTES: Final = 64 << 20
"""What must stay free on the disk."""

KEY: Final = re.compile(r"[0-9a-f]{64}")
_STAGE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")

Content = Callable[[str, int], Iterator[bytes]]
"""Given a file's name and size, its bytes in pieces."""


class UntrueError(Exception):
    """What came is not what was asked for, or not what was told of it."""


class UnreachableError(Exception):
    """A shared store does not answer, or breaks off."""


@dataclass(frozen=True)
class Claimed:
    """What came of a claim to make an entry.

    Attributes:
        yours: whether whoever asked makes it; holder: who does if not.
        takes: whether the store will take what is made.
    """

    yours: bool
    holder: str = ""
    takes: bool = True


class Shared(Protocol):
    """Finished stages elsewhere, by their keys. Everything here raises UnreachableError where there is no answer."""

    @property
    def place(self) -> str:
        """Where it is, as a sentence names it."""
        ...

    def record(self, key: str) -> bytes | None:
        """The content of an entry's record; None where there is no such entry."""
        ...

    def content(self, key: str, name: str, size_bytes: int) -> Iterator[bytes]:
        """A file of an entry, in pieces; no more than a little above `size_bytes` is ever read."""
        ...

    def offer(self, key: str, record: bytes, contents: Iterator[bytes], size_bytes: int) -> None:
        """Gives a finished entry: its record, then its files one after another in the record's order.

        Args:
            size_bytes: of all files together.
        """
        ...

    def claim(self, key: str, who: str, what: str) -> Claimed:
        """Asks to make an entry, or renews the claim: it ends some seconds after it was last renewed."""
        ...

    def let_go(self, key: str, who: str) -> None:
        """Ends a claim."""
        ...


def told_record(content: bytes, key: str, stage: str | None = None) -> Record:
    """The record of an entry as a stranger tells it.

    Args:
        stage: whose it must be; None takes any.
    Raises:
        UntrueError: it is damaged, of another entry, or tells of files that must not be written.
    """
    record = record_of(content) if len(content) <= RECORD_BYTES else None
    if record is None:
        raise UntrueError("the record of an entry is damaged")
    if record.key != key or not KEY.fullmatch(key):
        raise UntrueError("an entry is of another key than was asked for")
    if not _STAGE.fullmatch(record.stage) or stage not in (None, record.stage):
        raise UntrueError("an entry is of another stage than was asked for")
    if not (math.isfinite(record.seconds) and record.seconds >= 0):
        raise UntrueError("an entry tells of no number of seconds")
    if len(record.files) > MOST_FILES:
        raise UntrueError("an entry tells of too many files")
    for name, facts in record.files.items():
        if not is_inside(name):
            raise UntrueError("a file of an entry has a name that leads out of its folder")
        if facts.size_bytes < 0 or not KEY.fullmatch(facts.sha256):
            raise UntrueError(f"an entry tells of no size and hash of {name}")
    return record


def is_inside(name: str) -> bool:
    """Whether a file's name is a plain relative path, and not that of the record itself."""
    try:
        parts = [os.fsencode(part) for part in name.split("/")]
    except UnicodeEncodeError:
        return False
    plain = all(part not in (b"", b".", b"..") and len(part) <= 255 and b"\0" not in part for part in parts)
    return plain and len(parts) <= 16 and "\\" not in name and name != ENTRY_FILE


def put_in_place(root: Path, record: Record, content: Content) -> Path:
    """Writes an entry that comes from elsewhere: every file verified, and then all of them by one rename.

    The caller holds the lock of its key.

    Raises:
        UntrueError: what comes is not what the record tells.
        UnreachableError: it breaks off.
        OSError: the store cannot be written.
    """
    work = prepared(root, "work") / f"{record.stage}-{record.key}"
    shutil.rmtree(work, ignore_errors=True)  # of a process that was killed: this one has the lock now
    total = sum(each.size_bytes for each in record.files.values())
    if total + SPARE_BYTES > shutil.disk_usage(root).free:
        raise UntrueError(f"an entry tells of {total} bytes, for which the disk has no room")
    work.mkdir()
    try:
        for name, facts in record.files.items():
            _written(work, name, facts, content)
        write_record(work, record.stage, record.key, record.seconds, record.subject)
        final = prepared(root, "entries") / record.key
        if final.exists():
            shutil.rmtree(final)
        os.replace(work, final)
        return final
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _written(work: Path, name: str, facts: FileFacts, content: Content) -> None:
    """One file of an entry, in a folder where there is nothing that anyone else could have made: no links above all."""
    path = work / name
    digest, size = hashlib.sha256(), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("xb")
    except (FileExistsError, NotADirectoryError) as error:
        raise UntrueError(f"two files of an entry cannot be beside each other: {name}") from error
    with file, closing(_closable(content(name, facts.size_bytes))) as pieces:
        for piece in pieces:
            size += len(piece)
            if size > facts.size_bytes:
                raise UntrueError(f"{name} is longer than was told")
            digest.update(piece)
            file.write(piece)
    if size < facts.size_bytes:
        raise UnreachableError(f"{name} broke off after {size} of {facts.size_bytes} bytes")
    if digest.hexdigest() != facts.sha256:
        raise UntrueError(f"{name} has not the hash that was told")


def _closable(pieces: Iterator[bytes]) -> Generator[bytes, None, None]:
    yield from pieces


def contents_of(folder: Path, record: Record, piece_bytes: int = 1 << 20) -> Iterator[bytes]:
    """The files of an entry one after another, in pieces, in the order of its record.

    Raises:
        OSError: one cannot be read.
    """
    for name in record.files:
        with (folder / name).open("rb") as file:
            while piece := file.read(piece_bytes):
                yield piece
