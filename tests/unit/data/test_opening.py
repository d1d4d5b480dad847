"""Image files that are damaged on purpose, or are far larger than they look."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from edgekit.data.folder import open_images
from edgekit.data.opening import MAX_IMAGE_BYTES, opened
from edgekit.data.rotated import rotated


def png_of(width: int, height: int) -> bytes:
    """A PNG of one colour; its pixels are a few bytes, however many there are."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(b"\0" * 1000, 9)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [12_000, 60_000, 2**31 - 1])
def test_a_bomb_is_not_decoded(side: int) -> None:
    with pytest.raises((ValueError, OSError)), opened(io.BytesIO(png_of(side, side))):
        pytest.fail("it was opened")


def test_what_devices_refuse_is_no_image_here_either(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / label / "good.png")
    (tmp_path / "a" / "bomb.png").write_bytes(png_of(12_000, 12_000))
    with (tmp_path / "a" / "long.png").open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(MAX_IMAGE_BYTES + 1)
    found = open_images(tmp_path, skip_bad=True)
    assert sorted(found.skipped) == ["a/bomb.png", "a/long.png"]
    assert len(found) == 2


@pytest.mark.parametrize(
    "error", [struct.error, KeyError, IndexError, TypeError, SyntaxError, MemoryError, ZeroDivisionError]
)
def test_whatever_a_decoder_raises_is_one_kind_of_error(error: type[Exception]) -> None:
    into = io.BytesIO()
    Image.new("RGB", (8, 8)).save(into, "PNG")
    with pytest.raises(ValueError, match=error.__name__ + "|here"), opened(into):
        raise error("here")


def test_a_damaged_picture_has_no_rotation(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / label / "good.jpg")
    found = open_images(tmp_path)
    (tmp_path / "a" / "good.jpg").write_bytes(b"\xff\xd8\xff\xe1" + b"\xff" * 50)
    assert rotated(found) == []
