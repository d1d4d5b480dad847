"""What is done to an image before a network sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.size import Size, size_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """The input contract of a classifier.

    Attributes:
        size: (height, width) of the input, pixels; a number, where one is made, is a square.
        crop_fraction: part of the resized short side that the centre crop keeps.
        interpolation: nearest, bilinear, bicubic or lanczos.
        mean, std: per channel in the network's order, on the 0 to 1 scale.
        color: the network's channel order, rgb or bgr; pictures are always RGB, the graph swaps.
    """

    size: Size = (299, 299)
    crop_fraction: float = 0.875
    interpolation: str = "bicubic"
    mean: Channels = (0.5, 0.5, 0.5)
    std: Channels = (0.5, 0.5, 0.5)
    color: str = "rgb"

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", size_of(self.size))


def picture(image: Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """An image as the bundle's input: uint8 (height, width, 3) RGB, by the definition in edgekit.runtime.resize.

    The picture is resized so that it covers size / crop_fraction, and the centre is cropped; mean, std and colour order
    are applied inside the graph.
    """
    from edgekit.runtime.decoding import fitted
    from edgekit.runtime.manifest import Contract

    told = Contract(preprocessing.size, preprocessing.crop_fraction, preprocessing.interpolation)
    return fitted(image.convert("RGB"), told)
