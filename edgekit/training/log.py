"""Lines of a training log: JSON, whatever the loss was, and read also where the last one was cut short."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from edgekit.size import Size, plain
from edgekit.training.ceiling import PaceWatch
from edgekit.training.checkpoint import Course


def as_line(values: Mapping[str, object]) -> str:
    """Values by name as a line of JSON, which has no words for a float that is no number: that is null."""
    told = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
    return json.dumps(told, allow_nan=False) + "\n"


def step_of(line: str) -> float:
    """The step of a line; beyond all steps where the line is none."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return math.inf


@dataclass(frozen=True)
class Tick:
    """One line of the training log; `seconds_left` at the pace of the last steps."""

    step: int
    steps: int
    images: int
    size: Size
    learning_rate: float
    loss: float
    top1: float
    images_per_second: float
    seconds_left: float


class Log:
    """Averages over ten steps and writes a line; a resumed run first drops the lines after its checkpoint."""

    def __init__(self, path: Path, done: int) -> None:
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        kept = [line for line in lines if step_of(line) <= done]
        path.write_text("".join(line + "\n" for line in kept))
        self._path = path
        self._clear()

    def _clear(self) -> None:
        self._losses: list[float] = []
        self._right = self._seen = 0
        self._since = time.monotonic()

    def count(self, loss: float, right: int, images: int) -> None:
        """Notes a step."""
        self._losses.append(loss)
        self._right += right
        self._seen += images

    def write(self, course: Course, place: int, learning_rate: float, watch: PaceWatch) -> Tick:
        """Writes a line about the steps since the last one, the latest in stage `place`."""
        tick = Tick(
            step=course.done,
            steps=course.schedule.total,
            images=course.schedule.images_at(course.done),
            size=course.schedule.stages[place].size,
            learning_rate=learning_rate * course.rates[-1],
            loss=sum(self._losses) / len(self._losses),
            top1=100 * self._right / self._seen,
            images_per_second=self._seen / (time.monotonic() - self._since),
            seconds_left=watch.seconds_left(course.schedule, course.done),
        )
        with self._path.open("a") as file:
            file.write(as_line({**asdict(tick), "size": plain(tick.size)}))
        self._clear()
        return tick
