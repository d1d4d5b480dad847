"""The pictures of a run in the order in which they are trained on, drawn by processes beside it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.util import get_temp_dir
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edgekit.training.distillation import Taught
from edgekit.training.echo import Echo, Row
from edgekit.training.images import TrainingImages
from edgekit.training.recipe import Stage
from edgekit.training.schedule import Schedule

Teach = Callable[[Tensor], Taught]
"""What a teacher makes of uint8 pictures (N, H, W, C)."""


class Course(Protocol):
    """Where a run is and where it ends; both change while its pictures are drawn."""

    schedule: Schedule
    done: int
    stop: int


@dataclass(frozen=True)
class Batch:
    """What a step learns from.

    Attributes:
        place: of its stage; drawn: how many of its pictures were drawn for it.
        pictures: uint8 (N, H, W, C); labels: (N,).
        taught: what the teacher makes of them; empty without one.
    """

    place: int
    drawn: int
    pictures: Tensor
    labels: Tensor
    taught: Taught


class _Positions(Dataset[tuple[Tensor, int]]):
    """`count` pictures of one stage from position `first` of the run on."""

    def __init__(self, images: TrainingImages, stage: Stage, first: int, count: int, seed: int) -> None:
        self._images, self._stage, self._seed = images, stage, seed
        self._first, self._count = first, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        position = self._first + item
        epoch, place = divmod(position, self._images.count)
        order = _epoch_order(self._images.count, self._seed, epoch)
        picture, label = self._images.training_image(int(order[place]), self._stage.size, self._seed + position)
        return torch.from_numpy(np.require(picture, requirements="W")), label


_ORDERS: dict[tuple[int, int, int], NDArray[np.int64]] = {}


def _epoch_order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The permutation of one epoch; a worker process keeps the last one, as it asks for it with every picture."""
    key = (count, seed, epoch)
    if key not in _ORDERS:
        _ORDERS.clear()
        _ORDERS[key] = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)
    return _ORDERS[key]


def batches(
    images: TrainingImages, course: Course, seed: int, workers: int, teach: Teach | None = None
) -> Iterator[Batch]:
    """The batches of the steps that are to come.

    Whoever takes one counts it in `course.done` before the next; steps that are cut meanwhile are left out. What a
    run that was killed had in memory is drawn and taught again, in the same groups.
    """
    if workers:
        # Workers share tensors through a temporary folder. Made here it is theirs too, and this process removes it;
        # one that a worker makes stays when a signal ends the worker.
        get_temp_dir()
    for place, stage in enumerate(course.schedule.stages):
        first = sum(course.schedule.steps[:place])
        steps = course.schedule.steps[place]
        if course.done >= min(course.stop, first + steps):
            continue
        echo, kept, behind = Echo(stage), _Kept(), course.done - first
        begin = max(0, behind - echo.memory)
        at = course.schedule.images_at(first) + echo.drawn_before(begin)
        left = echo.drawn_before(steps) - echo.drawn_before(begin)
        dataset = _Positions(images, stage, at, left, seed)
        groups = (echo.drawn(step) for step in range(begin, steps))
        ahead = 4 * stage.echo if workers else None  # four batches each, however many pictures of a step come again
        loader = DataLoader(dataset, batch_sampler=_Groups(groups), num_workers=workers, prefetch_factor=ahead)
        for step, (pictures, labels) in enumerate(loader, begin):
            fresh = (pictures, labels, *(teach(pictures) if teach is not None else ()))
            again = kept.of(echo.again(step)) if step >= behind else ()
            kept.keep(step, tuple(each[: echo.fresh] for each in fresh), echo.memory)
            if step < behind:
                continue
            both = tuple(torch.cat(pair) for pair in zip(fresh, again, strict=True)) if again else fresh
            yield Batch(place, len(labels), both[0], both[1], both[2:])
            if course.done >= min(course.stop, first + course.schedule.steps[place]):
                break


class _Groups:
    """Positions 0, 1, 2, ... in groups of these sizes."""

    def __init__(self, sizes: Iterator[int]) -> None:
        self._sizes = sizes

    def __iter__(self) -> Iterator[list[int]]:
        first = 0
        for size in self._sizes:
            yield list(range(first, first + size))
            first += size


class _Kept:
    """Pictures of the last steps, with labels and what was taught of them."""

    def __init__(self) -> None:
        self._steps: dict[int, tuple[Tensor, ...]] = {}

    def keep(self, step: int, drawn: tuple[Tensor, ...], memory: int) -> None:
        """Keeps what a step drew for `memory` steps."""
        if memory:
            self._steps[step] = tuple(each.clone() for each in drawn)
            self._steps.pop(step - memory, None)

    def of(self, rows: tuple[Row, ...]) -> tuple[Tensor, ...]:
        """Those rows, one after another; nothing for none."""
        found = [[column[row.place] for column in self._steps[row.step]] for row in rows]
        return tuple(torch.stack(column) for column in zip(*found, strict=True))


@contextmanager
def child_signals_kept() -> Iterator[None]:
    """Takes away again what torch leaves behind: a handler for the end of its data loader's workers.

    A child of another kind that ends later would interrupt whatever runs then, and with OpenVINO's kernels loaded the
    process does not survive that on every machine (seen: a segmentation fault in the middle of a build).
    """
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)
