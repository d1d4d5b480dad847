"""The shapes of the rendered signs and how they get onto a canvas.

A sign's own plane has coordinates (u, v) in which the plate has radius about 1. Shapes are signed distances, negative
inside; blur is a wider edge. Only operations that IEEE 754 rounds exactly are used, see edgekit.data.signs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

Plane: TypeAlias = Any
"""float32 array; numpy's own types widen some of the arithmetic, so that they would not do here."""

PLATES: Final = ("circle", "triangle", "diamond", "octagon")
GLYPHS: Final = ("arrow", "bar", "cross", "ring", "chevron", "dots")

_HALF_SQRT2: Final = np.float32(0.70710678)
_HALF_SQRT3: Final = np.float32(0.8660254)


@dataclass(frozen=True)
class Frame:
    """What the camera sees: pixel centres x of shape (1, size) and y of shape (size, 1), from -extent to extent."""

    size: int
    extent: float
    x: Plane
    y: Plane


def frame_of(size: int, extent: float) -> Frame:
    """What a camera of `size` pixels a side sees when it sees as far as `extent`."""
    line = (np.arange(size, dtype=np.float32) * np.float32(2) + np.float32(1)) / np.float32(size) - np.float32(1)
    line *= np.float32(extent)
    return Frame(size, extent, line[None, :], line[:, None])


def window_around(frame: Frame, cx: float, cy: float, reach: float) -> tuple[slice, slice, Plane, Plane] | None:
    """The rows and columns within `reach` of a point, and their coordinates from it; None when outside the picture."""
    first_col, last_col = _span(cx, reach, frame)
    first_row, last_row = _span(cy, reach, frame)
    if first_col >= last_col or first_row >= last_row:
        return None
    rows, cols = slice(first_row, last_row), slice(first_col, last_col)
    return rows, cols, frame.x[:, cols] - np.float32(cx), frame.y[rows, :] - np.float32(cy)


def _span(center: float, reach: float, frame: Frame) -> tuple[int, int]:
    first = int(((center - reach) / frame.extent + 1) * 0.5 * frame.size)
    last = int(((center + reach) / frame.extent + 1) * 0.5 * frame.size) + 1
    return max(first, 0), min(last, frame.size)


def coverage(distance: Plane, softness: float, frame: Frame, radius: float) -> Plane:
    """How much of each pixel is inside: 1 within, 0 without, a ramp at least one pixel wide at the edge."""
    width = max(2 * softness, 2.0 * frame.extent / (frame.size * radius))
    inside = distance * np.float32(-1.0 / width)
    inside += np.float32(0.5)
    np.maximum(inside, np.float32(0), out=inside)
    np.minimum(inside, np.float32(1), out=inside)
    return inside


def blend(canvas: Plane, rows: slice, cols: slice, cover: Plane, color: tuple[float, float, float]) -> None:
    """Paints `color` over a part of `canvas`, float32 (3, size, size), in place; `cover` is (rows, columns), 0 to 1."""
    for channel, value in enumerate(color):
        under = canvas[channel, rows, cols]
        step = np.float32(value) - under
        step *= cover
        under += step


def plate_distance(plate: str, u: Plane, v: Plane) -> Plane:
    """Signed distance of points of the sign's plane from the edge of its plate, about; one of PLATES."""
    if plate == "circle":
        return np.sqrt(u * u + v * v) - np.float32(0.95)
    if plate == "triangle":
        return np.maximum(v, np.abs(u) * _HALF_SQRT3 - v * np.float32(0.5)) - np.float32(0.62)
    sum_of_sides = (np.abs(u) + np.abs(v)) * _HALF_SQRT2
    if plate == "diamond":
        return sum_of_sides - np.float32(0.78)
    return np.maximum(np.maximum(np.abs(u), np.abs(v)), sum_of_sides) - np.float32(0.9)


def glyph_distance(glyph: str, u: Plane, v: Plane) -> Plane:
    """Signed distance of points of the sign's plane from the edge of its glyph, about; one of GLYPHS."""
    a = np.abs(u)
    if glyph == "arrow":
        stem = np.maximum(a - np.float32(0.11), np.abs(v - np.float32(0.15)) - np.float32(0.4))
        head = np.maximum((a - v) * _HALF_SQRT2 - np.float32(0.4), v + np.float32(0.12))
        return np.minimum(stem, head)
    if glyph == "bar":
        return np.maximum(a - np.float32(0.58), np.abs(v) - np.float32(0.15))
    if glyph == "cross":
        along, across = np.abs(u + v) * _HALF_SQRT2, np.abs(u - v) * _HALF_SQRT2
        first = np.maximum(along - np.float32(0.58), across - np.float32(0.13))
        return np.minimum(first, np.maximum(across - np.float32(0.58), along - np.float32(0.13)))
    if glyph == "ring":
        return np.abs(np.sqrt(u * u + v * v) - np.float32(0.38)) - np.float32(0.12)
    if glyph == "chevron":
        slope = np.abs((a - v) * _HALF_SQRT2 - np.float32(0.12)) - np.float32(0.12)
        return np.maximum(slope, a - np.float32(0.5))
    offset = a - np.float32(0.3)
    return np.sqrt(offset * offset + v * v) - np.float32(0.2)
