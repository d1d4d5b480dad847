"""Replacing a directory by another that also has some of its files: in one step where the system can."""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

AT_FDCWD: Final = -100
RENAME_EXCHANGE: Final = 2
ASIDE: Final = "-old-"


def carry(source: Path, into: Path) -> None:
    """Puts a file, or a folder with all that is in it, at another place of the same disk too, times and all.

    Files become hard links, so that both places have them until one is removed; copies where there are no links. What
    is there already and is the same stays.

    Raises:
        OSError: it cannot be read, or the place not be written.
    """
    if source.is_dir() and not source.is_symlink():
        into.mkdir(exist_ok=True)
        for child in source.iterdir():
            carry(child, into / child.name)
        shutil.copystat(source, into)
        return
    if os.path.lexists(into):
        if _same(source, into):
            return
        into.unlink()
    try:
        os.link(source, into, follow_symlinks=False)
    except OSError:  # no links on this disk, or not of files of other people's
        shutil.copy2(source, into, follow_symlinks=False)


def _same(source: Path, other: Path) -> bool:
    one, two = source.lstat(), other.lstat()
    facts = [(each.st_mode, each.st_size, each.st_mtime_ns) for each in (one, two)]
    return os.path.samestat(one, two) or facts[0] == facts[1]


def exchange(one: Path, other: Path) -> None:
    """Two directories of one parent change names, in one step.

    Where the system cannot, in two: a process that is killed between them leaves `other` aside, for put_back.

    Raises:
        OSError: they cannot be renamed.
    """
    if _exchanged(one, other):
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{other.name}{ASIDE}", dir=other.parent))
    os.replace(other, aside / other.name)
    try:
        os.replace(one, other)
    except OSError:
        os.replace(aside / other.name, other)
        raise
    else:
        os.replace(aside / other.name, one)
    finally:
        aside.rmdir()


def _exchanged(one: Path, other: Path) -> bool:
    """Exchanges by renameat2, Linux's call for it; False where the system or the disk has none."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    return bool(call(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0)


def put_back(place: Path) -> None:
    """Puts a directory back that an exchange in two steps had moved aside when it was killed.

    Raises:
        OSError: it cannot be renamed.
    """
    name = glob.escape(place.name)
    left = sorted(place.parent.glob(f".{name}{ASIDE}*/{name}"), key=lambda each: each.stat().st_mtime)
    if left:
        os.replace(left[-1], place)
        left[-1].parent.rmdir()
