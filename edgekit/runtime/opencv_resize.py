"""Resizing as OpenCV's `resize` does it for uint8, in numpy alone: without antialiasing, and by areas.

Of an axis of `old` pixels that becomes `new`, with inverse = new / old and scale = 1 / inverse in double precision:

nearest (INTER_NEAREST): pixel i is the old one at floor(i * scale), at most the last.

bilinear (INTER_LINEAR): pixel i lies at f = (i + 0.5) * scale - 0.5, rounded to single precision; it mixes the pixels
s = floor(f) and s + 1 with the weights 1 - (f - s) and f - s, each times 2**11 and rounded to a whole number, a half to
the even one. Along a row, f is not below 0, and from the last pixel on it is that pixel alone; along a column, weights
stay and rows beyond the edges are the edge's. A row is summed in whole numbers; two rows t and b are joined as
((wt * (t >> 4)) >> 16) + ((wb * (b >> 4)) >> 16), plus 2, >> 2. The same pixels as OpenCV's, to the last bit.

bicubic (INTER_CUBIC): the pixels s - 1 to s + 2, those beyond the edges being the edge's, with the weights of the
cubic of a = -0.75 in single precision, times 2**11 and rounded likewise, the last so that they sum to 1 before that;
(2**21 + the sum over rows and columns) >> 22, clipped. OpenCV rounds in other places: at most one step of 255 apart.

area (INTER_AREA): where neither side grows, the mean of the old pixels that a new one covers, each by the area of it
that is covered, in whole numbers: floor(mean + 1/2). At most one step from OpenCV's, which sums in single precision.
Where a side grows, as bilinear, but with s = floor(i * scale) and f - s = (i + 1) - (s + 1) * inverse in single
precision, less its whole part and not below 0.
"""

from typing import Callable, Dict, NamedTuple, Tuple

import numpy as np

ROWS = 256
"""Rows that are worked on at a time, so that memory does not grow with the image."""

BITS = 11
"""Of a weight."""


class Window(NamedTuple):
    """What an image is resized to, width x height, and the columns and rows of that which are made: from, up to."""

    width: int
    height: int
    columns: Tuple[int, int]
    rows: Tuple[int, int]


class _Taps(NamedTuple):
    """For each new pixel of an axis which old ones make it, int (n, taps), and their weights, int (n, taps)."""

    places: np.ndarray
    weights: np.ndarray


def resample(pixels: np.ndarray, window: Window, interpolation: str) -> np.ndarray:
    """The window of an image resized: uint8 (H, W, C) to uint8 (rows, columns, C).

    Args:
        interpolation: a key of METHODS.
    """
    if (window.height, window.width) == pixels.shape[:2]:
        part: np.ndarray = pixels[slice(*window.rows), slice(*window.columns)]
        return np.ascontiguousarray(part)
    return np.ascontiguousarray(METHODS[interpolation](pixels, window))


def _nearest(pixels: np.ndarray, window: Window) -> np.ndarray:
    def places(old: int, new: int, part: Tuple[int, int]) -> np.ndarray:
        at = np.floor(np.arange(*part) * (1.0 / (new / old))).astype(np.int64)
        return np.asarray(np.minimum(at, old - 1))

    rows = places(pixels.shape[0], window.height, window.rows)
    columns = places(pixels.shape[1], window.width, window.columns)
    return np.asarray(pixels[rows][:, columns])


def _bilinear(pixels: np.ndarray, window: Window) -> np.ndarray:
    return _linear(pixels, window, _centred)


def _area(pixels: np.ndarray, window: Window) -> np.ndarray:
    if window.width > pixels.shape[1] or window.height > pixels.shape[0]:
        return _linear(pixels, window, _by_area)
    narrow = [
        _covered(pixels[row : row + ROWS].transpose(1, 0, 2), window.width, window.columns)
        for row in range(0, len(pixels), ROWS)
    ]
    total = _covered(np.concatenate(narrow, axis=1).transpose(1, 0, 2), window.height, window.rows)
    area = pixels.shape[0] * pixels.shape[1]
    return np.asarray((2 * total + area) // (2 * area), dtype=np.uint8)


def _covered(pixels: np.ndarray, new: int, part: Tuple[int, int]) -> np.ndarray:
    """Sums along the first axis of what each new pixel covers; an old one counts `new` where it is covered whole."""
    old = len(pixels)
    first, last = part[0] * old // new, min(old, -(-part[1] * old // new))
    sums = np.zeros((last - first + 1,) + pixels.shape[1:], np.int64)
    np.cumsum(pixels[first:last], axis=0, out=sums[1:])
    edges = np.arange(part[0], part[1] + 1) * old
    whole, rest = edges // new - first, edges % new
    beyond = np.concatenate([pixels[first:last], pixels[last - 1 : last]]).astype(np.int64)
    until = sums[whole] * new + beyond[whole] * rest.reshape((-1,) + (1,) * (pixels.ndim - 1))
    return np.asarray(np.diff(until, axis=0))


def _linear(
    pixels: np.ndarray,
    window: Window,
    positions: Callable[[int, int, Tuple[int, int]], Tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    place, rest = positions(pixels.shape[1], window.width, window.columns)
    inside = (place >= 0) & (place < pixels.shape[1] - 1)
    across = _pairs(pixels.shape[1], place, np.where(inside, rest, np.float32(0)))
    down = _pairs(pixels.shape[0], *positions(pixels.shape[0], window.height, window.rows))
    joined = np.zeros((len(down.places), len(across.places), pixels.shape[2]), np.int32)
    for tap in (0, 1):
        rows = _along_rows(pixels, down.places[:, tap], across)
        joined += (down.weights[:, tap, None, None] * (rows >> 4)) >> 16
    return np.asarray(np.clip((joined + 2) >> 2, 0, 255), dtype=np.uint8)


def _centred(old: int, new: int, part: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    """Where new pixels lie: the old one before each, int, and how far beyond it, float32."""
    scale = 1.0 / (new / old)
    at = ((np.arange(*part) + 0.5) * scale - 0.5).astype(np.float32)
    place = np.floor(at).astype(np.int64)
    return place, at - place.astype(np.float32)


def _by_area(old: int, new: int, part: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    inverse = new / old
    number = np.arange(*part)
    place = np.floor(number * (1.0 / inverse)).astype(np.int64)
    rest = ((number + 1) - (place + 1) * inverse).astype(np.float32)
    return place, np.where(rest <= 0, np.float32(0), rest - np.floor(rest)).astype(np.float32)


def _pairs(old: int, place: np.ndarray, rest: np.ndarray) -> _Taps:
    places = np.clip(np.stack([place, place + 1], 1), 0, old - 1)
    return _Taps(places, _whole(np.stack([np.float32(1) - rest, rest], 1)))


def _whole(weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(weights * np.float32(1 << BITS)).astype(np.int32))


def _along_rows(pixels: np.ndarray, rows: np.ndarray, taps: _Taps) -> np.ndarray:
    """Those rows resized along themselves: int32 (rows, n, C), not divided yet."""
    made = np.zeros((len(rows), len(taps.places), pixels.shape[2]), np.int32)
    for tap in range(taps.places.shape[1]):
        made += pixels[rows[:, None], taps.places[None, :, tap]].astype(np.int32) * taps.weights[None, :, tap, None]
    return made


def _bicubic(pixels: np.ndarray, window: Window) -> np.ndarray:
    across = _cubic(pixels.shape[1], window.width, window.columns)
    down = _cubic(pixels.shape[0], window.height, window.rows)
    total = np.full((len(down.places), len(across.places), pixels.shape[2]), 1 << (2 * BITS - 1), np.int64)
    for tap in range(4):
        rows = _along_rows(pixels, down.places[:, tap], across)
        total += rows.astype(np.int64) * down.weights[:, tap, None, None]
    return np.asarray(np.clip(total >> (2 * BITS), 0, 255), dtype=np.uint8)


def _cubic(old: int, new: int, part: Tuple[int, int]) -> _Taps:
    place, x = _centred(old, new, part)
    one, a = np.float32(1), np.float32(-0.75)
    y, z = x + one, one - x
    first = ((a * y - 5 * a) * y + 8 * a) * y - 4 * a
    second = ((a + 2) * x - (a + 3)) * x * x + one
    third = ((a + 2) * z - (a + 3)) * z * z + one
    weights = np.stack([first, second, third, one - first - second - third], 1).astype(np.float32)
    return _Taps(np.clip(place[:, None] + np.arange(-1, 3), 0, old - 1), _whole(weights))


METHODS: Dict[str, Callable[[np.ndarray, Window], np.ndarray]] = {
    "nearest": _nearest,
    "bilinear": _bilinear,
    "bicubic": _bicubic,
    "area": _area,
}
"""By the name that a contract has for it."""
