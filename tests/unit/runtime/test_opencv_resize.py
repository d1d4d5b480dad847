"""Resizing without antialiasing: OpenCV's pixels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edgekit.runtime.contract import Contract
from edgekit.runtime.decoding import picture
from edgekit.runtime.opencv_resize import Window, resample

FLAGS = {
    "nearest": (cv2.INTER_NEAREST, 0),
    "bilinear": (cv2.INTER_LINEAR, 0),
    "bicubic": (cv2.INTER_CUBIC, 1),
    "area": (cv2.INTER_AREA, 1),
}
"""What OpenCV calls it, and how many steps of 255 may lie between."""


def sizes(count: int, seed: int) -> list[tuple[int, int, int, int]]:
    dice = np.random.default_rng(seed)
    most = dice.choice([4, 40, 300], count)
    drawn = [tuple(int(each) for each in dice.integers(1, top + 1, 4)) for top in most]
    return [*drawn, (1920, 1080, 224, 224), (640, 480, 320, 240), (97, 33, 97, 66), (1, 1, 9, 9), (224, 224, 224, 224)]


def pixels_of(width: int, height: int, seed: int) -> Any:
    made = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.where(made > 127, 255, 0).astype(np.uint8) if seed % 4 == 0 else made


@pytest.mark.parametrize("name", list(FLAGS))
def test_pixels_are_those_of_opencv(name: str) -> None:
    flag, steps = FLAGS[name]
    for seed, (width, height, wide, high) in enumerate(sizes(300, 1)):
        pixels = pixels_of(width, height, seed)
        ours = resample(pixels, Window(wide, high, (0, wide), (0, high)), name)
        theirs = cv2.resize(pixels, (wide, high), interpolation=flag).reshape(high, wide, 3)
        apart = np.abs(ours.astype(int) - theirs).max()
        assert apart <= steps, (seed, (width, height), (wide, high), apart)


@pytest.mark.parametrize("name", list(FLAGS))
def test_a_part_of_the_resized_image_is_that_part(name: str) -> None:
    for seed, (width, height, wide, high) in enumerate(sizes(60, 2)):
        pixels, dice = pixels_of(width, height, seed), np.random.default_rng(seed)
        whole = resample(pixels, Window(wide, high, (0, wide), (0, high)), name)
        left, top = int(dice.integers(0, wide)), int(dice.integers(0, high))
        end, bottom = int(dice.integers(left + 1, wide + 1)), int(dice.integers(top + 1, high + 1))
        part = resample(pixels, Window(wide, high, (left, end), (top, bottom)), name)
        np.testing.assert_array_equal(part, whole[top:bottom, left:end])


def test_a_contract_without_antialias_resizes_so() -> None:
    pixels = pixels_of(300, 200, 5)
    made = picture(pixels, Contract((64, 64), 1.0, "bilinear", "squash", antialias=False))
    np.testing.assert_array_equal(made, cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_LINEAR))
    by_area = picture(pixels, Contract((64, 64), 1.0, "area", "squash"))
    assert np.abs(by_area.astype(int) - cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA)).max() <= 1
