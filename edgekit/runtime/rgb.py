"""From an image as its file has it to 8-bit RGB: turned where that is asked for, and scaled by its range.

- 8 bits and fewer, palettes, transparency (dropped), CMYK and the like: as Pillow's `convert("RGB")` has it.
- 16-bit grey: `(v + 128) // 257`, v / 257 rounded. 16-bit colour, and grey with transparency: the upper 8 bits, which
  is what Pillow gives out of such files.
- 32-bit integers: by the range that they use: 0 to 255 as they are, 0 to 65535 as 16 bits; others are refused, since
  nobody says what is white. A PNG's or PPM's are 16 bits, whatever they use.
- Floating point: 0 to 1 is times 255, else 0 to 255 is as it is, both rounded, a half to the even neighbour; what is
  beyond, or no number, is refused.
"""

from typing import Any

import numpy as np

ORIENTATION = 0x0112
"""EXIF's tag for how a camera was held."""

TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""What makes an image upright, by its orientation, in Pillow's words; 1 is upright."""

DEEP = "I;16"
SIXTEEN_BITS = ("PNG", "PPM")
"""Formats whose integers are never of more bits, though older releases of Pillow keep them in 32."""


def rgb_of(image: Any, exif: bool = False) -> Any:
    """A Pillow image as one of 8-bit RGB, turned as its EXIF orientation says where `exif` is set.

    Raises:
        ValueError: its values have no range that is known here; other errors are of damaged files.
    """
    turn = turn_of(image) if exif else None
    made = _grey(image) if image.mode in ("I", "F") or image.mode.startswith(DEEP) else image
    made = made.convert("RGB")
    return made if turn is None else made.transpose(getattr(_pillow(), turn))


def bears_rotation(image: Any) -> bool:
    """Whether a Pillow image says that it is to be turned or mirrored before it is looked at."""
    return turn_of(image) is not None


def turn_of(image: Any) -> Any:
    """What makes an image upright, of TURNS; None where it is. Pillow turns TIFF files by itself when it reads them."""
    if image.format == "TIFF":
        return None
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
        return TURNS.get(int(orientation))
    except Exception:  # damaged EXIF data make Pillow raise what they like, and say nothing of the pixels
        return None


def _grey(image: Any) -> Any:
    """An image of 16 or 32 bits a pixel as one of 8."""
    values = np.asarray(image)
    if image.mode == "F":
        made = _of_floats(values)
    elif image.mode == "I" and image.format not in SIXTEEN_BITS:
        made = _of_integers(values)
    else:
        made = (values.astype(np.int64) + 128) // 257
    return _pillow().fromarray(np.clip(made, 0, 255).astype(np.uint8))


def _of_integers(values: np.ndarray) -> np.ndarray:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise ValueError("its values are whole numbers from %d to %d, and nobody says what is white" % (low, high))
    return values if high <= 255 else (values + 128) // 257


def _of_floats(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise ValueError("it has values that are no numbers")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 255:
        raise ValueError("its values go from %g to %g, where 0 to 1 or 0 to 255 is known" % (low, high))
    return np.asarray(np.rint(values.astype(np.float64) * 255 if high <= 1 else values))


def _pillow() -> Any:
    from PIL import Image

    return Image
