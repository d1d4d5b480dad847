"""Progress on a terminal: stages that are over as one line each, those that run with their bars, and below them the
time that has passed and the time that is left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.cli.durations import clock, time_left
from edgekit.cli.plain import CACHED
from edgekit.file_names import readable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from edgekit.build.time_left import Expected, TimeLeft

NAME: Final = 14
"""Columns of the names of stages that are over; longer ones push what follows."""

BARS: Final = ((72, NAME, 24), (56, NAME, 12), (0, 10, 6))
"""Columns that a terminal has at least, and those of names and bars in it."""

STEADY_S: Final = 2.0
"""A pace is believed after so long."""

PER_SECOND: Final = 4
"""How often the view is drawn again."""


@dataclass
class Running:
    """A stage under way, and its pace since `since`, when it had done `before`; it may have several rounds."""

    name: str
    began: float
    since: float
    before: float = 0.0
    done: float = 0.0
    total: float | None = None
    detail: str = ""

    def moved(self, done: float, total: float | None, detail: str, now: float) -> None:
        """Takes in how far it is; a new round begins where less is done than before, or of something else."""
        if done < self.done or total != self.total:
            self.since, self.before = now, done
        self.done, self.total, self.detail = done, total, detail

    def pace(self, now: float) -> float | None:
        """Units a second; None where that is not known yet."""
        took, made = now - self.since, self.done - self.before
        return made / took if took >= STEADY_S and made > 0 else None


def running_line(stage: Running, now: float, width: int, in_seconds: bool, ascii_only: bool) -> str:
    """One line of at most `width` columns: its bar where the whole is known, how long it takes yet, what it does."""
    columns, of_bar = next((name, bar) for least, name, bar in BARS if width >= least)
    name = f"{readable(stage.name):{columns}}"
    if not stage.total:
        parts = [f"{name}  {clock(now - stage.began):>7}"]
    else:
        of = f"{clock(stage.done)} of {clock(stage.total)}" if in_seconds else f"{stage.done:g}/{stage.total:g}"
        parts = [f"{name} {bar(stage.done / stage.total, of_bar, ascii_only)} {of}"]
        pace = 1.0 if in_seconds else stage.pace(now)
        if pace is not None and stage.done < stage.total:
            parts.append(f"{clock((stage.total - stage.done) / pace)} left")
        if pace is not None and not in_seconds and width >= 100:
            parts.append(f"{pace:.3g}/s")
    return fitted("  ".join([*parts, readable(stage.detail)]).rstrip(), width, ascii_only)


def bar(share: float, columns: int, ascii_only: bool) -> str:
    """A bar of so many columns."""
    full, empty = ("#", "-") if ascii_only else ("━", "╌")
    filled = round(min(1.0, max(0.0, share)) * columns)
    return full * filled + empty * (columns - filled)


def foot_line(whole: TimeLeft, elapsed: float, now: float, width: int) -> str:
    """Time that has passed, time that is left, and how many stages are to come: what fits."""
    come = whole.to_come
    stages = "" if not come else f"{come} stage{'' if come == 1 else 's'} to come"
    line = f"{clock(elapsed)} so far"
    for part in filter(None, (time_left(whole.left(now)), stages)):
        if len(line) + len(part) + 2 <= width:
            line += f", {part}"
    return line


def fitted(line: str, width: int, ascii_only: bool) -> str:
    """A line that is cut where it is too long, and says so."""
    mark = "..." if ascii_only else "…"
    return line if len(line) <= width else line[: max(0, width - len(mark))] + mark


class LiveProgress:
    """The view on a terminal. It draws itself several times a second, whoever moves it."""

    def __init__(self, console: Console) -> None:
        from edgekit.build.time_left import TimeLeft

        self._console = console
        self._ascii_only = console.options.ascii_only
        self._whole = TimeLeft()
        self._began = time.monotonic()
        self._running: dict[str, Running] = {}
        self._lock = threading.RLock()  # devices are worked on by a thread each, and another one draws

    def foresee(self, ahead: Sequence[Expected]) -> None:
        """Take note of what will come."""
        with self._lock:
            self._whole.foresee(ahead)

    def update(self, stage: str, done: float = 0, total: float | None = None, detail: str = "") -> None:
        """Move a stage; it begins with its first move."""
        now = time.monotonic()
        with self._lock:
            self._whole.moved(stage, done, total, now)
            self._running.setdefault(stage, Running(stage, now, now)).moved(done, total, detail, now)

    def finish(self, stage: str, detail: str = "") -> None:
        """Put a stage among those that are over: one line of what it took."""
        from rich.text import Text

        with self._lock:
            running = self._running.pop(stage, None)
            self._whole.ended(stage, detail == CACHED)
        took = "" if running is None or detail == CACHED else clock(time.monotonic() - running.began)
        line = "  ".join(filter(None, (f"{readable(stage):{NAME}}", f"{took:>7}" if took else "", readable(detail))))
        style = "dim" if detail == CACHED else ""
        self._console.print(Text(fitted(line, self._columns(), self._ascii_only), style), no_wrap=True)

    def drawn(self) -> RenderableType:
        """What stands at the bottom now."""
        from rich.console import Group
        from rich.text import Text

        with self._lock:
            now, width = time.monotonic(), self._columns()
            lines = [
                Text(running_line(each, now, width, self._whole.in_seconds(each.name), self._ascii_only), no_wrap=True)
                for each in self._running.values()
            ]
            if self._whole.to_come is not None:
                lines.append(Text(foot_line(self._whole, now - self._began, now, width), "cyan", no_wrap=True))
        return Group(*lines)

    def _columns(self) -> int:
        """Of the terminal as it is now, the last one left out: some wrap a line that reaches it."""
        return max(20, self._console.width - 1)


def live(progress: LiveProgress, console: Console, takes_stdout: bool) -> Live:
    """What draws the view while it is entered. What others print meanwhile goes above it.

    Args:
        takes_stdout: whether stdout is the same terminal; elsewhere it must be left alone.
    """
    from rich.live import Live

    return Live(
        get_renderable=progress.drawn,
        console=console,
        refresh_per_second=PER_SECOND,
        transient=True,
        redirect_stdout=takes_stdout,
    )
