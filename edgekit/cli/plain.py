"""Progress as lines, for logs and pipes: few of them, and each whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from edgekit.cli.durations import clock, time_left
from edgekit.file_names import readable

if TYPE_CHECKING:
    from edgekit.build.time_left import Expected

INTERVALS_S: Final = (10.0, 30.0, 60.0)
"""Until a stage is told of again, the first, the second and every later time."""

LEFT_INTERVAL_S: Final = 30.0
"""How often the time left of the whole is told."""


@dataclass
class _Running:
    """A stage under way: when it began, when it was last told of, and how often it was."""

    began: float
    said: float
    times: int = 0


class PlainProgress:
    """A line when a stage begins, now and then while it runs, and when it ends; with the time left of a build."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        from edgekit.build.time_left import TimeLeft

        self._clock_s = clock_s
        self._whole = TimeLeft()
        self._running: dict[str, _Running] = {}
        self._left_said: float | None = None
        self._lock = threading.RLock()  # devices are worked on by a thread each

    def foresee(self, ahead: Sequence[Expected]) -> None:
        """Take note of what will come."""
        with self._lock:
            self._whole.foresee(ahead)

    def update(self, stage: str, done: float = 0, total: float | None = None, detail: str = "") -> None:
        """Print the state of a stage at its beginning, and then seldom."""
        with self._lock:
            now = self._clock_s()
            self._whole.moved(stage, done, total, now)
            running = self._running.get(stage)
            if running is None:
                self._running[stage] = _Running(now, now)
                self._say(f"{stage}: {detail or 'started'}")
            elif now - running.said >= INTERVALS_S[min(running.times, len(INTERVALS_S) - 1)]:
                running.said, running.times = now, running.times + 1
                self._say(f"{stage}: {self._state(stage, done, total, detail, now - running.began)}", now)

    def finish(self, stage: str, detail: str = "") -> None:
        """Print how long a stage took."""
        with self._lock:
            now, running = self._clock_s(), self._running.pop(stage, None)
            self._whole.ended(stage, detail == CACHED)
            took = "" if running is None else f" in {now - running.began:.1f} s"
            self._say(f"{stage}: done{took}" + (f", {detail}" if detail else ""), now)

    def _state(self, stage: str, done: float, total: float | None, detail: str, elapsed: float) -> str:
        if not total:
            return ", ".join(filter(None, (detail, f"{clock(elapsed)} so far")))
        if self._whole.in_seconds(stage):
            return ", ".join(filter(None, (f"{clock(done)} of {clock(total)}", f"{clock(total - done)} left", detail)))
        return f"{done:g}/{total:g} {detail}".rstrip()

    def _say(self, line: str, now: float | None = None) -> None:
        """Prints a line, with the time left of the whole where that is known and was not told lately."""
        left = "" if now is None else time_left(self._whole.left(now))
        if left and now is not None and (self._left_said is None or now - self._left_said >= LEFT_INTERVAL_S):
            self._left_said = now
            line += f"; {left} in all"
        click.echo(readable(line), err=True)


CACHED: Final = "cached"
"""What a stage ends with that was made before."""
