"""The rendered signs as an image set. Nothing is drawn, and numpy is not loaded, before an image is asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from edgekit.data.image_set import digest_of
from edgekit.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from edgekit.data.left_out import LeftOut
    from edgekit.data.preprocessing import Preprocessing

DRAWING: Final = "signs-2"
"""Names the pixels: to be changed with anything that changes what is drawn."""
EXTENT: Final = 256 / 224
"""How far the wide picture sees, of which the one that networks are judged on is the middle. As a photo to be cropped
is: at the first scale of 144 crops, a network's own view is the centre crop."""


@dataclass(frozen=True)
class SignsSet:
    """One split of the rendered signs, or its first `count` pictures, in which the classes take turns."""

    split: str = "validation"
    count: int | None = None

    def __post_init__(self) -> None:
        from edgekit.data.signs import SPLITS

        if self.count is not None and self.count > SPLITS[self.split]:
            raise InputError(
                f"the signs have {SPLITS[self.split]} {self.split} pictures, not {self.count}", "Give fewer --images."
            )

    @property
    def name(self) -> str:
        return "signs"

    @property
    def skipped(self) -> tuple[str, ...]:
        return ()

    @property
    def label_sets(self) -> None:
        return None

    @property
    def left_out(self) -> LeftOut:
        return {}

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def folders(self) -> tuple[tuple[str, int], ...]:
        return ()

    @property
    def drawn(self) -> bool:
        return True

    @property
    def classes(self) -> tuple[str, ...]:
        from edgekit.data.signs import CLASSES

        return CLASSES

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        import numpy as np

        from edgekit.data.signs import label_of

        return np.array([label_of(index) for index in range(len(self))], np.int64)

    @cached_property
    def digest(self) -> str:
        from edgekit.data.signs import label_of

        whole = range(len(self))
        return digest_of((self.content_hash(i) for i in whole), (label_of(i) for i in whole))

    def __len__(self) -> int:
        from edgekit.data.signs import SPLITS

        return SPLITS[self.split] if self.count is None else self.count

    def identifier(self, index: int) -> str:
        return f"{self.split}/{index}"

    def content_hash(self, index: int) -> str:
        """Of what the picture is drawn from: a picture is a pure function of these."""
        return hashlib.sha256(f"{DRAWING}/{self.split}/{index}".encode()).hexdigest()

    def load(self, index: int, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        """The picture drawn with the longer side that the network takes, so that a square needs no resizing; there is
        nothing to crop but what does not fit its ratio."""
        from edgekit.data.preprocessing import picture
        from edgekit.data.signs import draw

        height, width = preprocessing.size
        drawn = draw(self.split, index, max(height, width))
        if height == width:
            return drawn
        from PIL import Image as PillowImage

        return picture(PillowImage.fromarray(drawn), replace(preprocessing, crop_fraction=1.0))

    def decoded(self, index: int, side: int, exif: bool = False) -> Image:
        """The wide picture drawn with that side; pictures are square."""
        from PIL import Image as PillowImage

        from edgekit.data.signs import draw

        return PillowImage.fromarray(draw(self.split, index, side, EXTENT))
