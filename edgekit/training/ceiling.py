"""The most that a run may take: a stopwatch that outlives a kill, and the pace of the last steps beside the plan's."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgekit.errors import InputError
from edgekit.json_files import json_file
from edgekit.training.echo import Echo
from edgekit.training.recipe import Stage
from edgekit.training.schedule import TOLERANCE, Schedule, fitted
from edgekit.whole_files import written_whole

WINDOW: Final = 8
"""Steps that the pace is taken from; the slowest of them is left out, as it may be a hiccup."""

TRUSTED_STEPS: Final = 4
"""Steps that must have been seen before anything is cut, unless they would use up much of what is left."""

WAIT_PART: Final = 0.25
"""Of what is left, which those steps may use up."""

MOST_SLOWER: Final = 2.0
"""Times as long as before training that a look at the accuracy is given, at most."""


class Stopwatch:
    """Seconds that work on a folder has taken in all, also in runs that were killed.

    Args:
        path: the file that keeps them, as a JSON number; None: nothing is kept.
    Raises:
        InputError: the file is damaged.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock, self._before = path, clock, 0.0
        if path is not None and path.exists():
            try:
                self._before = float(json_file(path))
            except (ValueError, TypeError, OverflowError) as error:
                raise InputError(f"{path} is damaged", "Delete it.") from error
        self._began = clock()

    def seconds(self) -> float:
        """Until now."""
        return self._before + self._clock() - self._began

    def keep(self) -> None:
        """Writes the seconds to the file."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(self._path) as partial:
                partial.write_text(json.dumps(self.seconds()), encoding="utf-8")


@dataclass(frozen=True)
class Ceiling:
    """What may be used, `seconds` on a stopwatch.

    Attributes:
        step_seconds: what a step of each stage takes by plan; None where no pace was measured.
        fresh_seconds: what each picture adds that a step draws beyond its share.
        after_seconds: what follows on training, at the pace of the plan.
    """

    seconds: float
    stopwatch: Stopwatch
    step_seconds: tuple[float, ...] | None = None
    fresh_seconds: tuple[float, ...] | None = None
    after_seconds: float = 0.0


def steady(ratios: Sequence[float]) -> float:
    """The mean of all but the largest; of one, that one."""
    if len(ratios) == 1:
        return ratios[0]
    return (sum(ratios) - max(ratios)) / (len(ratios) - 1)


class PaceWatch:
    """Watches how long steps take, and cuts the schedule when the rest does not fit under the ceiling.

    A step's seconds are compared with the plan's for its stage (or with the area of its pictures where there is none):
    so the pace at small pictures says what large ones will take.
    """

    def __init__(self, stages: Sequence[Stage], ceiling: Ceiling | None) -> None:
        self._ceiling = ceiling or Ceiling(float("inf"), Stopwatch())
        areas = tuple(float(stage.batch * stage.pixels) for stage in stages)
        self._shares = tuple(Echo(stage).fresh for stage in stages)
        self._costs = self._ceiling.step_seconds or areas
        self._ratios: deque[float] = deque(maxlen=WINDOW)
        self._mark, self._warm = self._now(), -1

    def begin(self) -> None:
        """Time until now belongs to no step."""
        self._mark = self._now()

    def step(self, place: int, drawn: int | None = None) -> None:
        """A step of stage `place` has ended, which drew so many pictures (None: its share); the next one begins.

        The first of a stage says nothing: processes start for it, and kernels are made.
        """
        now = self._now()
        if place == self._warm:
            self._ratios.append((now - self._mark) / (self._costs[place] + self._beyond(place, drawn)))
        self._mark, self._warm = now, place

    def _beyond(self, place: int, drawn: int | None) -> float:
        """What a step costs more for pictures that it drew beyond its share."""
        each = self._ceiling.fresh_seconds
        return 0.0 if each is None or drawn is None else each[place] * max(0, drawn - self._shares[place])

    def seconds_left(self, schedule: Schedule, done: int) -> float:
        """What the steps to come take at the pace of the last ones; before any, at the plan's."""
        ratio = self._ratio() if self._ratios else 1.0 if self._ceiling.step_seconds else 0.0
        left = zip(schedule.to_come(done), self._costs, strict=True)
        return ratio * sum(count * cost for count, cost in left)

    def fit(self, schedule: Schedule, done: int, looks_seconds: float = 0.0) -> Schedule:
        """The schedule, cut if need be; see edgekit.training.schedule.fitted.

        Args:
            looks_seconds: what looks at the accuracy take that are to come, at the plan's pace.
        """
        left = self.left(looks_seconds)
        if left <= 0:
            return fitted(schedule, done, self._costs, 0.0)
        if not self._is_known(left, done, schedule):
            return schedule
        return fitted(schedule, done, [self._ratio() * cost for cost in self._costs], left)

    def left(self, looks_seconds: float = 0.0) -> float:
        """Seconds that training may still take; what follows it is slower too where training has become so."""
        is_known = len(self._ratios) >= TRUSTED_STEPS and self._ceiling.step_seconds is not None
        slower = min(MOST_SLOWER, max(1.0, self._ratio())) if is_known else 1.0
        after = slower * (self._ceiling.after_seconds + looks_seconds)
        return self._ceiling.seconds - self._now() - after

    def words(self, before: Schedule, after: Schedule, done: int) -> str:
        """What was cut at a step, and why."""
        planned = sum(stage.steps * stage.batch for stage in before.stages)
        place = next(place for place, count in enumerate(before.to_come(done - 1)) if count)
        batch, cost = before.stages[place].batch, self._costs[place]
        if not self._ratios:
            return f"cut from {planned:,} to {after.images_at(after.total):,} images: the time for it was over"
        went = f"training went at {_number(batch / (cost * self._ratio()))} images/s"
        if not self._ceiling.step_seconds:
            why = f"{went}, and there were {self._ceiling.seconds:,.0f} s for it"
        elif self._ratio() > 1 + TOLERANCE:
            why = f"{went} where {_number(batch / cost)} were planned"
        else:  # the pace is the plan's, but time was lost to something else
            needed = self.seconds_left(before, done)
            why = f"{max(0.0, self.left()):.0f} s were left where what was planned would take {needed:.0f}"
        return f"cut from {planned:,} to {after.images_at(after.total):,} images: {why}"

    def _is_known(self, left: float, done: int, schedule: Schedule) -> bool:
        place = next((place for place, count in enumerate(schedule.to_come(done)) if count), None)
        if not self._ratios or place is None:
            return False
        if len(self._ratios) >= TRUSTED_STEPS:
            return True
        return TRUSTED_STEPS * self._ratio() * self._costs[place] > WAIT_PART * left

    def _ratio(self) -> float:
        return steady(self._ratios)

    def _now(self) -> float:
        return self._ceiling.stopwatch.seconds()


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
