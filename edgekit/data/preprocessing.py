"""What is done to an image before a network sees it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

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

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for keys and manifests."""
        return asdict(self)


def picture(image: Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """An image as the bundle's input: uint8 (size, size, 3) RGB.

    The short side is resized to size / crop_fraction and the centre is cropped; mean, std and colour order are applied
    inside the graph.
    """
    import numpy as np
    from PIL import Image as PillowImage

    size = preprocessing.size
    short = max(size, round(size / preprocessing.crop_fraction))
    image = image.convert("RGB")
    width, height = image.size
    scale = short / min(width, height)
    wanted = (max(size, round(width * scale)), max(size, round(height * scale)))
    if image.size != wanted:
        method = PillowImage.Resampling[preprocessing.interpolation.upper()]
        image = image.resize(wanted, method)
    left, top = round((wanted[0] - size) / 2), round((wanted[1] - size) / 2)
    return np.asarray(image.crop((left, top, left + size, top + size)), dtype=np.uint8)
