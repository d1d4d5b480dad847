"""Signs to train on: whole ones as they are judged on, and random crops of wider ones."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs import draw, label_of
from edgekit.data.signs_set import EXTENT, SignsSet
from edgekit.data.training_signs import TrainingSigns


def test_without_crops_a_picture_is_the_drawn_one() -> None:
    picture, label = TrainingSigns().training_image(7, (96, 96), seed=3)
    np.testing.assert_array_equal(picture, draw("train", 7, 96))
    assert label == label_of(7)


def test_crops_are_drawn_from_the_seed_and_are_as_many_as_asked_for() -> None:
    signs = TrainingSigns(crops=0.5)
    made = [signs.training_image(index, (80, 80), seed=9)[0] for index in range(60)]
    again = [signs.training_image(index, (80, 80), seed=9)[0] for index in range(60)]
    assert all(np.array_equal(one, other) for one, other in zip(made, again, strict=True))
    whole = sum(np.array_equal(picture, draw("train", index, 80)) for index, picture in enumerate(made))
    assert 15 <= whole <= 45
    assert all(picture.shape == (80, 80, 3) and picture.dtype == np.uint8 for picture in made)


@pytest.mark.parametrize("index", [0, 5, 11])
def test_the_middle_of_a_wide_picture_is_the_one_that_is_judged(index: int) -> None:
    side, size = 320, 280
    assert side / size == EXTENT
    wide = np.asarray(SignsSet().decoded(index, side)).astype(float)
    rest = (side - size) // 2
    middle, own = wide[rest : rest + size, rest : rest + size], draw("validation", index, size).astype(float)
    # Sensor noise is of each picture's own; what is under it is the same.
    apart = np.abs(middle.reshape(40, 7, 40, 7, 3).mean((1, 3)) - own.reshape(40, 7, 40, 7, 3).mean((1, 3)))
    assert apart.mean() < 3
    assert np.corrcoef(middle.mean(2).ravel(), own.mean(2).ravel())[0, 1] > 0.9


def test_a_picture_of_extent_one_is_what_it_always_was() -> None:
    np.testing.assert_array_equal(draw("train", 3, 90), draw("train", 3, 90, 1.0))


@pytest.mark.parametrize("crops", [0.0, 1.0])
def test_a_network_that_takes_no_squares_sees_the_middle_of_a_sign(crops: float) -> None:
    square, _ = TrainingSigns(crops=crops).training_image(7, (80, 80), seed=3)
    for size, middle in (((40, 80), square[20:60]), ((80, 30), square[:, 25:55])):
        np.testing.assert_array_equal(TrainingSigns(crops=crops).training_image(7, size, seed=3)[0], middle)
    judged = SignsSet().load(3, Preprocessing((40, 80)))
    np.testing.assert_array_equal(judged, draw("validation", 3, 80)[20:60])
