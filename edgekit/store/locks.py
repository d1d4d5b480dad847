"""Locks between processes: one file a name, held with flock, so that a killed holder lets go. It says who holds it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from edgekit.json_files import json_file
from edgekit.store.root import prepared

POLL_S: Final = 0.1
SAID_EVERY_S: Final = 5.0
"""How often whoever waits is told so again."""

_HELD: Final[set[int]] = set()


def _let_go_in_child() -> None:
    """A forked child must not keep a lock that its parent was killed with."""
    for handle in _HELD:
        os.close(handle)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@dataclass(frozen=True)
class Holder:
    """Who holds a lock, and since when, in seconds of the epoch."""

    pid: int
    host: str
    command: str
    stage: str
    since: float


@contextlib.contextmanager
def locked(root: Path, name: str, stage: str, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Holds a lock of the store for as long as the block runs.

    Args:
        on_wait: told at once, and then every few seconds, whom this process waits for.
    Raises:
        OSError: the store cannot be written.
    """
    path = prepared(root, "locks") / name
    said = -SAID_EVERY_S
    while (handle := _taken(path)) is None:
        if time.monotonic() - said >= SAID_EVERY_S:
            said = time.monotonic()
            on_wait(_waiting_for(holder(path)))
        time.sleep(POLL_S)
    try:
        _sign(handle, stage)
        yield
    finally:
        _let_go(handle, path)


@contextlib.contextmanager
def if_free(root: Path, name: str, stage: str) -> Iterator[bool]:
    """Holds a lock if nobody else does, and says whether.

    Raises:
        OSError: the store cannot be written.
    """
    path = prepared(root, "locks") / name
    handle = _taken(path)
    if handle is None:
        yield False
        return
    try:
        _sign(handle, stage)
        yield True
    finally:
        _let_go(handle, path)


def is_held(path: Path) -> bool:
    """Whether a process holds a lock file."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def holder(path: Path) -> Holder | None:
    """Who a lock file says had it last; None if it does not say."""
    try:
        read = json_file(path)
        return Holder(
            int(read["pid"]), str(read["host"]), str(read["command"]), str(read["stage"]), float(read["since"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _taken(path: Path) -> int | None:
    """A handle that holds the lock; None if another process does."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, path):
                _HELD.add(handle)
                return handle
        except BlockingIOError:
            os.close(handle)
            return None
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # whoever had it has removed the file meanwhile: the lock is another file now


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path))
    except FileNotFoundError:
        return False


def _let_go(handle: int, path: Path) -> None:
    if handle not in _HELD:  # a forked child, whose parent still holds it
        return
    with contextlib.suppress(OSError):
        path.unlink()  # while it is held, so that nobody's new lock is removed
    _HELD.discard(handle)
    os.close(handle)


def _sign(handle: int, stage: str) -> None:
    """Writes who holds the lock. It holds without that too: on a full disk, say."""
    whose = Holder(os.getpid(), os.uname().nodename, _command(), stage, time.time())
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(asdict(whose)).encode(), 0)


def _command() -> str:
    """The command line of this process, as its user would write it."""
    program = Path(sys.argv[0] if sys.argv and sys.argv[0] not in ("", "-c") else sys.executable)
    name = program.parent.name if program.name == "__main__.py" else program.name
    return os.fsencode(shlex.join([name, *sys.argv[1:]])).decode("utf-8", "replace")


def _waiting_for(whose: Holder | None) -> str:
    if whose is None:
        return "waiting for another process"
    since = datetime.fromtimestamp(whose.since)
    when = f"{since:%H:%M}" if since.date() == datetime.now().date() else f"{since:%Y-%m-%d %H:%M}"
    where = "" if whose.host == os.uname().nodename else f" on {whose.host}"
    command = textwrap.shorten(whose.command, 60, placeholder=" ...")
    return f"waiting for process {whose.pid}{where} ({command}, {whose.stage}, since {when})"
