"""Images of every kind: the same pixels as in evaluation, or one clear line."""

from __future__ import annotations

import io
import os
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.data.folder import FolderSet, ImageFile
from edgekit.data.preprocessing import Preprocessing
from edgekit.runtime import ImageError, MissingError
from edgekit.runtime.decoding import picture
from edgekit.runtime.manifest import Contract

CONTRACT = Contract((32, 32), 0.875, "bicubic")


def evaluated(path: Path) -> Any:
    """What evaluation makes of a file."""
    images = FolderSet("x", (), (ImageFile(path, path.name, None, ""),))
    return images.load(0, Preprocessing(*CONTRACT[:3]))


def noise(width: int, height: int, channels: int = 3, seed: int = 0) -> Any:
    made = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return made[:, :, 0] if channels == 1 else made


def rotated() -> Image.Image:
    image = Image.fromarray(noise(40, 30))
    image.getexif()[0x0112] = 6  # orientation: turn it a quarter
    return image


KINDS: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "RGB": (lambda: Image.fromarray(noise(50, 40)), "png"),
    "JPEG": (lambda: Image.fromarray(noise(50, 40)), "jpg"),
    "exact size": (lambda: Image.fromarray(noise(32, 32)), "png"),
    "1 x 1": (lambda: Image.fromarray(noise(1, 1)), "png"),
    "very wide": (lambda: Image.fromarray(noise(3000, 2)), "png"),
    "very high": (lambda: Image.fromarray(noise(1, 500)), "png"),
    "grayscale": (lambda: Image.fromarray(noise(50, 40, 1)), "png"),
    "grayscale JPEG": (lambda: Image.fromarray(noise(50, 40, 1)), "jpg"),
    "transparent": (lambda: Image.fromarray(noise(50, 40, 4)), "png"),
    "CMYK": (lambda: Image.fromarray(noise(50, 40, 4), "RGBA").convert("RGB").convert("CMYK"), "jpg"),
    "palette": (lambda: Image.fromarray(noise(50, 40)).quantize(16), "png"),
    "one bit": (lambda: Image.fromarray(noise(50, 40, 1)).convert("1"), "png"),
    "16 bit": (lambda: Image.fromarray(noise(50, 40, 1).astype(np.uint16) * 257), "png"),
    "turned by EXIF": (rotated, "jpg"),
    "BMP": (lambda: Image.fromarray(noise(50, 40)), "bmp"),
    "WebP": (lambda: Image.fromarray(noise(50, 40)), "webp"),
    "GIF": (lambda: Image.fromarray(noise(50, 40)).quantize(16), "gif"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_is_read_as_in_evaluation(kind: str, tmp_path: Path) -> None:
    make, suffix = KINDS[kind]
    path = tmp_path / f"image.{suffix}"
    image = make()
    image.save(path, exif=image.getexif())
    made = picture(str(path), CONTRACT)
    np.testing.assert_array_equal(made, evaluated(path))
    np.testing.assert_array_equal(made, picture(path.read_bytes(), CONTRACT))
    np.testing.assert_array_equal(made, picture(path, CONTRACT))


def test_an_array_is_what_a_file_of_it_is(tmp_path: Path) -> None:
    pixels = noise(70, 50)
    Image.fromarray(pixels).save(tmp_path / "it.png")
    np.testing.assert_array_equal(picture(pixels, CONTRACT), picture(tmp_path / "it.png", CONTRACT))
    turned = np.ascontiguousarray(pixels.transpose(1, 0, 2)).transpose(1, 0, 2)  # not contiguous
    np.testing.assert_array_equal(picture(turned, CONTRACT), picture(pixels, CONTRACT))
    square = noise(32, 32)
    assert picture(square, CONTRACT._replace(crop_fraction=1.0)) is square


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return len(content).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    header = (60_000).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    rows = zlib.compress(bytes(1 << 20), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(suffix: str) -> bytes:
    into = io.BytesIO()
    Image.fromarray(noise(64, 64)).save(into, suffix)
    return into.getvalue()


BAD: dict[str, tuple[Any, str]] = {
    "an image bomb": (bomb(), r"60000 x 60000 pixels|decompression bomb"),
    "a JPEG cut short": (encoded("jpeg")[:-900], "truncated"),
    "a PNG cut short": (encoded("png")[:-900], "truncated|broken|unrecognized"),
    "nothing": (b"", "no image that is known"),
    "text": (b"hello, this is no image", "no image that is known"),
    "another format": (encoded("eps"), "EPS, which is not read here"),
    "floats": (np.zeros((4, 4, 3), np.float32), "uint8"),
    "four channels": (np.zeros((4, 4, 4), np.uint8), "uint8"),
    "no pixels": (np.zeros((0, 4, 3), np.uint8), "uint8"),
    "a number": (7, "not int"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_image_is_one_clear_line(what: str) -> None:
    given, words = BAD[what]
    with pytest.raises(ImageError, match=words) as caught:
        picture(given, CONTRACT)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["jpeg", "png", "bmp", "gif", "webp", "tiff"])
def test_damaged_images_are_read_or_refused(suffix: str) -> None:
    whole = bytearray(encoded(suffix))
    dice = np.random.Generator(np.random.PCG64(1))
    for _ in range(60):
        damaged = bytearray(whole)
        for place in dice.integers(0, len(whole), 3):
            damaged[place] = int(dice.integers(0, 256))
        try:
            made, words = picture(bytes(damaged), CONTRACT).shape, ""
        except ImageError as error:
            made, words = (32, 32, 3), str(error)
        assert (made, "\n" in words) == ((32, 32, 3), False)


def test_limits_hold_before_anything_is_decoded(tmp_path: Path) -> None:
    content = encoded("png")
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match="the limit is 100"):
        picture(content, CONTRACT, max_bytes=100)
    with pytest.raises(ImageError, match="the limit is 100"):
        picture(tmp_path / "a.png", CONTRACT, max_bytes=100)
    for given in (content, noise(64, 64)):
        with pytest.raises(ImageError, match="64 x 64 pixels, the limit is 4095"):
            picture(given, CONTRACT, max_pixels=4_095)


def test_files_that_are_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path / "none.png", "No such file"), (tmp_path, "directory|no regular file")):
        with pytest.raises(ImageError, match=words):
            picture(path, CONTRACT)
    with pytest.raises(ImageError, match="no regular file"):
        picture(tmp_path / "pipe", CONTRACT)
    with pytest.raises(ImageError, match=r"null|NUL"):
        picture("a\0b", CONTRACT)


def test_without_pillow_arrays_work_and_files_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(70, 50)
    wanted = picture(pixels, CONTRACT)
    monkeypatch.setitem(sys.modules, "PIL", None)
    np.testing.assert_array_equal(picture(pixels, CONTRACT), wanted)
    with pytest.raises(MissingError, match="pip install Pillow"):
        picture(encoded_before, CONTRACT)


encoded_before = encoded("png")
