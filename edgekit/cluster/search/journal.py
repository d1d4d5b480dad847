"""The journal of a search: a line of JSON for each trial that is over, on the disk before anything goes on.

A search that was killed reads it and goes on; what it is a search of stands beside it, so that no other one does.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgekit.cluster.search.front import Point
from edgekit.cluster.search.proposals import Objective, Sampler
from edgekit.cluster.search.space import Setting, Space
from edgekit.errors import InputError
from edgekit.recipe import Recipe
from edgekit.whole_files import partial_of, written_whole

TRIALS: Final = "trials.jsonl"
SETTINGS: Final = "settings.json"

State = Literal["complete", "stopped", "failed"]
Ends = tuple[float, float]
Model = TypeVar("Model", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Settings(_Part):
    """What decides a search. `trials` may grow from one run to the next; all else may not change.

    Attributes:
        weights_sha256: of the model that was named; data: digest of the images that trials are judged by.
        most_calibration: how many of the evaluation images are set aside, where no others were given.
    """

    recipe: Recipe
    weights_sha256: str | None
    data: str
    space: Space
    first: Setting
    sampler: Sampler
    objectives: tuple[Objective, ...]
    seed: int
    batch: int
    images: int
    trial_minutes: float
    most_calibration: int
    versions: dict[str, str | None]


class LatencyFound(_Part):
    """Median, ms, and as a part of the reference's of the same run, with its interval; the reference's own, and FP32's.

    Attributes:
        began, ended: when it was timed, seconds since 1970.
    """

    p50: float
    ratio: float
    ratio_ci95: Ends
    reference_p50: float
    fp32_p50: float
    began: float
    ended: float


class AccuracyFound(_Part):
    """Top-1 of the images of a search, percent, and points below FP32 of the model as it came.

    Attributes:
        right: which images were right, a bit each, in hexadecimal.
    """

    top1: float
    ci95: Ends
    images: int = Field(ge=0)
    drop: float
    drop_ci95: Ends
    right: str = Field(pattern="^([0-9a-f]{2})*$")

    @model_validator(mode="after")
    def _has_a_bit_for_each_image(self) -> AccuracyFound:
        if len(self.right) != 2 * -(-self.images // 8):
            raise ValueError(f"{len(self.right)} digits do not hold {self.images} images")
        return self


class Few(_Part):
    """What the first images said of a network that was not shown the rest."""

    top1: float
    ci95: Ends
    images: int


class Built(_Part):
    """The work on one trial, timing aside.

    Attributes:
        began, ended: seconds since 1970, of its first and its last part; seconds: of work; where: the node.
        tries: how often its parts were begun at most.
        stages, cached: how many stages it took, and how many of them were in the store.
    """

    began: float
    ended: float
    seconds: float
    where: str
    tries: int
    stages: int
    cached: int


class TrialRecord(_Part):
    """One trial that is over.

    Attributes:
        same_as: number of the trial that had the same setting: this one was not run, and its figures are that one's.
        reason: why it was stopped or failed; notes: what else is worth to know.
        predicted_ratio: latency before recovery, as a part of the reference's; None where nothing was narrowed.
    """

    number: int
    setting: Setting
    state: State
    same_as: int | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()
    accuracy: AccuracyFound | None = None
    latency: LatencyFound | None = None
    size_bytes: int | None = None
    params: int | None = None
    macs: int | None = None
    few: Few | None = None
    predicted_ratio: float | None = None
    built: Built | None = None

    @property
    def point(self) -> Point | None:
        """The network as it was measured; None where it has no final values."""
        if self.accuracy is None or self.latency is None or self.size_bytes is None:
            return None
        right = unpacked(self.accuracy.right, self.accuracy.images)
        return Point(self.number, right, self.latency.ratio, self.latency.ratio_ci95, self.size_bytes)


def packed(right: NDArray[np.bool_]) -> str:
    """(N,) booleans as hexadecimal."""
    return np.packbits(right).tobytes().hex()


def unpacked(told: str, count: int) -> NDArray[np.bool_]:
    """What `packed` was given, N being `count`."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(told), np.uint8), count=count).astype(np.bool_)


class Journal:
    """The journal in a folder.

    Attributes:
        records: by number; torn: whether the last line was cut off, and dropped.
    """

    def __init__(self, folder: Path) -> None:
        """
        Raises:
            InputError: a line of it makes no sense.
        """
        self._path = folder / TRIALS
        self.records: dict[int, TrialRecord] = {}
        self.torn = False
        try:
            content = self._path.read_bytes() if self._path.exists() else b""
        except OSError as error:
            raise InputError(f"cannot read {self._path}: {error.strerror}", "Give another --out.") from error
        whole, _, rest = content.rpartition(b"\n")
        if rest:  # a line is whole once its end is there
            self.torn = True
            os.truncate(self._path, len(content) - len(rest))
        for place, line in enumerate(whole.split(b"\n") if whole else (), 1):
            self._take(_read(TrialRecord, line, f"line {place} of {self._path}"))

    def _take(self, record: TrialRecord) -> None:
        if record.number in self.records:
            raise InputError(f"{self._path} has trial {record.number} twice", "Give another --out.")
        self.records[record.number] = record

    def append(self, record: TrialRecord) -> None:
        """Adds a trial; it is on the disk when this returns.

        Raises:
            InputError: the disk is full, or the folder cannot be written.
        """
        self._take(record)
        line = (record.model_dump_json() + "\n").encode()
        try:
            with self._path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(
                f"cannot write {self._path}: {error.strerror}", "See to the disk; it goes on then."
            ) from error


def _read(model: type[Model], content: bytes, what: str) -> Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise InputError(f"{what} makes no sense: {error.errors()[0]['msg']}", "Give another --out.") from error


@contextmanager
def claimed(folder: Path, settings: Settings) -> Iterator[None]:
    """Holds a folder for one search: it is new, empty, or of the same search.

    Raises:
        InputError: it holds something else, is of another search (what differs is named), or one runs in it now.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("a")
    except OSError as error:
        raise InputError(f"cannot write {folder}: {error.strerror}", "Give another --out.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"another search runs in {folder}", "Wait for it, or give another --out.") from error
        _check(folder, settings)
        yield


def _check(folder: Path, settings: Settings) -> None:
    path = folder / SETTINGS
    if path.exists():
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}", "Give another --out.") from error
        kept = _read(Settings, content, str(path))
        differing = difference(kept, settings)
        if differing is not None:
            raise InputError(f"{folder} is of another search: {differing}", "Give the same, or another --out.")
        return
    others = sorted(each.name for each in folder.iterdir() if each.name not in (".lock", partial_of(path).name))
    if others:
        raise InputError(f"{folder} holds other files, such as {others[0]}", "Give another --out.")
    with written_whole(path) as partial:
        partial.write_text(settings.model_dump_json(indent=1) + "\n", encoding="utf-8")


def difference(kept: Settings, now: Settings) -> str | None:
    """The first thing that two searches differ in, in words; None where they are the same."""
    return _differing("", kept.model_dump(mode="json"), now.model_dump(mode="json"))


def _differing(place: str, kept: Any, now: Any) -> str | None:
    if kept == now:
        return None
    if isinstance(kept, dict) and isinstance(now, dict):
        for key in {**kept, **now}:
            found = _differing(f"{place}.{key}" if place else key, kept.get(key), now.get(key))
            if found is not None:
                return found
    return f"its {place} is {json.dumps(kept)}, and {json.dumps(now)} is asked for"
