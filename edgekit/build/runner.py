"""Runs stages: takes their results from the store or lets them be made there, and notes what was run and warned of."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from edgekit.build.stage import Progress, Stage
from edgekit.build.time_left import Expected
from edgekit.file_names import readable
from edgekit.store import Store, Subject

In = TypeVar("In")
Out = TypeVar("Out")

WARNINGS_FILE: Final = "warnings.json"
"""Beside what a stage wrote: its warnings, which come again when the result comes from the store."""


NOBODY: Final = Subject()

PLANNED: Final = "plan"
"""The stage of the event that tells what will come; nothing of that name is run."""


@dataclass(frozen=True)
class Event:
    """Progress of a stage: `done` of `total` units (None: unknown); `finished` when it is over.

    Attributes:
        ahead: of PLANNED, the stages that will come from here on.
        warning: what the user should know at once.
    """

    stage: str
    done: float = 0
    total: float | None = None
    finished: bool = False
    cached: bool = False
    detail: str = ""
    ahead: tuple[Expected, ...] | None = None
    warning: str = ""


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
        subject: what it is of, noted in the store beside what stages take.
        ran, warnings: grow with every stage.
        before_work: is called once, before the first stage whose result is not in the store.
    """

    store: Store
    listener: Listener = nobody
    subject: Subject = NOBODY
    ran: list[Ran] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    before_work: Callable[[], None] | None = None

    def __call__(self, stage: Stage[In, Out], given: In) -> Out:
        """The result of a stage, made now unless it is in the store."""
        key = stage.key(given)
        kept = self.store.find(key, stage.name)
        if kept is not None and not stage.complete(stage.read(kept)):
            shutil.rmtree(kept)
            kept = None
        if kept is None and self.before_work is not None:
            first, self.before_work = self.before_work, None
            first()
        self.listener(Event(stage.name))

        def make(folder: Path) -> None:
            said = stage.make(given, folder, progress_of(stage.name, self.listener))
            (folder / WARNINGS_FILE).write_text(json.dumps(list(said)), encoding="utf-8")

        entry = self.store.build(
            key,
            stage.name,
            make,
            resumable=stage.resumable,
            on_wait=lambda text: self.listener(Event(stage.name, detail=text)),
            subject=self.subject,
            is_complete=lambda folder: stage.complete(stage.read(folder)),
        )
        for line in self.store.troubles():
            self.listener(Event(stage.name, warning=line))
        self.ran.append(Ran(stage.name, round(entry.seconds, 3), entry.cached))
        self.listener(Event(stage.name, finished=True, cached=entry.cached))
        self.warn(*json.loads((entry.path / WARNINGS_FILE).read_text(encoding="utf-8")))
        return stage.read(entry.path)

    def foresee(self, ahead: Sequence[Expected]) -> None:
        """Tells the listener what will come, with what that took before where it is not told."""
        past = self.store.past()

        def timed(each: Expected) -> Expected:
            took = past.seconds(each.stage, self.subject)
            if took is None or (each.is_ceiling and each.seconds is not None and took > each.seconds):
                return each
            return replace(each, seconds=took, is_ceiling=False)

        self.listener(Event(PLANNED, finished=True, ahead=tuple(map(timed, ahead))))

    def warn(self, *lines: str) -> None:
        """Notes warnings for the report, each once; names of files in them as people can read them."""
        self.warnings.extend(line for line in map(readable, lines) if line not in self.warnings)


def fetching(listener: Listener) -> Callable[[str, float, float | None], None]:
    """A listener for weights that are fetched, in megabytes, that makes events of a stage `fetch` of it."""

    def tell(what: str, done_mb: float, total_mb: float | None) -> None:
        total = None if total_mb is None else round(total_mb)
        listener(Event("fetch", round(done_mb), total, done_mb == total_mb, detail=f"{what}, in MB"))

    return tell
