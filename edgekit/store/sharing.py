"""How a store makes use of a shared one: takes entries from it, offers its own, and goes on alone where that fails."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from edgekit.store.claims import CLAIM_S
from edgekit.store.entries import ENTRY_FILE, read_record
from edgekit.store.shared import (
    Claimed,
    Shared,
    UnreachableError,
    UntrueError,
    contents_of,
    put_in_place,
    told_record,
)

T = TypeVar("T")

ASK_AGAIN_S: Final = 60.0
"""A store that did not answer is let alone for so long."""

POLL_S: Final = 0.5
LONGEST_WAIT_S: Final = 3_600.0
"""Whoever claims for longer than any stage takes is not waited for."""


@dataclass
class Sharing:
    """A shared store as one process uses it. Nothing that goes wrong with it fails a stage: it is made here instead.

    Attributes:
        who: what this process is called in claims.
    """

    source: Shared
    who: str = field(default_factory=lambda: f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(8)}")
    _said: set[str] = field(default_factory=set)
    _to_say: list[str] = field(default_factory=list)
    _lies: bool = False
    _takes: bool = True
    _silent_until: float = 0.0

    def troubles(self) -> tuple[str, ...]:
        """What went wrong since this was last asked, each kind of it told once in all."""
        told, self._to_say = tuple(self._to_say), []
        return told

    def fetch(self, root: Path, key: str, stage: str) -> Path | None:
        """The entry of a key, put into the store at `root`; None where the shared one has it not, or is no good.

        The caller holds the lock of the key.

        Raises:
            OSError: the store cannot be written.
        """

        def fetched() -> Path | None:
            content = self.source.record(key)
            if content is None:
                return None
            record = told_record(content, key, stage)
            return put_in_place(root, record, lambda name, size: self.source.content(key, name, size))

        return self._tried(fetched, None)

    def offer(self, key: str, folder: Path) -> None:
        """Gives an entry of this store to the shared one, if that takes any."""
        record = read_record(folder) if self._takes else None
        if record is None:
            return
        size = sum(each.size_bytes for each in record.files.values())
        content, contents = (folder / ENTRY_FILE).read_bytes(), contents_of(folder, record)
        self._tried(lambda: self.source.offer(key, content, contents, size), None)

    @contextlib.contextmanager
    def claimed(self, key: str, stage: str, on_wait: Callable[[str], None]) -> Iterator[bool]:
        """Holds the claim to make an entry for as long as the block runs, and says whether another one had it before.

        Where the shared store does not answer or takes nothing, the block runs at once.
        """
        waited = self._wait_for(key, stage, on_wait)
        over = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(key, stage, over), daemon=True)
        held = self._is_asked() and self._takes
        try:
            if held:
                renewing.start()
            yield waited
        finally:
            over.set()
            if renewing.ident is not None:
                renewing.join()
            if held:
                with contextlib.suppress(UnreachableError):
                    self.source.let_go(key, self.who)

    def _wait_for(self, key: str, stage: str, on_wait: Callable[[str], None]) -> bool:
        began, said, waited = time.monotonic(), 0.0, False
        while self._takes:
            if time.monotonic() - began > LONGEST_WAIT_S:
                self._takes = False
                self._say("claims", "has given a stage away for an hour; it is not waited for any more")
                break
            answer = self._tried(lambda: self._claim(key, stage), Claimed(True))
            self._takes = answer.takes
            if answer.yours:
                break
            waited = True
            if time.monotonic() - said >= 5:
                said = time.monotonic()
                on_wait(f"waiting for {answer.holder}, which makes the same")
            time.sleep(POLL_S)
        return waited

    def _claim(self, key: str, stage: str) -> Claimed:
        return self.source.claim(key, self.who, f"{os.uname().nodename}, process {os.getpid()} ({stage})")

    def _renew(self, key: str, stage: str, over: threading.Event) -> None:
        while not over.wait(CLAIM_S / 3):
            with contextlib.suppress(UnreachableError):
                self._claim(key, stage)

    def _is_asked(self) -> bool:
        return not self._lies and time.monotonic() >= self._silent_until

    def _tried(self, ask: Callable[[], T], otherwise: T) -> T:
        """What the shared store answers; something else where it is of no use, which is then said."""
        if not self._is_asked():
            return otherwise
        try:
            return ask()
        except UntrueError as error:
            self._lies = True
            self._say("lies", f"is not to be trusted: {error}; it is asked no more")
        except UnreachableError as error:
            self._silent_until = time.monotonic() + ASK_AGAIN_S
            self._say("silent", f"is of no help: {error}; stages are made here")
        return otherwise

    def _say(self, kind: str, what: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._to_say.append(f"the shared store {self.source.place} {what}")
