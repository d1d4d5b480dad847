"""Several views of one picture for a network that averages over them: which ones, and making them.

The protocols are those of Szegedy et al., "Going deeper with convolutions" (CVPR 2015), section 7, which the paper of
2016, "Inception-v4, Inception-ResNet and the Impact of Residual Connections on Learning", evaluates with too:

- 144 views: the short side resized to 256, 288, 320 and 352 for a network of 224 pixels; of each scale the left, centre
  and right squares (portraits: top, centre, bottom); of each square its four corners, its centre and the whole square
  resized to the network's size; all of them mirrored as well: 4 x 3 x 6 x 2.
- 12 views: the six of the centre square at the first scale, and mirrored. The paper of 2016 reports "12 crops" without
  saying which; this reading is inferred.
- 10 views: the four corners and the centre of that square, and mirrored.
- 1 view: the network's own centre crop, see edgekit.data.preprocessing.picture.

Neither paper states the scales for a network of 299 pixels. They are taken in proportion (inferred): 342, 384, 427
and 470.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, product
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from edgekit.data.preprocessing import picture
from edgekit.errors import InputError
from edgekit.runtime.decoding import resized_to
from edgekit.size import Size, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from edgekit.data.preprocessing import Preprocessing

SCALES_FOR: Final = 224
"""The network size, pixels, that the scales below are for."""


@dataclass(frozen=True)
class Protocol:
    """Which squares of a picture a network sees; every one of them mirrored as well.

    Attributes:
        scales: short sides, pixels, for a network of SCALES_FOR.
        squares: where squares lie along the long side, 0 (its start) to 1 (its end).
        whole: whether a square as a whole, resized, is a view beside its corners and its centre.
    """

    scales: tuple[int, ...]
    squares: tuple[float, ...]
    whole: bool


PROTOCOLS: Final[Mapping[int, Protocol]] = MappingProxyType(
    {
        10: Protocol(scales=(256,), squares=(0.5,), whole=False),
        12: Protocol(scales=(256,), squares=(0.5,), whole=True),
        144: Protocol(scales=(256, 288, 320, 352), squares=(0.0, 0.5, 1.0), whole=True),
    }
)
"""By the number of views."""


@dataclass(frozen=True)
class Window:
    """A square of the picture whose short side was resized to `short`; resized to the network's size if it is larger.

    All in pixels.
    """

    short: int
    left: int
    top: int
    side: int


def side_of(size: Size, crops: int) -> int:
    """The side, pixels, of the squares that a network of `size` sees under a protocol of several views.

    Raises:
        InputError: the network does not take squares, which the protocols are made of.
    """
    if size[0] != size[1]:
        what = f"the protocol of {crops} crops is for square networks, and this one takes {shown(size)}"
        raise InputError(what, "Leave --crops out.")
    return size[0]


def scales(side: int, crops: int) -> tuple[int, ...]:
    """Short sides, pixels, that a network of `side` sees under a protocol of several views."""
    return tuple(round(scale * side / SCALES_FOR) for scale in PROTOCOLS[crops].scales)


@lru_cache(maxsize=1024)
def planned(width: int, height: int, size: int, crops: int) -> tuple[tuple[Window, int], ...]:
    """The distinct windows of a picture, and how often the protocol has each; each is one view and a mirrored one.

    Windows coincide where squares do: the three of a square picture are one, which leaves 48 views of 144.
    """
    protocol, counted = PROTOCOLS[crops], Counter[Window]()
    for short in scales(size, crops):
        wide, high = _resized(width, height, short)
        middle, end = round((short - size) / 2), short - size
        corners = [*product((0, end), repeat=2), (middle, middle)]
        for part in protocol.squares:
            left, top = round((wide - short) * part), round((high - short) * part)
            counted.update(Window(short, left + x, top + y, size) for x, y in corners)
            if protocol.whole:
                counted[Window(short, left, top, short)] += 1
    return tuple(counted.items())


def _resized(width: int, height: int, short: int) -> tuple[int, int]:
    """Width and height, pixels, once the short side is `short`."""
    scale = short / min(width, height)
    return max(short, round(width * scale)), max(short, round(height * scale))


def views(image: Image, preprocessing: Preprocessing, crops: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The distinct views of a picture, and how often the protocol has each.

    Args:
        crops: 1 or a key of PROTOCOLS.
    Returns:
        uint8 (n, height, width, 3) RGB, a mirrored view after each that is not (none with one crop), and int64 (n,)
        that sums to `crops`.
    """
    import numpy as np

    out = np.empty((crops, *preprocessing.size, 3), np.uint8)
    weights = fill(image, preprocessing, crops, out)
    return out[: len(weights)], weights


def fill(image: Image, preprocessing: Preprocessing, crops: int, out: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Like `views`, into the first pictures of `out`, uint8 (views, height, width, 3); returns their weights, (n,).

    Each scale is resized, and turned over, once; all views but whole squares are then cut out of it.
    """
    import numpy as np
    from PIL import Image as PillowImage

    if crops == 1:
        out[0] = picture(image, preprocessing)
        return np.ones(1, np.int64)
    image, size, how = image.convert("RGB"), side_of(preprocessing.size, crops), preprocessing.contract
    mirror = PillowImage.Transpose.FLIP_LEFT_RIGHT
    plan, place = planned(*image.size, size, crops), 0
    for short, group in groupby(plan, key=lambda each: each[0].short):
        resized = resized_to(image, _resized(*image.size, short), how)
        wide, straight, mirrored = resized.width, np.asarray(resized), np.asarray(resized.transpose(mirror))
        for window, _ in group:
            left, top, side = window.left, window.top, window.side
            if side == size:
                turned = wide - left - size
                out[place] = straight[top : top + size, left : left + size]
                out[place + 1] = mirrored[top : top + size, turned : turned + size]
            else:
                square = resized_to(resized.crop((left, top, left + side, top + side)), (size, size), how)
                out[place], out[place + 1] = np.asarray(square), np.asarray(square.transpose(mirror))
            place += 2
    return np.repeat([count for _, count in plan], 2)
