"""The pictures of a run in the order in which they are trained on, drawn by processes beside it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.util import get_temp_dir
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from edgekit.training.images import TrainingImages
from edgekit.training.recipe import Stage
from edgekit.training.schedule import Schedule


class Course(Protocol):
    """Where a run is and where it ends; both change while its pictures are drawn."""

    schedule: Schedule
    done: int
    stop: int


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


def batches(images: TrainingImages, course: Course, seed: int, workers: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(place of the stage, uint8 pictures (N, H, W, 3), labels (N,)) of each step that is to come.

    Whoever takes a batch counts it in `course.done` before the next; steps that are cut meanwhile are left out.
    """
    if workers:
        # Workers share tensors through a temporary folder. Made here it is theirs too, and this process removes it;
        # one that a worker makes stays when a signal ends the worker.
        get_temp_dir()
    for place, stage in enumerate(course.schedule.stages):
        first = sum(course.schedule.steps[:place])
        left = first + course.schedule.steps[place] - course.done
        if left <= 0 or course.done >= course.stop:
            continue
        dataset = _Positions(images, stage, course.schedule.images_at(course.done), left * stage.batch, seed)
        for pictures, labels in DataLoader(
            dataset, stage.batch, num_workers=workers, prefetch_factor=4 if workers else None
        ):
            yield place, pictures, labels
            if course.done >= min(course.stop, first + course.schedule.steps[place]):
                break


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
