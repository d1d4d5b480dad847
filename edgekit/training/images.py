"""Training images, and as a network wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.data.preprocessing import Preprocessing, in_color
from edgekit.size import Size


def shape_of(preprocessing: Preprocessing) -> tuple[int, int, int]:
    """(channels, height, width) of what a network takes."""
    return (preprocessing.channels, *preprocessing.size)


class TrainingImages(Protocol):
    """What is trained on: pictures by position, drawn or decoded at the size that is asked for."""

    @property
    def count(self) -> int: ...

    def training_image(
        self, index: int, size: Size, seed: int, how: Preprocessing | None = None
    ) -> tuple[NDArray[np.uint8], int]:
        """Picture `index` as (height, width, 3) uint8 RGB, augmented from `seed`, and its label.

        Args:
            how: pictures come to the size, if not by crops of its ratio: size and crop fraction of it say nothing.
        """
        ...


@dataclass(frozen=True)
class Prepared:
    """Training images as a network wants them: brought to their size as it is judged on, in its channels."""

    images: TrainingImages
    preprocessing: Preprocessing

    @property
    def count(self) -> int:
        return self.images.count

    def training_image(
        self, index: int, size: Size, seed: int, how: Preprocessing | None = None
    ) -> tuple[NDArray[np.uint8], int]:
        told = how or self.preprocessing
        if told.resize == "crop" and not told.exif:
            picture, label = self.images.training_image(index, size, seed)
        else:
            picture, label = self.images.training_image(index, size, seed, told)
        return np.ascontiguousarray(in_color(picture, self.preprocessing.color)), label


def ordered(images: TrainingImages, preprocessing: Preprocessing) -> TrainingImages:
    """Training images as the network wants them."""
    plain = preprocessing.color == "rgb" and preprocessing.resize == "crop" and not preprocessing.exif
    return images if plain else Prepared(images, preprocessing)
