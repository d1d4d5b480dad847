"""The rendered signs set: 24 classes of sign-like objects (4 plates x 6 glyphs), drawn from a seed.

Every picture is a pure function of (split, index, size). To give the same pixels on every machine, drawing uses only
operations that IEEE 754 rounds exactly (add, subtract, multiply, divide, square root, minimum, maximum) on float32
arrays, element by element: no transcendental functions, no sums over arrays, no matrix products. Random numbers are the
raw words of the Philox counter generator, keyed by split and index, so that no two splits can share a picture.

The picture spans [-1, 1] in x (right) and y (down), a wider one more; shapes are those of edgekit.data.sign_shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.data.sign_shapes import (
    GLYPHS,
    PLATES,
    Frame,
    Plane,
    blend,
    coverage,
    frame_of,
    glyph_distance,
    plate_distance,
    window_around,
)

Picture = NDArray[np.uint8]

CLASSES: Final = tuple(f"{plate}-{glyph}" for plate in PLATES for glyph in GLYPHS)
SPLITS: Final = {"train": 96_000, "calibration": 2_400, "validation": 7_200}
DEFAULT_SIZE: Final = 299

_SEED: Final = 0x51677
_SPLIT_KEYS: Final = {"train": 1, "calibration": 2, "validation": 3}
# Real signs are painted to a code: rim and fill lean towards these (red, green, blue), never exactly.
_PLATE_PAINT: Final = {
    "circle": ((0.85, 0.1, 0.1), (0.95, 0.95, 0.9)),
    "triangle": ((0.1, 0.1, 0.1), (0.95, 0.8, 0.1)),
    "diamond": ((0.15, 0.2, 0.5), (0.6, 0.7, 0.85)),
    "octagon": ((0.9, 0.9, 0.9), (0.7, 0.1, 0.15)),
}

_GLYPH_PAINT: Final = {
    "arrow": (0.05, 0.05, 0.05),
    "bar": (0.0, 0.6, 0.65),
    "cross": (0.05, 0.5, 0.1),
    "ring": (0.1, 0.2, 0.9),
    "chevron": (0.9, 0.35, 0.0),
    "dots": (0.85, 0.1, 0.75),
}


def label_of(index: int) -> int:
    """The class of picture `index`; classes take turns, so that every run of 24 pictures is balanced."""
    return index % len(CLASSES)


def draw(split: str, index: int, size: int = DEFAULT_SIZE, extent: float = 1.0) -> Picture:
    """Draws one picture.

    Args:
        split: "train", "calibration" or "validation".
        index: position in the split, 0 to SPLITS[split] - 1.
        size: side in pixels.
        extent: how far the camera sees, 1 or more: 1 is the picture that networks are trained and judged on, more has
            it in the middle and shows what is around it.
    Returns:
        uint8 array of shape (size, size, 3), RGB.
    Raises:
        IndexError: the split has no such picture.
        KeyError: there is no such split.
    """
    if not 0 <= index < SPLITS[split]:
        raise IndexError(f"the {split} split has {SPLITS[split]} pictures, not number {index}")
    key = np.array([(_SEED << 8) | _SPLIT_KEYS[split], index], dtype=np.uint64)
    dice = _Dice(np.random.Philox(key=key))
    scene = _roll_scene(dice, label_of(index))
    frame = frame_of(size, extent)
    canvas = _background(dice, frame)
    for _ in range(dice.integer(2, 5)):
        _paint_clutter(canvas, dice, frame, scene.softness)
    _paint_sign(canvas, scene, dice, frame)
    for _ in range(scene.occluders):
        _paint_occluder(canvas, scene, dice, frame)
    _light(canvas, dice, frame, scene.hardness)
    return _expose(canvas, dice, scene.noise)


@dataclass(frozen=True)
class _Scene:
    """What the dice decided about one picture; lengths in picture coordinates, where the picture is 2 wide."""

    plate: str
    glyph: str
    hardness: float
    radius: float
    center: tuple[float, float]
    softness: float
    noise: float
    occluders: int
    contrast: float


class _Dice:
    """Uniform numbers from the generator's raw words, which numpy promises to keep the same between releases."""

    def __init__(self, source: np.random.Philox) -> None:
        self._source = source
        self._words: Iterator[int] = iter(source.random_raw(192).tolist())

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        word = next(self._words)
        return low + (high - low) * ((word >> 11) * 2.0**-53)

    def integer(self, low: int, high: int) -> int:
        """low, low + 1, ... high - 1, each as likely."""
        return low + next(self._words) % (high - low)

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability

    def near(self, color: tuple[float, float, float], spread: float) -> tuple[float, float, float]:
        """A colour within `spread` of `color` in every channel."""
        red, green, blue = (part + self.uniform(-spread, spread) for part in color)
        return red, green, blue

    def dull(self) -> tuple[float, float, float]:
        """A greyish colour, as walls and roads have."""
        grey = self.uniform(0.1, 0.8)
        return self.near((grey, grey, grey), 0.2)

    def turn(self, limit: float) -> tuple[float, float]:
        """Cosine and sine of an angle within about 2 * limit radians of zero, from the rational circle."""
        t = self.uniform(-limit, limit)
        return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)

    def octets(self, count: int) -> NDArray[np.uint8]:
        return self._source.random_raw((count + 7) // 8).astype("<u8").view(np.uint8)[:count]


def _roll_scene(dice: _Dice, label: int) -> _Scene:
    # One picture in six is hard: small, soft, faint and covered all at once. Part of those nobody can read, which is
    # what keeps a good network below 98 % while leaving it a stable ceiling.
    hard = dice.chance(0.16)
    hardness = dice.uniform(0.55, 1.0) if hard else dice.uniform(0.0, 0.45)
    radius = 0.74 - 0.48 * hardness + dice.uniform(-0.08, 0.08)
    room = 1.0 - radius
    return _Scene(
        plate=PLATES[label // len(GLYPHS)],
        glyph=GLYPHS[label % len(GLYPHS)],
        hardness=hardness,
        radius=radius,
        center=(dice.uniform(-room, room), dice.uniform(-room, room)),
        softness=0.012 + 0.11 * hardness * hardness * dice.uniform(0.4, 1.0),
        noise=0.02 + 0.13 * hardness * dice.uniform(),
        occluders=int(dice.chance(0.35)) + int(dice.chance(hardness)),
        contrast=1.0 - 0.72 * hardness * dice.uniform(0.5, 1.0),
    )


def _background(dice: _Dice, frame: Frame) -> Plane:
    """Two octaves of smooth coloured noise, shape (3, size, size)."""
    tint = np.array(dice.dull(), dtype=np.float32)[:, None, None]
    coarse = _smooth_noise(dice, dice.integer(3, 6), frame)
    fine = _smooth_noise(dice, dice.integer(12, 24), frame)
    amplitude = np.float32(dice.uniform(0.05, 0.2))
    coarse *= np.float32(0.35)
    fine *= amplitude
    coarse += fine
    # Two thirds of the way to grey: a sign stands out from what is behind it.
    grey = (coarse[0] + coarse[1] + coarse[2]) * np.float32(2.0 / 9.0)
    coarse *= np.float32(1.0 / 3.0)
    coarse += grey
    coarse += tint * np.float32(0.6) - (amplitude + np.float32(0.25)) * np.float32(0.5)
    return coarse


def _smooth_noise(dice: _Dice, cells: int, frame: Frame) -> Plane:
    """Bilinear interpolation of a (3, cells + 1, cells + 1) lattice of random values to (3, size, size).

    The lattice spans the picture of extent 1, and is mirrored at its edges beyond.
    """
    side = cells + 1
    lattice = dice.octets(3 * side * side).reshape(3, side, side).astype(np.float32) / np.float32(255)
    place = np.arange(frame.size, dtype=np.float32) * np.float32(cells) / np.float32(frame.size)
    if frame.extent != 1.0:
        middle = np.float32(cells) * np.float32(0.5)
        place = np.abs((place - middle) * np.float32(frame.extent) + middle)
        place = np.float32(cells) - np.abs(np.float32(cells) - place)
    left = np.minimum(place.astype(np.int32), cells - 1)
    part = place - left.astype(np.float32)
    rows = lattice[:, left, :]
    rows += (lattice[:, left + 1, :] - rows) * part[None, :, None]
    out = rows[:, :, left]
    step = rows[:, :, left + 1]
    step -= out
    step *= part
    out += step
    return out


def _paint_clutter(canvas: Plane, dice: _Dice, frame: Frame, softness: float) -> None:
    """One bar, disc or empty plate, up to half the picture wide."""
    kind = dice.integer(0, 4)
    cx, cy, radius = dice.uniform(-1, 1), dice.uniform(-1, 1), dice.uniform(0.08, 0.3)
    cos, sin = dice.turn(1.0)
    window = window_around(frame, cx, cy, radius * 2.3)
    if window is None:
        return
    rows, cols, px, py = window
    u, v = (px * cos + py * sin) / np.float32(radius), (py * cos - px * sin) / np.float32(radius)
    if kind == 0:
        distance = np.maximum(np.abs(u) - np.float32(2.0), np.abs(v) - np.float32(0.25))
    else:
        distance = plate_distance(PLATES[(kind + dice.integer(0, 2)) % len(PLATES)], u, v)
    blend(canvas, rows, cols, coverage(distance, softness / radius, frame, radius), dice.dull())


def _paint_sign(canvas: Plane, scene: _Scene, dice: _Dice, frame: Frame) -> None:
    """The plate, its rim and its glyph, seen in perspective."""
    cos, sin = dice.turn(0.14)
    squeeze = dice.uniform(0.72, 1.0)
    tilt_x, tilt_y = dice.uniform(-0.22, 0.22), dice.uniform(-0.22, 0.22)
    rim_width = dice.uniform(0.06, 0.13)
    rim, fill = (dice.near(color, 0.18) for color in _PLATE_PAINT[scene.plate])
    glyph = _glyph_color(scene, fill, dice)
    window = window_around(frame, *scene.center, scene.radius * 1.7)
    if window is None:  # a sign's centre is always inside the picture
        return
    rows, cols, px, py = window
    scale = np.float32(scene.radius)
    px, py = px / scale, py / scale
    depth = np.float32(1) + px * np.float32(tilt_x) + py * np.float32(tilt_y)
    u = (px * np.float32(cos) + py * np.float32(sin)) / (depth * np.float32(squeeze))
    v = (py * np.float32(cos) - px * np.float32(sin)) / depth
    softness = scene.softness / scene.radius
    outer = plate_distance(scene.plate, u, v)
    blend(canvas, rows, cols, coverage(outer, softness, frame, scene.radius), rim)
    blend(canvas, rows, cols, coverage(outer + np.float32(rim_width), softness, frame, scene.radius), fill)
    grow = np.float32(1.2) if scene.plate == "triangle" else np.float32(0.8)
    drop = np.float32(0.12) if scene.plate == "triangle" else np.float32(0)
    inner = glyph_distance(scene.glyph, u * grow, (v - drop) * grow) / grow
    blend(canvas, rows, cols, coverage(inner, softness, frame, scene.radius), glyph)


def _glyph_color(scene: _Scene, fill: tuple[float, float, float], dice: _Dice) -> tuple[float, float, float]:
    """The paint of the glyph's code, now and then any other; faint signs are nearer to their fill."""
    paint = dice.near(_GLYPH_PAINT[scene.glyph], 0.16)
    other = dice.uniform(), dice.uniform(), dice.uniform()
    if dice.chance(0.06):
        paint = other
    red, green, blue = (under + (over - under) * scene.contrast for under, over in zip(fill, paint, strict=True))
    return red, green, blue


def _paint_occluder(canvas: Plane, scene: _Scene, dice: _Dice, frame: Frame) -> None:
    """A bar laid across the sign, more of it the harder the picture."""
    cos, sin = dice.turn(1.0)
    reach = scene.radius * dice.uniform(0.1, 0.9)
    cx = scene.center[0] - sin * reach
    cy = scene.center[1] + cos * reach
    half = scene.radius * (0.06 + 0.3 * scene.hardness * dice.uniform())
    length = scene.radius * dice.uniform(0.4, 1.4)
    window = window_around(frame, cx, cy, length * 1.1 + half)
    if window is None:
        return
    rows, cols, px, py = window
    along = px * np.float32(cos) + py * np.float32(sin)
    across = py * np.float32(cos) - px * np.float32(sin)
    distance = np.maximum(np.abs(along) - np.float32(length), np.abs(across) - np.float32(half))
    blend(canvas, rows, cols, coverage(distance, scene.softness, frame, 1.0), dice.dull())


def _light(canvas: Plane, dice: _Dice, frame: Frame, hardness: float) -> None:
    """A gradient of daylight and one bright spot."""
    gain = frame.x * np.float32(dice.uniform(-0.35, 0.35)) + frame.y * np.float32(dice.uniform(-0.35, 0.35))
    gain += np.float32(dice.uniform(0.65, 1.1) - 0.35 * hardness * dice.uniform())
    canvas *= gain
    strength = dice.uniform(0.0, 0.5)
    dx, dy = frame.x - np.float32(dice.uniform(-1, 1)), frame.y - np.float32(dice.uniform(-1, 1))
    canvas += np.float32(strength) / (np.float32(1) + dx * dx * np.float32(12) + dy * dy * np.float32(12))


def _expose(canvas: Plane, dice: _Dice, noise: float) -> Picture:
    """Sensor noise (triangular, from two random octets) and rounding to uint8, as (size, size, 3)."""
    grain = dice.octets(canvas.size).astype(np.float32)
    grain += dice.octets(canvas.size)
    grain -= np.float32(255)
    grain *= np.float32(noise)
    canvas *= np.float32(255)
    canvas += grain.reshape(canvas.shape)
    canvas += np.float32(0.5)
    np.maximum(canvas, np.float32(0), out=canvas)
    np.minimum(canvas, np.float32(255), out=canvas)
    return np.ascontiguousarray(canvas.astype(np.uint8).transpose(1, 2, 0))
