"""A stage: what it is given decides what it makes, and nothing else does.

The key of a result is made of the input, the versions of the packages that the stage names, and the code that it runs
(edgekit.build.code). What a machine adds to a result is a Machine inside the input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from edgekit.build.code import code_digest
from edgekit.store.entries import ENTRY_FILE, read_record
from edgekit.store.keys import NOT_IN_KEY, canonical
from edgekit.targets.packages import installed_version

In = TypeVar("In")
Out = TypeVar("Out")

Progress: TypeAlias = Callable[[float, float | None, str], None]
"""Told what is done, of how much in all (None: unknown), and what is being done."""


@dataclass(frozen=True)
class File:
    """A file by its content: where it lies does not matter."""

    path: Path = field(metadata=NOT_IN_KEY)
    sha256: str


@dataclass(frozen=True)
class Stage(Generic[In, Out]):
    """One step of a build.

    Attributes:
        name: in the report and in the store.
        packages: distributions whose versions can change what it makes.
        make: writes the result of an input into an empty folder, and returns warnings for the user. A resumable stage
            gets the folder as a killed run left it.
        read: the result in a folder that `make` filled.
        complete: whether a result may be taken from the store; one that was interrupted may not.
    """

    name: str
    packages: tuple[str, ...]
    make: Callable[[In, Path, Progress], Sequence[str]]
    read: Callable[[Path], Out]
    resumable: bool = False
    complete: Callable[[Out], bool] = lambda result: True

    def key(self, given: In) -> str:
        """SHA-256 of all that decides the result."""
        whole = {
            "stage": self.name,
            "input": canonical(given),
            "packages": {name: installed_version(name) for name in sorted(self.packages)},
            "code": code_digest(self.make.__module__),
        }
        return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def kept_file(folder: Path, name: str) -> File:
    """A file that a stage wrote, with the hash that the store noted of it."""
    state = (folder / ENTRY_FILE).stat()
    return File(folder / name, _hashes(folder, state.st_ino, state.st_mtime_ns)[name])


@lru_cache(maxsize=64)
def _hashes(folder: Path, inode: int, time_ns: int) -> Mapping[str, str]:
    """By the state of the record, too: an entry that was interrupted is made again in the same place."""
    record = read_record(folder)
    return {} if record is None else {name: facts.sha256 for name, facts in record.files.items()}
