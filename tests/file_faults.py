"""Disks that are full or read-only, at the calls themselves: a small library that is loaded before libc."""

from __future__ import annotations

import ctypes
import errno
import shutil
import subprocess
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).parent / "fixtures" / "faults" / "file_faults.c"
NUMBERS: Final = {"full": errno.ENOSPC, "read-only": errno.EROFS}


def compiled(folder: Path) -> Path | None:
    """The library, built in a folder; None where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    made = folder / "file_faults.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(made), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made


def arm(below: str, after: int, number: int) -> None:
    """From now on calls of this process that change files below a folder fail, once so many have succeeded.

    Args:
        number: of the error; see NUMBERS. A full disk lets files be removed and renamed.
    """
    ctypes.CDLL(None).edgekit_fault_arm(below.encode(), ctypes.c_long(after), number)


def seen() -> int:
    """How many calls that change files there were since."""
    return _counted("edgekit_fault_seen")


def failed() -> int:
    """How many of them were made to fail."""
    return _counted("edgekit_fault_failed")


def _counted(name: str) -> int:
    count = getattr(ctypes.CDLL(None), name)
    count.restype = ctypes.c_long
    return int(count())
