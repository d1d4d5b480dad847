"""Runs stages: takes their results from the store or lets them be made there, and notes what was run and warned of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from edgekit.build.stage import Progress, Stage
from edgekit.file_names import readable
from edgekit.store import Store

In = TypeVar("In")
Out = TypeVar("Out")

WARNINGS_FILE: Final = "warnings.json"
"""Beside what a stage wrote: its warnings, which come again when the result comes from the store."""


@dataclass(frozen=True)
class Event:
    """Progress of a stage: `done` of `total` units (None: unknown); `finished` when it is over."""

    stage: str
    done: float = 0
    total: float | None = None
    finished: bool = False
    cached: bool = False
    detail: str = ""


Listener = Callable[[Event], None]


def nobody(event: Event) -> None:
    """Listens to nothing."""


def progress_of(stage: str, listener: Listener) -> Progress:
    """What a stage is given to tell its progress with."""
    return lambda done, total, detail: listener(Event(stage, done, total, detail=detail))


@dataclass(frozen=True)
class Ran:
    """A stage that was run: how long that took now, and whether its result was there before."""

    name: str
    seconds: float
    cached: bool


@dataclass
class Runner:
    """A build under way, as seen from outside its stages.

    Attributes:
        ran, warnings: grow with every stage.
    """

    store: Store
    listener: Listener = nobody
    ran: list[Ran] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def __call__(self, stage: Stage[In, Out], given: In) -> Out:
        """The result of a stage, made now unless it is in the store."""
        self.listener(Event(stage.name))
        key = stage.key(given)
        kept = self.store.get(key)
        if kept is not None and not stage.complete(stage.read(kept)):
            shutil.rmtree(kept)

        def make(folder: Path) -> None:
            said = stage.make(given, folder, progress_of(stage.name, self.listener))
            (folder / WARNINGS_FILE).write_text(json.dumps(list(said)), encoding="utf-8")

        entry = self.store.build(
            key,
            stage.name,
            make,
            resumable=stage.resumable,
            on_wait=lambda text: self.listener(Event(stage.name, detail=text)),
        )
        self.ran.append(Ran(stage.name, round(entry.seconds, 3), entry.cached))
        self.listener(Event(stage.name, finished=True, cached=entry.cached))
        self.warn(*json.loads((entry.path / WARNINGS_FILE).read_text(encoding="utf-8")))
        return stage.read(entry.path)

    def warn(self, *lines: str) -> None:
        """Notes warnings for the report, each once; names of files in them as people can read them."""
        self.warnings.extend(line for line in map(readable, lines) if line not in self.warnings)


def fetching(listener: Listener) -> Callable[[str, float, float | None], None]:
    """A listener for weights that are fetched, in megabytes, that makes events of a stage `fetch` of it."""

    def tell(what: str, done_mb: float, total_mb: float | None) -> None:
        total = None if total_mb is None else round(total_mb)
        listener(Event("fetch", round(done_mb), total, done_mb == total_mb, detail=f"{what}, in MB"))

    return tell
