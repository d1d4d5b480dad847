"""How much time of a build is left, by what its stages took before and how far the running one is. No clock is read
here: whoever asks says what time it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

OVERDUE: Final = 2.0
"""Times what a stage was expected to take: once it has run so long, nobody knows when it ends."""

GRACE_S: Final = 5.0
"""Added to that: short stages vary more."""

BEGINNING: Final = 0.01
"""Of a stage whose progress tells of the whole: before so much is done its pace says nothing."""


@dataclass(frozen=True)
class Expected:
    """A stage that will come, or may.

    Attributes:
        seconds: that it should take; None where nobody knows.
        is_ceiling: whether that is the most that it may take, not what it took before.
        may: whether it comes only if something turns out so; until it begins it is not counted.
        whole: whether its own progress is of all that it does, so that its pace tells when it ends.
        in_seconds: whether that progress counts seconds.
    """

    stage: str
    seconds: float | None = None
    is_ceiling: bool = False
    may: bool = False
    whole: bool = False
    in_seconds: bool = False


@dataclass(frozen=True)
class Left:
    """Seconds that are left, never below 0; `at_most` where a part of them is a ceiling."""

    seconds: float
    at_most: bool = False


@dataclass
class _Running:
    """A stage under way: when it began, and the first and the latest of its progress (time, done), of `total`."""

    expected: Expected
    began: float
    first: tuple[float, float] | None = None
    latest: tuple[float, float] = (0.0, 0.0)
    total: float = 0.0

    def moved(self, done: float, total: float | None, now: float) -> None:
        if not total:
            return
        if self.first is None or done < self.latest[1]:
            self.first = (now, done)
        self.latest, self.total = (now, done), float(total)

    def left(self, now: float) -> Left | None:
        """By its pace as far as it has come, and by what it should take for the rest; None where neither says it."""
        elapsed, share, pace = now - self.began, 0.0, None
        if self.expected.whole and self.total > 0:
            share = min(1.0, self.latest[1] / self.total)
            pace = self._by_pace(now) if share >= BEGINNING else None
        seconds = self.expected.seconds
        known = None if seconds is None else max(0.0, seconds - elapsed)
        if seconds is not None and pace is None and elapsed > OVERDUE * seconds + GRACE_S:
            return None
        if pace is None:
            return None if known is None else Left(known, self.expected.is_ceiling)
        if known is None or self.expected.is_ceiling:
            return Left(pace)
        return Left(share * pace + (1 - share) * known)

    def _by_pace(self, now: float) -> float | None:
        assert self.first is not None
        (began, before), (at, done) = self.first, self.latest
        if at <= began or done <= before:
            return None
        left_then = (self.total - done) * (at - began) / (done - before)
        return max(0.0, left_then - (now - at))


class TimeLeft:
    """Follows a build: what is still to come, and what runs."""

    def __init__(self) -> None:
        self._ahead: list[Expected] = []
        self._running: dict[str, _Running] = {}
        self._over = 0
        self._is_foreseen = self._has_made = False

    def foresee(self, ahead: Sequence[Expected]) -> None:
        """What will come from here on, in order; what was foreseen before is forgotten."""
        self._ahead, self._is_foreseen = list(ahead), True

    def began(self, stage: str, now: float) -> None:
        """A stage begins, once however often this is said. Those foreseen before it are left out: they will not come.

        A stage that nobody foresaw takes an unknown time.
        """
        if stage in self._running:
            return
        place = next((place for place, each in enumerate(self._ahead) if each.stage == stage), None)
        expected = Expected(stage)
        if place is not None:
            expected = self._ahead[place]
            del self._ahead[: place + 1]
        self._running[stage] = _Running(expected, now)

    def moved(self, stage: str, done: float, total: float | None, now: float) -> None:
        """A stage has done so much of so much."""
        self.began(stage, now)
        self._running[stage].moved(done, total, now)
        self._has_made = self._has_made or bool(total)

    def ended(self, stage: str, cached: bool) -> None:
        """A stage is over; one that was cached was never made."""
        if self._running.pop(stage, None) is not None:
            self._over += 1
            self._has_made = self._has_made or not cached

    def in_seconds(self, stage: str) -> bool:
        """Whether the progress of a running stage counts seconds."""
        return stage in self._running and self._running[stage].expected.in_seconds

    @property
    def over(self) -> int:
        """Stages that are over."""
        return self._over

    @property
    def to_come(self) -> int | None:
        """Stages that will come after the running ones; None where nothing was foreseen."""
        return sum(not each.may for each in self._ahead) if self._is_foreseen else None

    def left(self, now: float) -> Left | None:
        """Time that is left of the whole; None where it is not known.

        Nothing is said while all that ran was cached: how much of the rest is cached too is only known when its turn
        comes.
        """
        if not self._is_foreseen or not (self._has_made or self._long_running(now)):
            return None
        parts: list[Left | None] = [each.left(now) for each in self._running.values()]
        for each in self._ahead:
            if not each.may:
                parts.append(None if each.seconds is None else Left(each.seconds, each.is_ceiling))
        known = [each for each in parts if each is not None]
        if len(known) < len(parts):
            return None
        return Left(sum(each.seconds for each in known), any(each.at_most for each in known))

    def _long_running(self, now: float) -> bool:
        """Whether a stage runs so long that it cannot be one that is merely read."""
        return any(now - each.began > 1.0 for each in self._running.values())
