"""Training images, and as a network wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.data.preprocessing import Preprocessing
from edgekit.size import Size


class TrainingImages(Protocol):
    """What is trained on: pictures by position, drawn or decoded at the size that is asked for."""

    @property
    def count(self) -> int: ...

    def training_image(self, index: int, size: Size, seed: int) -> tuple[NDArray[np.uint8], int]:
        """Picture `index` as (height, width, 3) uint8 RGB, augmented from `seed`, and its label."""
        ...


@dataclass(frozen=True)
class Swapped:
    """Training images in the channel order of a network that wants BGR."""

    images: TrainingImages

    @property
    def count(self) -> int:
        return self.images.count

    def training_image(self, index: int, size: Size, seed: int) -> tuple[NDArray[np.uint8], int]:
        picture, label = self.images.training_image(index, size, seed)
        return np.ascontiguousarray(picture[..., ::-1]), label


def ordered(images: TrainingImages, preprocessing: Preprocessing) -> TrainingImages:
    """Training images in the channel order that the network wants."""
    return Swapped(images) if preprocessing.color == "bgr" else images
