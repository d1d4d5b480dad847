"""What takes long to make is made by one of the processes that run the tests, for all of them."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

MADE = ".made"


def common(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of all processes of a run; pytest-xdist gives each of its own one inside."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder of some name, filled by the first process that asks; the others wait. Nobody changes what is in it.

    Where filling it fails, the next one that asks tries again.
    """
    folder = common(factory) / name
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / MADE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            (folder / MADE).touch()
    return folder
