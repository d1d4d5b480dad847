"""Folders for a while: removed when they are left, and those of killed processes by the next one that wants one.

A folder is locked for as long as its process lives; its name says that it is one of these, and no other is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "edgekit-"
SUFFIX: Final = ".temporary"
RANDOM: Final = "[a-z0-9_]{8}"
"""What mkdtemp puts between the two."""


def always(folder: Path) -> bool:
    """Nothing in a left folder is worth keeping."""
    return True


@contextmanager
def temporary_folder(
    prefix: str = PREFIX, parent: Path | None = None, may_go: Callable[[Path], bool] = always
) -> Iterator[Path]:
    """An empty folder of this user's alone; gone when the block is left.

    Args:
        prefix: of its name; left folders with it are removed first.
        parent: where it is made; the system's folder of temporary files by default.
        may_go: whether a folder that a killed process left may be removed.
    Raises:
        OSError: it cannot be made.
    """
    where = parent or Path(tempfile.gettempdir())
    sweep(prefix, where, may_go)
    folder, handle = _made(prefix, where)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def sweep(prefix: str, parent: Path, may_go: Callable[[Path], bool] = always) -> None:
    """Removes this user's folders of that kind which no process holds any more. What cannot be removed stays."""
    is_ours = re.compile(re.escape(prefix) + RANDOM + re.escape(SUFFIX)).fullmatch
    try:
        with os.scandir(parent) as found:
            names = [each.name for each in found if is_ours(each.name)]
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError):
            _remove_if_left(parent / name, may_go)


def _made(prefix: str, parent: Path) -> tuple[Path, int]:
    """A new folder, and a handle that holds its lock. Another process may sweep it before it is locked: once more."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, suffix=SUFFIX, dir=parent))
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink > 0 and os.path.samestat(os.fstat(handle), os.stat(folder)):
                return folder, handle
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _remove_if_left(folder: Path, may_go: Callable[[Path], bool]) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_uid != os.getuid():
            return
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if may_go(folder):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)
