"""Random parts to train on come to the size in the way that the network is judged on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from edgekit.data.augment import augmented
from edgekit.data.preprocessing import Preprocessing, in_color
from edgekit.data.training_signs import TrainingSigns
from edgekit.training.images import ordered

HOW = Preprocessing((48, 96), resize="letterbox", pad_color=(9, 8, 7))


def photo() -> Image.Image:
    """60 wide and 120 high, with no pixel of the padding's colour."""
    return Image.fromarray(np.random.default_rng(0).integers(40, 256, (120, 60, 3), dtype=np.uint8))


def test_crops_have_the_ratio_of_the_size_and_nothing_else_is_seen() -> None:
    made = augmented(photo(), (48, 96), [1, 2])
    assert made.shape == (48, 96, 3)
    assert (made > 30).all()
    np.testing.assert_array_equal(made, augmented(photo(), (48, 96), [1, 2]))
    assert not np.array_equal(made, augmented(photo(), (48, 96), [1, 3]))


def test_a_letterboxed_network_sees_letterboxed_parts() -> None:
    for seed in range(6):
        made = augmented(photo(), (48, 96), [seed], HOW)
        bars = (made == HOW.pad_color).all(-1).all(0)
        assert 60 <= bars.sum() <= 80  # the picture is half as wide as high: 24 of 96 columns, or about that
        assert not (made[:, ~bars] == HOW.pad_color).all(-1).any()


@pytest.mark.parametrize("color", ["rgb", "bgr", "grey"])
def test_images_to_train_on_have_the_networks_channels(color: str) -> None:
    told = Preprocessing((40, 40), color=color)
    plain, label = TrainingSigns().training_image(3, (40, 40), 5)
    made, same = ordered(TrainingSigns(), told).training_image(3, (40, 40), 5)
    assert same == label
    np.testing.assert_array_equal(made, in_color(plain, color))
    assert made.shape[2] == told.channels


def test_signs_are_squashed_or_letterboxed_as_the_network_is_judged_on() -> None:
    from edgekit.data.signs_set import SignsSet

    for resize in ("squash", "letterbox"):
        told = replace(HOW, resize=resize)
        made, _ = ordered(TrainingSigns(), told).training_image(3, (48, 96), 5)
        assert made.shape == SignsSet().load(3, told).shape == (48, 96, 3)
        assert (made[:, 0] == HOW.pad_color).all() == (resize == "letterbox")


def test_grey_is_pillows() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(in_color(pixels, "grey")[..., 0], np.asarray(Image.fromarray(pixels).convert("L")))
