"""Images to prune with: those that are trained on, and some held back to choose by, never trained on or evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekit.data.folder import FolderSet, open_images
from edgekit.data.image_set import spread
from edgekit.data.loading import batches
from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs import TrainingSigns
from edgekit.data.signs_set import SignsSet
from edgekit.errors import InputError
from edgekit.train import TrainingImages, normalised

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

TUNING_IMAGES: Final = 800
"""At most so many are held back: enough to see a loss of a point or so."""

HELD_BACK: Final = 10
"""One image in so many of a user's training images is held back."""

BATCH: Final = 32


@dataclass(frozen=True)
class PruningImages:
    """What a network is pruned with.

    Attributes:
        train: what importance is measured on and recovery trains on.
        labelled: whether the labels mean something.
        tuning: labelled images to choose by, and their positions; None without labels.
    """

    train: TrainingImages
    labelled: bool
    tuning: tuple[ImageSet, Sequence[int]] | None
    digest: str


def signs_images(used: frozenset[str]) -> PruningImages:
    """The rendered signs: their training split, and pictures of the calibration split that are not among `used`."""
    pool = SignsSet("calibration")
    rest = [index for index in range(len(pool)) if pool.content_hash(index) not in used]
    chosen = [rest[place] for place in spread(len(rest), TUNING_IMAGES)]
    return PruningImages(TrainingSigns(), True, (pool, chosen), f"signs {SignsSet('train', 1).digest} {len(chosen)}")


def folder_images(spec: str, classes: int | None, evaluated: ImageSet | None, skip_bad: bool) -> PruningImages:
    """A user's training images, one in ten of which is held back to choose by.

    Raises:
        InputError: there are none, or some of them are evaluated on as well.
    """
    images = open_images(spec, skip_bad=skip_bad, num_classes=classes)
    if not isinstance(images, FolderSet):
        raise InputError(f"{spec} is no folder or table of training images", "Give --train-data a folder.")
    if evaluated is not None:
        theirs = {evaluated.content_hash(index) for index in range(len(evaluated))}
        both = sum(images.content_hash(index) in theirs for index in range(len(images)))
        if both:
            raise InputError(
                f"{both} images are both in --train-data and among those evaluated on", "Keep the two apart."
            )
    return of_folder(images)


def of_folder(images: FolderSet) -> PruningImages:
    """The same for images that are opened already; without labels nothing is held back."""
    if images.labels is None:
        return PruningImages(images, False, None, images.digest)
    held = spread(len(images), min(TUNING_IMAGES, len(images) // HELD_BACK))
    if not held:
        raise InputError(f"{len(images)} training images are too few", "Give at least 20.")
    hashes = frozenset(images.content_hash(index) for index in held)
    return PruningImages(images.without(hashes), True, (images, held), images.digest)


@dataclass(frozen=True)
class Swapped:
    """Training images in the channel order of a network that wants BGR."""

    images: TrainingImages

    @property
    def count(self) -> int:
        return self.images.count

    def training_image(self, index: int, size: int, seed: int) -> tuple[NDArray[np.uint8], int]:
        picture, label = self.images.training_image(index, size, seed)
        return np.ascontiguousarray(picture[..., ::-1]), label


def ordered(images: TrainingImages, preprocessing: Preprocessing) -> TrainingImages:
    """Training images in the channel order that the network wants."""
    return Swapped(images) if preprocessing.color == "bgr" else images


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
    """Labelled pictures in memory: uint8 (N, size, size, 3) in the network's channel order, and labels (N,)."""

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
    return Tuning(made[..., ::-1] if preprocessing.color == "bgr" else made, held.labels[list(indices)])


def top1(network: nn.Module, tuning: Tuning, preprocessing: Preprocessing) -> float:
    """Percent of the tuning images that a torch network has right, in BF16; it is left in evaluation mode."""
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval()
    right = 0
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for first in range(0, len(tuning), BATCH):
            pictures = torch.from_numpy(np.ascontiguousarray(tuning.pictures[first : first + BATCH]))
            made = network(normalised(pictures, preprocessing.mean, preprocessing.std))
            right += int((made.argmax(1).numpy() == tuning.labels[first : first + BATCH]).sum())
    return 100 * right / len(tuning)
