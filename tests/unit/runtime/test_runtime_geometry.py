"""How images come to lie in the input: the rules, number by number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.runtime.contract import ALIGNMENTS, RESIZES, Contract
from edgekit.runtime.decoding import fitted
from edgekit.runtime.geometry import Plan, plan
from edgekit.runtime.resize import fit

SIDES = st.integers(1, 90)


def planned(width: int, height: int, size: tuple[int, int], fraction: float = 1.0, **more: Any) -> Plan:
    return plan(width, height, Contract(size, fraction, **more))


def test_a_crop_rounds_a_half_to_even_and_is_never_below_the_input() -> None:
    assert planned(640, 480, (299, 299), 0.875)[:4] == (456, 342, 78, 22)
    assert planned(1, 1, (7, 7))[:4] == (7, 7, 0, 0)
    assert planned(3, 2, (5, 5))[:2] == (8, 5)  # 7.5 to 8
    assert planned(5, 2, (5, 5))[:2] == (12, 5)  # 12.5 to 12
    assert planned(1000, 999, (10, 10))[:2] == (10, 10)


def test_a_crop_to_what_is_no_square_covers_it_and_takes_the_centre() -> None:
    assert planned(640, 480, (48, 192))[:4] == (192, 144, 0, 48)  # the width decides
    assert planned(1000, 100, (48, 192))[:4] == (480, 48, 144, 0)  # the height decides
    assert planned(400, 100, (48, 192), 0.8)[:4] == (240, 60, 24, 6)
    assert planned(7, 5, (5, 7)) == (7, 5, 0, 0, 0, 0, 7, 5)


def test_squashing_goes_to_the_size_or_to_what_is_cropped_to_it() -> None:
    assert planned(640, 480, (48, 192), resize="squash") == (192, 48, 0, 0, 0, 0, 192, 48)
    assert planned(640, 480, (48, 192), 0.5, resize="squash") == (384, 96, 96, 24, 0, 0, 192, 48)


def test_a_letterboxed_image_is_whole_and_in_the_middle_with_the_odd_pixel_behind_it() -> None:
    assert planned(640, 480, (100, 100), resize="letterbox") == (100, 75, 0, 0, 0, 12, 100, 75)
    assert planned(480, 640, (100, 100), resize="letterbox") == (75, 100, 0, 0, 12, 0, 75, 100)
    assert planned(10_000, 1, (32, 32), resize="letterbox") == (32, 1, 0, 0, 0, 15, 32, 1)
    assert planned(5, 4, (50, 50), resize="letterbox") == (50, 40, 0, 0, 0, 5, 50, 40)  # small ones grow


@pytest.mark.parametrize(("align", "across", "down"), [(name, *halves) for name, halves in ALIGNMENTS.items()])
def test_a_padded_image_lies_where_it_is_told_to(align: str, across: int, down: int) -> None:
    wide = planned(20, 10, (40, 40), resize="pad", pad_align=align)
    high = planned(10, 20, (40, 40), resize="pad", pad_align=align)
    assert (wide.x, wide.y) == (0, 10 * down)
    assert (high.x, high.y) == (10 * across, 0)


@settings(max_examples=200, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(RESIZES), st.floats(0.2, 1), st.sampled_from(list(ALIGNMENTS)))
def test_what_is_shown_lies_inside_the_image_and_the_input(
    width: int, height: int, high: int, wide: int, resize: str, fraction: float, align: str
) -> None:
    to = planned(width, height, (high, wide), fraction, resize=resize, pad_align=align)
    assert min(to) >= 0
    assert to.left + to.wide <= to.width
    assert to.top + to.high <= to.height
    assert to.x + to.wide <= wide
    assert to.y + to.high <= high
    assert wide in (to.wide, wide if to.high == high else to.wide)


def test_padding_has_its_colour_and_the_image_is_whole() -> None:
    pixels = np.full((10, 20, 3), 200, np.uint8)
    made = fit(pixels, Contract((40, 40), resize="pad", pad_color=(1, 2, 3)))
    assert (made[:20] == 200).all()
    assert (made[20:] == (1, 2, 3)).all()
    np.testing.assert_array_equal(
        made, fitted(Image.fromarray(pixels), Contract((40, 40), 1.0, "bicubic", "pad", pad_color=(1, 2, 3)))
    )
