"""Images to prune with as tensors: batches to weigh channels with, pictures to choose by, and the accuracy on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekit.data.image_set import spread
from edgekit.data.loading import batches
from edgekit.data.preprocessing import Preprocessing, in_color
from edgekit.prune.soundness import noise
from edgekit.prune.sources import PruningImages
from edgekit.training.autocast import autocast
from edgekit.training.images import ordered
from edgekit.training.loop import normalised

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
    """Normalised images at the network's size and labels (None without), `count` in all, evenly spread."""
    source = ordered(images.train, preprocessing)
    indices = iter(spread(source.count, count))
    while group := list(islice(indices, BATCH)):
        drawn = [source.training_image(index, preprocessing.size, seed) for index in group]
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
    if images is None or images.tuning is None or images.tuning[0].labels is None:
        return None
    held, indices = images.tuning
    made = np.concatenate([pictures for pictures, _ in batches(held, preprocessing, indices, BATCH)])
    assert held.labels is not None
    return Tuning(in_color(made, preprocessing.color), held.labels[list(indices)])


def top1(network: nn.Module, tuning: Tuning, preprocessing: Preprocessing) -> float:
    """Percent of the tuning images that a torch network has right; it is left in evaluation mode."""
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()
    right = 0
    with torch.inference_mode(), autocast():
        for first in range(0, len(tuning), BATCH):
            pictures = torch.from_numpy(np.ascontiguousarray(tuning.pictures[first : first + BATCH]))
            made = network(normalised(pictures, preprocessing.mean, preprocessing.std))
            right += int((made.argmax(1).numpy() == tuning.labels[first : first + BATCH]).sum())
    return 100 * right / len(tuning)
