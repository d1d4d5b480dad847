"""What is done to an image before a network sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """The input contract of a classifier.

    Attributes:
        size: side of the square input, pixels.
        crop_fraction: part of the resized short side that the centre crop keeps.
        interpolation: nearest, bilinear, bicubic or lanczos.
        mean, std: per channel in the network's order, on the 0 to 1 scale.
        color: the network's channel order, rgb or bgr; pictures are always RGB, the graph swaps.
    """

    size: int = 299
    crop_fraction: float = 0.875
    interpolation: str = "bicubic"
    mean: Channels = (0.5, 0.5, 0.5)
    std: Channels = (0.5, 0.5, 0.5)
    color: str = "rgb"


def picture(image: Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """An image as the bundle's input: uint8 (size, size, 3) RGB, by the definition in edgekit.runtime.resize.

    The short side is resized to size / crop_fraction and the centre is cropped; mean, std and colour order are applied
    inside the graph.
    """
    from edgekit.runtime.decoding import square
    from edgekit.runtime.manifest import Contract

    told = Contract(preprocessing.size, preprocessing.crop_fraction, preprocessing.interpolation)
    return square(image.convert("RGB"), told)
