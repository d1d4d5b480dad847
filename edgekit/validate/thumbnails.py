"""Small pictures of what networks were shown."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_SIDE: Final = 96
MOST_BYTES: Final = 4096
QUALITIES: Final = (70, 55, 40, 25, 10)


def thumbnail(picture: NDArray[np.uint8]) -> str:
    """A JPEG of a picture, uint8 (H, W, 3) RGB, in base64: at most LONGEST_SIDE pixels long, never enlarged.

    It has the first of QUALITIES that keeps it within MOST_BYTES: noise is drawn badly rather than large.
    """
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BICUBIC)
    content = b""
    for quality in QUALITIES:
        into = io.BytesIO()
        image.save(into, "JPEG", quality=quality, optimize=True)
        content = into.getvalue()
        if len(content) <= MOST_BYTES:
            break
    return base64.b64encode(content).decode("ascii")
