"""Images of all modes as 8-bit RGB, and turned as they say."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgekit.runtime.contract import Contract
from edgekit.runtime.decoding import picture
from edgekit.runtime.errors import ImageError
from edgekit.runtime.rgb import ORIENTATION, bears_rotation, rgb_of


def noise(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(image: Image.Image, kind: str, **more: Any) -> Image.Image:
    into = io.BytesIO()
    image.save(into, kind, **more)
    return Image.open(io.BytesIO(into.getvalue()))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_are_scaled_by_their_range(kind: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], np.uint16)
    made = np.asarray(rgb_of(saved(Image.fromarray(values), kind)))
    assert made[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]
    assert (made == made[..., :1]).all()


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_both_orders_of_bytes_are_read(order: str) -> None:
    values = np.linspace(0, 65535, 64).reshape(8, 8).astype(order)
    mode = "I;16" if order == "<u2" else "I;16B"
    made = np.asarray(rgb_of(Image.frombytes(mode, (8, 8), values.tobytes())))
    np.testing.assert_array_equal(made[..., 0], np.floor(values.astype(float) / 257 + 0.5))


@pytest.mark.parametrize(("white", "known"), [(1.0, 255), (255.0, 255), (0.5, 128), (200.0, 200)])
def test_floats_are_of_one_range_or_the_other(white: float, known: int) -> None:
    values = np.linspace(0, white, 40, dtype=np.float32).reshape(5, 8)
    made = np.asarray(rgb_of(saved(Image.fromarray(values), "TIFF")))
    assert (made.min(), made.max()) == (0, known)


def test_thirty_two_bits_are_taken_as_eight_or_sixteen() -> None:
    for white, known in ((200, 200), (65535, 255), (1000, 4)):
        values = np.linspace(0, white, 40).reshape(5, 8).astype(np.int32)
        assert np.asarray(rgb_of(saved(Image.fromarray(values), "TIFF"))).max() == known


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[-1, 5]], np.int32), "from -1 to 5, and nobody says what is white"),
        (np.array([[0, 70000]], np.int32), "70000"),
        (np.array([[0, 256]], np.float32), "0 to 1 or 0 to 255"),
        (np.array([[-0.1, 1]], np.float32), "0 to 1 or 0 to 255"),
        (np.array([[np.nan, 1]], np.float32), "no numbers"),
    ],
)
def test_a_range_that_nobody_knows_is_refused_by_name(values: Any, words: str, tmp_path: Path) -> None:
    Image.fromarray(values).save(tmp_path / "odd.tif")
    with pytest.raises(ImageError, match=words) as caught:
        picture(str(tmp_path / "odd.tif"), Contract((8, 8)))
    assert "odd.tif" in str(caught.value)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_other_modes_are_pillows(mode: str) -> None:
    image = Image.fromarray(noise((9, 7, 3))).convert(mode)
    np.testing.assert_array_equal(np.asarray(rgb_of(image)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_only_where_it_is_asked_for(kind: str, orientation: int) -> None:
    image, exif = Image.fromarray(noise((9, 7, 3))), Image.Exif()
    exif[ORIENTATION] = orientation
    opened = saved(image, kind, exif=exif)
    assert bears_rotation(opened) == (orientation > 1)
    np.testing.assert_array_equal(
        np.asarray(rgb_of(opened, exif=True)), np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
    )
    np.testing.assert_array_equal(np.asarray(rgb_of(opened)), np.asarray(opened.convert("RGB")))


def test_exif_data_that_are_damaged_say_nothing() -> None:
    opened = saved(Image.fromarray(noise((9, 7, 3))), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xffnothing")
    assert not bears_rotation(opened)
    assert rgb_of(opened, exif=True).size == (7, 9)


def test_the_runtime_turns_files_and_no_arrays(tmp_path: Path) -> None:
    pixels, exif = noise((16, 24, 3)), Image.Exif()
    exif[ORIENTATION] = 6
    Image.fromarray(pixels).save(tmp_path / "held.png", exif=exif)
    contract = Contract((24, 16), 1.0, exif=True)
    np.testing.assert_array_equal(picture(str(tmp_path / "held.png"), contract), np.rot90(pixels, -1))
    np.testing.assert_array_equal(picture(np.ascontiguousarray(np.rot90(pixels, -1)), contract), np.rot90(pixels, -1))
