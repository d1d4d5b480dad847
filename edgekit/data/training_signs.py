"""The training split of the rendered signs as the trainer asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.data.crops import SCALES_FOR
from edgekit.data.preprocessing import Preprocessing, picture
from edgekit.data.signs import SPLITS, draw, label_of
from edgekit.data.signs_set import EXTENT
from edgekit.size import Size

NARROWEST: Final = 0.6
"""Of the side of a wide picture: the smallest crop. The protocol of 144 crops has 224/352."""
DRAWN_AT: Final = 288 / SCALES_FOR
"""Side of the wide picture that crops are taken from, over that of the network: the second scale of 144 crops."""


@dataclass(frozen=True)
class TrainingSigns:
    """Signs to train on; a drawn picture needs no augmentation to be new.

    Attributes:
        crops: part of the pictures that are random crops of wider ones, half of these mirrored. A network that never
            saw a sign cut off, or none, is sure of itself where it should not be, and several crops mislead it.
    """

    count: int = SPLITS["train"]
    crops: float = 0.0

    def training_image(
        self, index: int, size: Size, seed: int, how: Preprocessing | None = None
    ) -> tuple[NDArray[np.uint8], int]:
        """Picture `index`, uint8 (height, width, 3) RGB, and its label; `how` tells how a square comes to
        another size."""
        dice, longer = np.random.Generator(np.random.PCG64([seed, index])), max(size)
        if dice.random() >= self.crops:
            return _seen(draw("train", index, longer), size, how), label_of(index)
        from PIL import Image

        whole = draw("train", index, round(longer * DRAWN_AT), EXTENT)
        side = len(whole) * dice.uniform(NARROWEST, 1.0)
        left, top = dice.uniform(0, len(whole) - side, 2)
        box = (left, top, left + side, top + side)
        square = Image.fromarray(whole).resize((longer, longer), Image.Resampling.BICUBIC, box)
        crop = _seen(np.asarray(square), size, how)
        return (crop[:, ::-1].copy() if dice.random() < 0.5 else crop.copy()), label_of(index)


def _seen(square: NDArray[np.uint8], size: Size, how: Preprocessing | None) -> NDArray[np.uint8]:
    """A square, whose side is the longer one of `size`, as the network is shown it: its middle, if nothing is told."""
    if square.shape[:2] == size:
        return square
    from PIL import Image

    return picture(Image.fromarray(square), replace(how or Preprocessing(), size=size, crop_fraction=1.0))
