"""Which files are images: by suffix, from what Pillow can decode here, and by the first bytes of files without one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

DECODED: Final = (
    *("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF", "JPEG2000", "AVIF", "MPO", "TGA", "ICO", "DIB"),
    *("PCX", "SGI", "SUN", "DDS", "PSD", "QOI"),
)
"""Formats that are read, by Pillow's names: rasters that it decodes by itself. It knows more, and some of those run
other programs (EPS) or hold no picture of their own (WMF, HDF5, MPEG)."""

NEEDS: Final[Mapping[str, str]] = {"JPEG2000": "jpg_2000", "AVIF": "avif", "WEBP": "webp"}
"""What Pillow must have been compiled with to decode a format."""

NO_IMAGES: Final = frozenset(
    {
        *(".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".html", ".log"),
        *(".npy", ".npz", ".pkl", ".pt", ".pth", ".onnx", ".h5", ".db", ".ini", ".lock", ".sha256", ".md5", ".py"),
        *(".zip", ".tar", ".gz", ".mat", ".cache", ".names", ".info", ".license"),
    }
)
"""Suffixes of what lies beside images and is none; a name of these is not remarked on."""

_BEGINNINGS: Final = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
)
HEAD: Final = 16
"""Bytes that tell whether a file is an image."""


@cache
def suffixes() -> frozenset[str]:
    """Suffixes of image files that can be decoded here, in lower case with their dot."""
    from PIL import Image, features

    Image.init()
    known = Image.registered_extensions()
    return frozenset(
        suffix
        for suffix, name in known.items()
        if name in DECODED and (name not in NEEDS or features.check(NEEDS[name]))
    )


@cache
def openers() -> tuple[str, ...]:
    """The formats of DECODED that Pillow can be asked to open; others, MPO, are opened as one of these."""
    from PIL import Image

    Image.init()
    return tuple(name for name in DECODED if name in Image.OPEN)


def begins_as_image(head: bytes) -> bool:
    """Whether a file with these first HEAD bytes is an image of one of the usual formats, whatever it is called."""
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP" and ".webp" in suffixes()
    is_avif = head[4:12] in (b"ftypavif", b"ftypavis") and ".avif" in suffixes()
    return head.startswith(_BEGINNINGS) or is_webp or is_avif
