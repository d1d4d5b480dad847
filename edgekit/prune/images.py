"""Images to prune with as tensors: batches to weigh channels with, pictures to choose by, and the accuracy on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekit.data.image_set import spread
from edgekit.data.loading import batches, made_ahead
from edgekit.data.preprocessing import Preprocessing, in_color
from edgekit.prune.soundness import noise
from edgekit.prune.sources import PruningImages
from edgekit.training.autocast import autocast
from edgekit.training.images import ordered
from edgekit.training.loop import normalised
from edgekit.training.replicas import parts_at_once, threads_each

BATCH: Final = 32


def few_pictures(images: PruningImages | None, preprocessing: Preprocessing) -> Tensor:
    """Some pictures, normalised, to compare networks with: noise, and two training images where there are any."""
    made = noise(preprocessing.channels, *preprocessing.size)
    if images is None:
        return made
    real, _ = next(training_batches(images, preprocessing, 2, seed=0))
    return torch.cat([made, real])


def training_batches(
    images: PruningImages, preprocessing: Preprocessing, count: int, seed: int
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Normalised images at the network's size and labels (None without), `count` in all, evenly spread.

    Threads draw or decode ahead of whoever takes them.
    """
    source = ordered(images.train, preprocessing)

    def draw(index: int) -> tuple[NDArray[np.uint8], int]:
        return source.training_image(index, preprocessing.size, seed)

    made = made_ahead(draw, spread(source.count, count), 2 * BATCH)
    while drawn := list(islice(made, BATCH)):
        pictures = torch.from_numpy(np.stack([picture for picture, _ in drawn]))
        labels = torch.tensor([label for _, label in drawn]) if images.labelled else None
        yield normalised(pictures, preprocessing.mean, preprocessing.std), labels


@dataclass(frozen=True)
class Tuning:
    """Labelled pictures in memory: uint8 (N, H, W, C) in the network's channels, and labels (N,)."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def few(self, count: int) -> Tuning:
        """`count` of them, evenly spread."""
        chosen = spread(len(self), count)
        return Tuning(self.pictures[chosen], self.labels[chosen])


def tuning_of(images: PruningImages | None, preprocessing: Preprocessing) -> Tuning | None:
    """The images to choose by, decoded once; None without any."""
    if images is None or images.tuning is None or not images.tells_accuracy:
        return None
    held, indices = images.tuning
    made = np.concatenate([pictures for pictures, _ in batches(held, preprocessing, indices, BATCH)])
    assert held.labels is not None
    return Tuning(in_color(made, preprocessing.color), held.labels[list(indices)])


def top1(network: nn.Module, tuning: Tuning, preprocessing: Preprocessing) -> float:
    """Percent of the tuning images that a torch network has right; it is left in evaluation mode.

    Batches go through side by side, one a core.
    """
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()

    def answer(inputs: Tensor) -> Tensor:
        with torch.inference_mode(), autocast():
            made: Tensor = network(inputs)
        return made

    return share_right(answer, tuning, preprocessing, parts_at_once(len(tuning)))


def share_right(
    answer: Callable[[Tensor], Tensor], tuning: Tuning, preprocessing: Preprocessing, at_once: int = 1
) -> float:
    """Percent of the tuning images that are answered right; `answer` gives logits (N, classes) of normalised ones.

    Args:
        at_once: batches that go through side by side, in threads of their own.
    """

    def right(first: int) -> int:
        pictures = torch.from_numpy(np.ascontiguousarray(tuning.pictures[first : first + BATCH]))
        made = answer(normalised(pictures, preprocessing.mean, preprocessing.std))
        return int((made.argmax(1).numpy() == tuning.labels[first : first + BATCH]).sum())

    places = range(0, len(tuning), BATCH)
    if at_once == 1:
        return 100 * sum(map(right, places)) / len(tuning)
    with ThreadPoolExecutor(at_once, "answers", torch.set_num_threads, (threads_each(at_once),)) as pool:
        waiting = [pool.submit(copy_context().run, right, first) for first in places]
        return 100 * sum(each.result() for each in waiting) / len(tuning)
