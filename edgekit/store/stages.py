"""The stage store: finished stages by the digest of what decided them. Atomic, checksummed, locked between processes.

An entry appears by one rename, whole or not at all. See edgekit.store for the layout.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit import __version__
from edgekit.store import entries, listing
from edgekit.store.entries import Subject
from edgekit.store.index import ContentIndex
from edgekit.store.listing import Listed
from edgekit.store.locks import if_free, locked
from edgekit.store.past import PastTimes, past_times
from edgekit.store.root import default_root, prepared, refusal

if TYPE_CHECKING:
    from edgekit.store.sharing import Sharing

LAYOUT: Final = 1
PROBE_BYTES: Final = 1 << 16
NOBODY: Final = Subject()


@dataclass(frozen=True)
class Entry:
    """A finished stage: the directory of what it wrote, whether it was there before, and the seconds it took now."""

    path: Path
    cached: bool
    seconds: float


def _try_to_write(folder: Path, error: Exception) -> None:
    """Writes a little, and removes it again.

    Raises:
        OSError: that cannot be done: the disk is full, or read-only, or a quota is used up.
    """
    probe = folder / ".probe"
    try:
        with probe.open("wb", buffering=0) as file:
            file.write(bytes(PROBE_BYTES))
            os.fsync(file.fileno())
        probe.unlink()
    except OSError as why:
        raise why from error


class Store:
    """The store under one root directory, made when first written to.

    Args:
        sharing: another store, whose entries are fetched where this one has none, and which is offered what is made.
    """

    def __init__(self, root: Path | None = None, sharing: Sharing | None = None) -> None:
        self.root = root or default_root()
        self.sharing = sharing

    @property
    def index(self) -> ContentIndex:
        """Content hashes of the user's files, kept here."""
        return ContentIndex(self.root)

    def key(self, stage: str, inputs: Mapping[str, Any]) -> str:
        """The digest of everything that decides a stage: its name, its inputs, edgekit's version."""
        whole = {"layout": LAYOUT, "edgekit": __version__, "stage": stage, "inputs": inputs}
        return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def get(self, key: str) -> Path | None:
        """The directory of a finished entry whose files are as they were left (sizes and times); else None."""
        path = self.root / "entries" / key
        return path if entries.problem(path, entries.read_record(path), thorough=False) is None else None

    def find(self, key: str, stage: str) -> Path | None:
        """As `get`, and where there is none, the entry of the shared store, put here; None where that has none either.

        An entry that another process is making here is not waited for.

        Raises:
            InputError: the disk is full, or the store cannot be written.
        """
        found = self.get(key)
        if found is not None or self.sharing is None:
            return found
        try:
            with if_free(self.root, key, stage) as mine:
                return self.get(key) or self.sharing.fetch(self.root, key, stage) if mine else None
        except OSError as error:
            raise refusal(error, self.root) from error

    def troubles(self) -> tuple[str, ...]:
        """What went wrong with the shared store since this was last asked."""
        return () if self.sharing is None else self.sharing.troubles()

    def build(
        self,
        key: str,
        stage: str,
        make: Callable[[Path], None],
        resumable: bool = False,
        on_wait: Callable[[str], None] = lambda text: None,
        subject: Subject = NOBODY,
        is_complete: Callable[[Path], bool] = lambda folder: True,
    ) -> Entry:
        """The entry of a key, made by `make` in a directory of its own if it is not there.

        Two processes that want the same entry make it once: the second waits. What `make` leaves when it fails or is
        killed is never an entry. A damaged entry is made again.

        Args:
            resumable: the directory is kept when `make` fails or is killed, and handed to the next `make` of this key
                as it was left; else each `make` has an empty one. All that is in it at the end is the entry.
            on_wait: told at once, and then every few seconds, whom this process waits for.
            subject: what it is made for, noted beside the seconds that it took; it decides nothing.
            is_complete: whether an entry may be given to others, or taken from them.
        Raises:
            InputError: the disk is full, or the store cannot be written.
        """
        began = time.monotonic()
        found = self.get(key)
        if found is None:
            try:
                with locked(self.root, key, stage, on_wait):
                    found = self.get(key)  # another process may have made it while this one waited
                    if found is None:

                        def made_here() -> Path:
                            return self._make(key, stage, make, resumable, subject)

                        found, fetched = self._made_once(key, stage, made_here, on_wait, is_complete)
                        return Entry(found, fetched, time.monotonic() - began)
            except OSError as error:
                raise refusal(error, self.root) from error
        with contextlib.suppress(OSError):
            os.utime(found)  # when it was last used, for prune
        return Entry(found, True, time.monotonic() - began)

    def _made_once(
        self,
        key: str,
        stage: str,
        make: Callable[[], Path],
        on_wait: Callable[[str], None],
        is_complete: Callable[[Path], bool],
    ) -> tuple[Path, bool]:
        """An entry whose lock this process holds, made here unless another machine makes it now; whether that did."""
        if self.sharing is None:
            return make(), False
        with self.sharing.claimed(key, stage, on_wait) as waited:
            fetched = self.sharing.fetch(self.root, key, stage) if waited else None
            if fetched is not None and is_complete(fetched):
                return fetched, True
            made = make()
            if is_complete(made):
                self.sharing.offer(key, made)
            return made, False

    def _make(self, key: str, stage: str, make: Callable[[Path], None], resumable: bool, subject: Subject) -> Path:
        """Makes an entry whose lock this process holds."""
        final = prepared(self.root, "entries") / key
        if resumable:
            work = prepared(self.root, "unfinished") / key
        else:
            work = prepared(self.root, "work") / f"{stage}-{key}"
            shutil.rmtree(work, ignore_errors=True)  # of a process that was killed: this one has the lock now
        work.mkdir(exist_ok=resumable)
        began = time.monotonic()
        try:
            make(work)
            entries.write_record(work, stage, key, time.monotonic() - began, subject)
            if final.exists():
                shutil.rmtree(final)
            os.replace(work, final)
        except (RuntimeError, ValueError) as error:
            # Libraries that write with C++ streams do not say why a write failed; writing there again does.
            _try_to_write(work, error)
            raise
        finally:
            if not resumable:
                shutil.rmtree(work, ignore_errors=True)
        return final

    def ls(self) -> list[Listed]:
        """Every entry, the most recently used first."""
        return listing.finished(self.root, thorough=False)

    def past(self) -> PastTimes:
        """What finished stages took."""
        return past_times(self.root)

    def verify(self) -> list[Listed]:
        """Every entry, each file read and compared with its checksum."""
        return listing.finished(self.root, thorough=True)

    def others(self, thorough: bool = False) -> list[Listed]:
        """What else is kept: unfinished and left over stages, tables, caches, indices, locks; recently used first."""
        return listing.others(self.root, thorough)

    def prune(
        self,
        max_bytes: int | None = None,
        older_than_days: float | None = None,
        everything: bool = False,
        on_busy: Callable[[Listed], None] = lambda row: None,
    ) -> list[Listed]:
        """Removes what is damaged, what was not used for so many days, and the oldest until `max_bytes` are left.

        What killed runs left half done goes too, but what a resumable stage has so far stays unless it is old. Nothing
        goes whose lock a running process holds.

        Args:
            on_busy: told of each that would have gone, had no process held it.
        Raises:
            InputError: the store cannot be written.
        """
        try:
            return listing.prune(self.root, max_bytes, older_than_days, everything, on_busy)
        except OSError as error:
            raise refusal(error, self.root) from error
