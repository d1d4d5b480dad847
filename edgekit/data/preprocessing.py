"""What is done to an image before a network sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from edgekit.errors import InputError
from edgekit.size import Size, size_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from edgekit.runtime.contract import Contract

Channels = tuple[float, ...]
"""One value a channel of the network: three, or one of a network for grey pictures."""
PixelColor = tuple[int, int, int]


@dataclass(frozen=True)
class Preprocessing:
    """The input contract of a classifier.

    Attributes:
        size: (height, width) of the input, pixels; a number, where one is made, is a square.
        crop_fraction: part of what the resized picture covers that the centre crop keeps, where it is cropped or
            squashed.
        interpolation: nearest, bilinear, bicubic, lanczos or area.
        mean, std: per channel in the network's order, on the 0 to 1 scale; of three for a grey network, their mean.
        color: the network's channels, rgb, bgr or grey; pictures are always RGB, the graph makes the channels.
        resize: how pictures come to the size: crop, squash, letterbox or pad; see edgekit.runtime.geometry.
        antialias: whether pictures are resized as Pillow does it, not as OpenCV does; see edgekit.runtime.resize.
        pad_color: RGB, 0 to 255, around letterboxed and padded pictures; pad_align: where padded ones lie.
        exif: whether pictures are turned as their EXIF orientation says.
    """

    size: Size = (299, 299)
    crop_fraction: float = 0.875
    interpolation: str = "bicubic"
    mean: Channels = (0.5, 0.5, 0.5)
    std: Channels = (0.5, 0.5, 0.5)
    color: str = "rgb"
    resize: str = "crop"
    antialias: bool = True
    pad_color: PixelColor = (0, 0, 0)
    pad_align: str = "top-left"
    exif: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", size_of(self.size))
        for name in ("mean", "std"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, (sum(values) / len(values),) if self.color == "grey" else values)

    @property
    def channels(self) -> int:
        """Of the network's input."""
        return 1 if self.color == "grey" else 3

    @property
    def contract(self) -> Contract:
        """The part of it that is done to pictures before the graph, as the runtime has it."""
        from edgekit.runtime.contract import Contract

        return Contract(
            self.size,
            self.crop_fraction,
            self.interpolation,
            self.resize,
            self.antialias,
            self.pad_color,
            self.pad_align,
            self.exif,
        )


def picture(image: Image, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """An upright image as the bundle's input: uint8 (height, width, 3) RGB, by the definition in the runtime.

    Mean, std and the network's channels are applied inside the graph.

    Raises:
        ValueError: the image's values have no range that is known, see edgekit.runtime.rgb.
        InputError: it is so long and narrow that resizing it would fill the memory.
    """
    from edgekit.runtime.decoding import fitted
    from edgekit.runtime.errors import ImageError
    from edgekit.runtime.rgb import rgb_of

    try:
        return fitted(rgb_of(image), preprocessing.contract)
    except ImageError as error:
        raise InputError(str(error), "Crop it, or leave it out.") from error


def in_color(pictures: NDArray[np.uint8], color: str) -> NDArray[np.uint8]:
    """RGB pictures, uint8 (..., 3), as the channels of a network, uint8 (..., 3) or (..., 1)."""
    made: NDArray[np.uint8] = COLORS[color](pictures)
    return made


def _grey(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pillow's luma, as its convert("L") has it."""
    import numpy as np

    wide = pictures.astype(np.uint32)
    luma: NDArray[np.uint32] = (wide @ np.array(LUMA, np.uint32) + (LUMA_ONE >> 1)) // LUMA_ONE
    grey: NDArray[np.uint8] = luma[..., None].astype(np.uint8)
    return grey


LUMA: Final = (19595, 38470, 7471)
"""Weights of red, green and blue in grey, in parts of LUMA_ONE; a half and more is rounded up."""
LUMA_ONE: Final = 1 << 16

COLORS: Final[Mapping[str, Callable[[Any], Any]]] = MappingProxyType(
    {"rgb": lambda pictures: pictures, "bgr": lambda pictures: pictures[..., ::-1], "grey": _grey}
)
"""What makes a network's channels of RGB pictures."""
