"""Pictures that are to be turned are counted and named, and turned where that is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.data.folder import open_images
from edgekit.data.preprocessing import Preprocessing
from edgekit.data.rotated import rotated, rotation_warning
from edgekit.data.signs_set import SignsSet
from edgekit.errors import InputError
from edgekit.runtime.rgb import ORIENTATION

PLAIN = Preprocessing((24, 16), 1.0)
TURNED = Preprocessing((24, 16), 1.0, exif=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight pictures of two classes, 24 wide and 16 high, five of which say that they are to be turned."""
    for place in range(8):
        exif = Image.Exif()
        exif[ORIENTATION] = 6 if place < 5 else 1
        pixels = np.random.default_rng(place).integers(0, 256, (16, 24, 3), dtype=np.uint8)
        (tmp_path / "ab"[place % 2]).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "ab"[place % 2] / f"{place}.png", exif=exif)
    return tmp_path


def test_they_are_counted_and_named(folder: Path) -> None:
    images = open_images(folder)
    assert rotated(images) == ["a/0.png", "a/2.png", "a/4.png", "b/1.png", "b/3.png"]
    told = rotation_warning(images, PLAIN)
    assert told is not None
    assert told.startswith("5 of 8 images bear an EXIF rotation, which is not applied: a/0.png, a/2.png, a/4.png, ...;")
    assert "--exif" in told
    assert rotation_warning(images, TURNED) is None
    assert rotation_warning(SignsSet(count=3), PLAIN) is None


def test_they_are_turned_where_it_is_asked_for(folder: Path) -> None:
    images = open_images(folder)
    pixels = np.asarray(Image.open(folder / "a" / "0.png"))
    np.testing.assert_array_equal(images.load(0, TURNED), np.rot90(pixels, -1))
    assert images.decoded(0, 0).size == (24, 16)
    assert images.decoded(0, 0, exif=True).size == (16, 24)
    shown, _ = images.training_image(0, (24, 16), 3, TURNED)
    assert shown.shape == (24, 16, 3)


def test_a_range_that_nobody_knows_is_an_error_that_names_the_file(folder: Path) -> None:
    Image.fromarray(np.full((9, 9), 70_000, np.int32)).save(folder / "a" / "odd.tif")
    images = open_images(folder)
    place = [images.identifier(i) for i in range(len(images))].index("a/odd.tif")
    with pytest.raises(InputError, match=r"odd\.tif.*nobody says what is white"):
        images.load(place, PLAIN)
