"""How an image becomes the network's input: the geometry of edgekit.runtime.geometry, and resampling.

Resampling is as Pillow does it, which antialiases, or as OpenCV does, see edgekit.runtime.opencv_resize. Here is the
first: the same pixels as Pillow gives for uint8 RGB when it resizes the width and then the height, written in numpy
alone, for devices without Pillow, and to read when it is written in another language. (Asked for both at once,
Pillow up to 12 does the same, 13 sometimes begins with the height, which changes pixels.) Two passes, first along rows,
then along columns, each rounded to uint8:

1. scale = in / out; shrinking stretches the filter: stretch = max(scale, 1), support = the filter's own * stretch.
2. Output i has its centre at (i + 0.5) * scale, and the taps from trunc(centre - support + 0.5), not below 0, up to and
   without trunc(centre + support + 0.5), not above in. Tap x weighs filter((x - centre + 0.5) / stretch); the weights
   are divided by their sum, taken in order.
3. Each weight becomes a whole number: times 2**22, plus 0.5 (minus 0.5 when negative), truncated.
4. A pixel is (2**21 + the sum of taps times weights) >> 22, clipped to 0..255.

A side that keeps its length is not passed over. `nearest` takes the pixel at trunc(position), where the first position
is scale / 2 and each next one is the one before plus scale (added up, not multiplied: that decides ties).
"""

from typing import Callable, Dict, Tuple

import numpy as np

from . import opencv_resize
from .contract import Contract
from .errors import ImageError
from .geometry import Plan, is_whole, plan
from .opencv_resize import Window

PRECISION_BITS = 32 - 8 - 2
ROWS = 256
"""Rows that are resized at a time, so that memory does not grow with the image."""

MAX_BETWEEN = 89478485
"""Pixels between the passes, as many as an image file may have: a strip one pixel wide would become as wide as the
input before it is made lower, and fill the memory."""

Filter = Callable[[np.ndarray], np.ndarray]


def fit(pixels: np.ndarray, contract: Contract) -> np.ndarray:
    """An image as the network's input, with numpy alone.

    Args:
        pixels: uint8 (H, W, 3).
    Returns:
        uint8 (height, width, 3), as the contract's size has them.
    Raises:
        ImageError: see resample.
    """
    to = plan(pixels.shape[1], pixels.shape[0], contract)
    columns, rows = (to.left, to.left + to.wide), (to.top, to.top + to.high)
    if by_opencv(contract):
        part = opencv_resize.resample(pixels, Window(to.width, to.height, columns, rows), contract.interpolation)
    else:
        part = resample(pixels, to.width, to.height, contract.interpolation, columns, rows)
    return padded(part, to, contract)


def by_opencv(contract: Contract) -> bool:
    """Whether an image is resized as OpenCV does it, see edgekit.runtime.opencv_resize."""
    return contract.interpolation == "area" or not contract.antialias


def padded(part: np.ndarray, to: Plan, contract: Contract) -> np.ndarray:
    """The part of an image that is shown, where it lies in the input: uint8 (height, width, 3)."""
    if is_whole(to, contract):
        return part
    made = np.empty(contract.size + (3,), np.uint8)
    made[:] = contract.pad_color
    made[to.y : to.y + to.high, to.x : to.x + to.wide] = part
    return made


def resample(
    pixels: np.ndarray,
    width: int,
    height: int,
    interpolation: str,
    columns: Tuple[int, int] = (0, 0),
    rows: Tuple[int, int] = (0, 0),
) -> np.ndarray:
    """An image resized to width x height; of that only some columns and rows are made, all by default.

    Args:
        pixels: uint8 (H, W, C); columns, rows: from and up to, in the resized image.
    Raises:
        ImageError: it is so long and narrow that it would have more than MAX_BETWEEN pixels between the passes.
    """
    columns, rows = columns if any(columns) else (0, width), rows if any(rows) else (0, height)
    if interpolation == "nearest":
        x, y = _nearest(pixels.shape[1], width)[slice(*columns)], _nearest(pixels.shape[0], height)[slice(*rows)]
        return np.ascontiguousarray(pixels[y][:, x])
    first, weights, last = _taps(pixels.shape[0], height, FILTERS[interpolation], rows)
    part = pixels[first.min() : last.max()]  # the rows that the second pass looks at
    if len(part) * (columns[1] - columns[0]) > MAX_BETWEEN:
        facts = pixels.shape[1::-1] + (width, height)
        raise ImageError("an image of %dx%d cannot be resized to %dx%d: it is too long and narrow" % facts)
    if pixels.shape[1] == width:
        part = part[:, slice(*columns)]
    else:
        part = _along_rows(part, *_taps(pixels.shape[1], width, FILTERS[interpolation], columns)[:2])
    if pixels.shape[0] == height:
        return np.ascontiguousarray(part)
    made = _along_rows(part.transpose(1, 0, 2), first - first.min(), weights)
    return np.ascontiguousarray(made.transpose(1, 0, 2))


def _nearest(old: int, new: int) -> np.ndarray:
    """The old index of each new one, int (new,)."""
    if old == new:
        return np.arange(new)
    scale = old / new
    steps = np.full(new, scale)
    steps[0] = scale * 0.5
    return np.minimum(np.add.accumulate(steps).astype(np.int64), old - 1)


def _taps(
    old: int, new: int, of: Tuple[Filter, float], part: Tuple[int, int]
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the new pixels from part[0] up to part[1]: the first old one, whole weights (n, taps), and where they end."""
    weigh, reach = of
    if old == new:  # no pass: each is its own
        place = np.arange(*part)
        return place, np.full((len(place), 1), 1 << PRECISION_BITS, np.int32), place + 1
    scale = old / new
    stretch = max(scale, 1.0)
    support = reach * stretch
    centre = (np.arange(*part) + 0.5) * scale
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)  # astype truncates, as C does
    count = np.minimum((centre + support + 0.5).astype(np.int64), old) - first
    place = np.arange(int(count.max()))
    weights = weigh((place + first[:, None] - centre[:, None] + 0.5) * (1.0 / stretch))
    weights[place >= count[:, None]] = 0
    total = np.zeros(len(first))
    for tap in weights.T:  # in order: numpy's own sum adds in another, which can differ in the last bit
        total += tap
    weights /= np.where(total == 0, 1.0, total)[:, None]
    scaled = weights * (1 << PRECISION_BITS)
    return first, np.where(scaled < 0, scaled - 0.5, scaled + 0.5).astype(np.int32), first + count


def _along_rows(pixels: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One pass along the second axis: uint8 (N, old, C) to uint8 (N, new, C)."""
    return np.concatenate([_pass(pixels[row : row + ROWS], first, weights) for row in range(0, len(pixels), ROWS)])


def _pass(pixels: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.full((len(pixels), len(first), pixels.shape[2]), 1 << (PRECISION_BITS - 1), np.int32)
    for tap in range(weights.shape[1]):
        at = np.minimum(first + tap, pixels.shape[1] - 1)  # past the last one the weight is 0
        total += pixels[:, at].astype(np.int32) * weights[:, tap, None]
    return np.asarray(np.clip(total >> PRECISION_BITS, 0, 255), dtype=np.uint8)


def _bilinear(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(1.0 - np.abs(x), 0.0))


def _bicubic(x: np.ndarray) -> np.ndarray:
    a, x = -0.5, np.abs(x)
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.asarray(np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0)))


def _sinc(x: np.ndarray) -> np.ndarray:
    x = np.where(x == 0.0, 1.0, x * np.pi)
    return np.asarray(np.where(x == 1.0, 1.0, np.sin(x) / x))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.where((x >= -3.0) & (x < 3.0), _sinc(x) * _sinc(x / 3), 0.0))


FILTERS: Dict[str, Tuple[Filter, float]] = {
    "bilinear": (_bilinear, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
"""Name: the filter, and how far it reaches to either side."""
