"""Sizes of images as people write them and as files keep them: `224` is a square, `48x192` is height by width."""

from __future__ import annotations

import re
from typing import Any, Final

Size = tuple[int, int]
"""(height, width) of an image, pixels."""

LARGEST_SIDE: Final = 1 << 14
"""Pixels: what the device runtime takes."""

_WRITTEN: Final = re.compile(r"(\d{1,9})(?:[xX×,](\d{1,9}))?")


def size_of(told: Any) -> Size:
    """A size as it may be told: a whole number (a square), text `N` or `HxW`, or two whole numbers.

    Raises:
        ValueError: it is none of these, or a side is below 1 pixel.
    """
    sides: list[Any] = []
    if isinstance(told, str) and (read := _WRITTEN.fullmatch("".join(told.split()))):
        sides = [int(read[1]), int(read[2] or read[1])]
    elif isinstance(told, int):
        sides = [told, told]
    elif isinstance(told, tuple | list):
        sides = list(told)
    if len(sides) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) for side in sides):
        raise ValueError(f"{told!r} is no size: give a side such as 224, or height x width such as 48x192")
    if not 1 <= min(sides) <= max(sides) <= LARGEST_SIDE:
        raise ValueError(f"{told!r} is no size: a side has 1 to {LARGEST_SIDE} pixels")
    return sides[0], sides[1]


def shown(size: Size) -> str:
    """The size as people write it: `224`, or `48x192`."""
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


def plain(size: Size) -> int | list[int]:
    """The size as JSON keeps it: the side of a square, or [height, width]."""
    return size[0] if size[0] == size[1] else list(size)
