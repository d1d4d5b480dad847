"""Opens image files, which may be damaged on purpose: what is wrong with one is one kind of error, whoever finds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from edgekit.data.formats import openers
from edgekit.runtime.decoding import MAX_IMAGE_BYTES as MAX_IMAGE_BYTES
from edgekit.runtime.decoding import MAX_PIXELS

if TYPE_CHECKING:
    from PIL import Image as PillowImage

LIMITS: Final = f"{MAX_PIXELS} pixels, {MAX_IMAGE_BYTES} bytes"
"""What a device decodes at most: an image beyond it would be judged here, and refused there."""


@contextmanager
def opened(source: Path | IO[bytes]) -> Iterator[PillowImage.Image]:
    """An image, of which the header is read: pixels are decoded by what the block does with it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no image, damaged, or too large; also where the block finds that out.
    """
    from PIL import Image

    try:
        with Image.open(source, formats=openers()) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"it has {image.width} x {image.height} pixels, the limit is {MAX_PIXELS}")
            yield image
    except (OSError, ValueError):
        raise
    except Exception as error:  # damaged bytes make decoders raise what they like: struct.error, SyntaxError, KeyError
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from error
