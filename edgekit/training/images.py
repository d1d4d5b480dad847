"""Training images, and as a network wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgekit.data.preprocessing import Preprocessing
from edgekit.size import size_of


def shape_of(preprocessing: Preprocessing) -> tuple[int, int, int]:
    """(channels, height, width) of what a network takes."""
    return 1 if preprocessing.color == "grey" else 3, *size_of(preprocessing.size)


GREY: Final = np.array([0.299, 0.587, 0.114], np.float32)
"""What red, green and blue count in grey (ITU-R BT.601)."""


class TrainingImages(Protocol):
    """What is trained on: pictures by position, drawn or decoded at the size that is asked for."""

    @property
    def count(self) -> int: ...

    def training_image(self, index: int, size: int, seed: int) -> tuple[NDArray[np.uint8], int]:
        """Picture `index` as (size, size, 3) uint8 RGB, augmented from `seed`, and its label."""
        ...


@dataclass(frozen=True)
class Ordered:
    """Training images in the channels of a network that wants others than RGB."""

    images: TrainingImages
    preprocessing: Preprocessing

    @property
    def count(self) -> int:
        return self.images.count

    def training_image(self, index: int, size: int, seed: int) -> tuple[NDArray[np.uint8], int]:
        picture, label = self.images.training_image(index, size, seed)
        return in_order(picture, self.preprocessing), label


def in_order(pictures: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Pictures (..., H, W, 3) RGB as a network takes them: turned to BGR, or to grey (..., H, W, 1)."""
    if preprocessing.color == "bgr":
        return np.ascontiguousarray(pictures[..., ::-1])
    if preprocessing.color == "grey" and pictures.shape[-1] == 3:
        grey: NDArray[np.uint8] = np.rint(pictures @ GREY).astype(np.uint8)[..., None]
        return grey
    return pictures


def ordered(images: TrainingImages, preprocessing: Preprocessing) -> TrainingImages:
    """Training images in the channel order that the network wants."""
    return images if preprocessing.color == "rgb" else Ordered(images, preprocessing)
