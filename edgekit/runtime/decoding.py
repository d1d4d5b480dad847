"""From what an application has to the network's input: files and bytes through Pillow, arrays as they are.

An image is read as evaluation reads it: the first frame, to 8-bit RGB as edgekit.runtime.rgb has it, and turned as its
EXIF orientation says only where the contract says so. An array is upright.
"""

import io
import os
import stat
from typing import Any, Tuple, Union

import numpy as np

from .contract import Contract
from .errors import ImageError, MissingError
from .geometry import plan
from .opencv_resize import Window, resample
from .resize import by_opencv, fit, padded
from .rgb import rgb_of

MAX_IMAGE_BYTES = 128 << 20
MAX_PIXELS = 89478485
"""Pillow's own limit, a quarter of a gigabyte decoded: more is taken for an attempt to fill the memory."""

MAX_RESIZED_PIXELS = 1 << 25
"""An extreme ratio makes the resized image far larger than its crop; then only the crop is made, which is slower."""

FORMATS = tuple("JPEG MPO PNG BMP WEBP PPM TIFF GIF JPEG2000 AVIF TGA ICO DIB PCX SGI SUN DDS PSD QOI".split())
"""What is decoded: Pillow knows more, and some of those run other programs."""

Image = Union[str, "os.PathLike[str]", bytes, bytearray, memoryview, np.ndarray]


def picture(image: Image, contract: Contract, max_bytes: int = MAX_IMAGE_BYTES, max_pixels: int = MAX_PIXELS) -> Any:
    """An image as the network's input, uint8 (height, width, 3) RGB: fitted as in evaluation.

    Args:
        image: a path, the bytes of a file (JPEG, PNG and the others of FORMATS), or a uint8 (H, W, 3) RGB array.
    Raises:
        ImageError: it cannot be read, is cut short, too large or no image.
        MissingError: a path or bytes, and no Pillow.
    """
    if isinstance(image, np.ndarray):
        return _of_array(_checked(image, max_pixels), contract)
    if isinstance(image, (bytes, bytearray, memoryview)):
        content, name = bytes(image), "of %d bytes" % len(image)
        if len(content) > max_bytes:
            raise ImageError("the image %s is too large: the limit is %d" % (name, max_bytes))
    elif isinstance(image, (str, os.PathLike)):
        name = os.fspath(image)
        content = _read(name, max_bytes)
    else:
        raise ImageError("an image is a path, bytes or a uint8 (H, W, 3) array, not %s" % type(image).__name__)
    return fitted(_decoded(content, name, max_pixels, contract.exif), contract)


def _checked(pixels: np.ndarray, max_pixels: int) -> np.ndarray:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ImageError("an array must be uint8 (H, W, 3) RGB, not %s %s" % (pixels.dtype, pixels.shape))
    if pixels.shape[0] * pixels.shape[1] > max_pixels:
        raise ImageError("the array has %d x %d pixels, the limit is %d" % (pixels.shape[1::-1] + (max_pixels,)))
    return pixels


def _read(path: str, max_bytes: int) -> bytes:
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ImageError("cannot read the image %s: it is no regular file" % path)
            if found.st_size > max_bytes:
                raise ImageError("%s has %d bytes, the limit is %d" % (path, found.st_size, max_bytes))
            return file.read(max_bytes)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise ImageError("cannot read the image %s: %s" % (path, getattr(error, "strerror", None) or error))


def _without_waiting(path: str, flags: int) -> int:
    """Opens a file; of a pipe that nobody writes to, at once."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _decoded(content: bytes, name: str, max_pixels: int, exif: bool) -> Any:
    """The image as Pillow's RGB, turned by EXIF if asked for. Its size is looked at before it is decoded."""
    try:
        from PIL import Image as Pillow
    except ImportError:
        raise MissingError("Pillow is not installed, which reads image files: pip install Pillow, or give an array")
    try:
        with Pillow.open(io.BytesIO(content)) as opened:
            width, height = opened.size
            if opened.format not in FORMATS:
                raise ImageError("the image %s is %s, which is not read here" % (name, opened.format))
            if width * height > max_pixels:
                raise ImageError("the image %s has %d x %d pixels, the limit is %d" % (name, width, height, max_pixels))
            return rgb_of(opened, exif)
    except ImageError:
        raise
    except Exception as error:  # damaged bytes make decoders raise what they like
        words = " ".join(str(error).split()).replace(repr(content[:0]), "")
        if "BytesIO" in words:
            words = "it is no image that is known here"
        raise ImageError("cannot read the image %s: %s" % (name, words[:200] or type(error).__name__))


def _of_array(pixels: np.ndarray, contract: Contract) -> np.ndarray:
    """An array fitted; Pillow, where it is, is faster and gives the same pixels."""
    height, width = pixels.shape[:2]
    if (height, width) == contract.size and plan(width, height, contract)[:2] == (width, height):
        return pixels
    try:
        from PIL import Image as Pillow
    except ImportError:
        return fit(pixels, contract)
    return fitted(Pillow.fromarray(np.ascontiguousarray(pixels)), contract)


def fitted(image: Any, contract: Contract) -> np.ndarray:
    """A Pillow image, RGB, as the network's input, uint8 (height, width, 3): what edgekit.runtime.resize defines."""
    from PIL import Image as Pillow

    width, height = image.size
    to = plan(width, height, contract)
    if by_opencv(contract) or to.width * max(to.height, height) > MAX_RESIZED_PIXELS:
        return fit(np.asarray(image, dtype=np.uint8), contract)
    method = getattr(Pillow, contract.interpolation.upper())
    part = in_two_passes(image, (to.width, to.height), method).crop(
        (to.left, to.top, to.left + to.wide, to.top + to.high)
    )
    return padded(np.asarray(part, dtype=np.uint8), to, contract)


def resized_to(image: Any, size: Tuple[int, int], contract: Contract) -> Any:
    """A Pillow image, RGB, resized to `size` (width, height) as the contract says, whatever its ratio."""
    from PIL import Image as Pillow

    if not by_opencv(contract):
        return in_two_passes(image, size, getattr(Pillow, contract.interpolation.upper()))
    window = Window(size[0], size[1], (0, size[0]), (0, size[1]))
    return Pillow.fromarray(resample(np.asarray(image, dtype=np.uint8), window, contract.interpolation))


def in_two_passes(image: Any, size: Tuple[int, int], method: Any) -> Any:
    """A Pillow image resized to `size` (width, height), the width first.

    The passes are asked for one by one: in one call, newer releases of Pillow choose the order themselves, and the
    pixels with it.
    """
    for wanted in ((size[0], image.size[1]), size):
        if image.size != wanted:
            image = image.resize(wanted, method)
    return image
