"""Files that are written whole or not at all: who reads one meanwhile, or after a kill, gets the one before."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """The file to write to in place of `path`, beside it: it takes its place at the end of the block, or is removed.

    Raises:
        OSError: it cannot be put there.
    """
    partial = partial_of(path)
    try:
        yield partial
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def partial_of(path: Path) -> Path:
    """Where a file is until it is whole; what a killed process leaves there is written over by the next."""
    return path.with_name(f".{path.name}.partial")
