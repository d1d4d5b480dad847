"""Runs cases of a target, known and new ones: what the quick tests and `make fuzz` share."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, given, seed, settings
from targets import Target
from watch import EXPECTED, Broken, check_words, watched

MOVES: Final = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that move a terminal's cursor, change what it is, or turn the direction of text."""


@dataclass
class Ran:
    """Cases of a target: how many were read, and how many of them were refused in words."""

    cases: int = 0
    refused: int = 0
    slowest_s: float = 0.0

    def add(self, other: Ran) -> None:
        """Counts what another has counted, too."""
        self.cases, self.refused = self.cases + other.cases, self.refused + other.refused
        self.slowest_s = max(self.slowest_s, other.slowest_s)


Keep = Callable[[bytes], None]
"""Is given each case before it is read."""


def forget(content: bytes) -> None:
    """Keeps nothing."""


@dataclass
class Place:
    """Folders of a target's cases: each case lies in one, of which the other files stay as they are."""

    folder: Path
    scratch: Path
    beside: frozenset[str] = field(default_factory=frozenset)


@contextmanager
def place_for(target: Target) -> Iterator[Place]:
    """A place for a target's cases, and a store of its own."""
    with tempfile.TemporaryDirectory(prefix="edgekit-fuzz-") as root:
        folder, scratch = Path(root) / "case", Path(root) / "scratch"
        folder.mkdir()
        scratch.mkdir()
        before = os.environ.get("EDGEKIT_CACHE")
        os.environ["EDGEKIT_CACHE"] = str(scratch / "store")
        try:
            target.beside(folder)
            yield Place(folder, scratch, frozenset(os.listdir(folder)))
        finally:
            os.environ.pop("EDGEKIT_CACHE")
            if before is not None:
                os.environ["EDGEKIT_CACHE"] = before


def read(target: Target, content: bytes, place: Place, ran: Ran) -> None:
    """Reads one case.

    Raises:
        Broken: something that must hold did not; or whatever the reader raised that is no error in words.
    """
    path = place.folder / target.file
    path.write_bytes(content)
    said, refused = io.StringIO(), None
    ran.cases += 1
    began = time.monotonic()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), watched(place.folder, place.scratch):
        try:
            _check_texts(target.read(path))
        except EXPECTED as error:
            refused = error
    ran.slowest_s = max(ran.slowest_s, time.monotonic() - began)
    if refused is not None:
        ran.refused += 1
        check_words(refused)
    _check_texts(said.getvalue())
    if set(os.listdir(place.folder)) != {*place.beside, target.file}:
        raise Broken(f"files came beside the case: {sorted(os.listdir(place.folder))}")
    if ran.cases % 500 == 0:
        shutil.rmtree(place.scratch / "store", ignore_errors=True)


def _check_texts(made: Any) -> None:
    """What is shown holds nothing that a terminal obeys."""
    for each in made if isinstance(made, list) else [made]:
        if isinstance(each, str) and (found := MOVES.search(each)):
            raise Broken(
                f"what is shown holds {found.group()!r}: ...{each[max(0, found.start() - 60) : found.end()]!r}"
            )


def read_known(target: Target, keep: Keep = forget) -> Ran:
    """Reads the seeds and the corpus of a target."""
    ran = Ran()
    with place_for(target) as place:
        for content in target.seeds():
            keep(content)
            read(target, content, place, ran)
        for name, content in target.known():
            keep(content)
            try:
                read(target, content, place, ran)
            except Exception as error:
                raise Broken(f"{target.name}/{name}: {type(error).__name__}: {error}") from error
    return ran


def read_new(target: Target, count: int, number: int | None, keep: Keep = forget) -> Ran:
    """Reads `count` hostile cases, chosen by `number`; None takes the same ones each time.

    Raises:
        whatever did not hold, with the smallest case that was found.
    """
    ran = Ran()
    with place_for(target) as place:

        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            derandomize=number is None,
            phases=(Phase.generate, Phase.target, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(target.cases())
        def each(content: bytes) -> None:
            keep(content)
            read(target, content, place, ran)

        (each if number is None else seed(number)(each))()
    return ran
