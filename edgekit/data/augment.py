"""Random parts of pictures to train on, brought to the network's size in the way that it is judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.data.preprocessing import Preprocessing, picture

if TYPE_CHECKING:
    from PIL.Image import Image

    from edgekit.size import Size

LEAST: Final = 0.33
"""Of a picture's area, that is shown."""


def augmented(image: Image, size: Size, seed: Sequence[int], how: Preprocessing | None = None) -> NDArray[np.uint8]:
    """A random part of an RGB picture (a third to all of its area) at `size`, mirrored half of the time.

    Where pictures are cropped, the part has the ratio of the size. Where they are squashed, letterboxed or padded, it
    has the picture's own, and comes to the size likewise.

    Args:
        seed: the same seed gives the same part.
        how: crops, if it is not told; its size and its crop fraction say nothing.
    Returns:
        uint8 (height, width, 3) RGB.
    """
    from PIL import Image as PillowImage

    dice = np.random.Generator(np.random.PCG64(list(seed)))
    width, height = image.size
    cropped = how is None or how.resize == "crop"
    ratio = (size[1] / size[0] if cropped else width / height) ** 0.5
    side = (width * height * dice.uniform(LEAST, 1.0)) ** 0.5
    wide, high = min(max(1, round(side * ratio)), width), min(max(1, round(side / ratio)), height)
    left, top = int(dice.integers(0, width - wide + 1)), int(dice.integers(0, height - high + 1))
    box = (left, top, left + wide, top + high)
    if cropped or how is None:
        made = np.asarray(image.resize((size[1], size[0]), PillowImage.Resampling.BILINEAR, box), dtype=np.uint8)
    else:
        made = picture(image.crop(box), replace(how, size=size, crop_fraction=1.0))
    return made[:, ::-1].copy() if dice.random() < 0.5 else made
