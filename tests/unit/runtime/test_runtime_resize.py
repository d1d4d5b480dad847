"""One definition of resize and crop: numpy's pixels are Pillow's, and evaluation's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.data.preprocessing import Preprocessing
from edgekit.data.preprocessing import picture as evaluated
from edgekit.errors import InputError
from edgekit.runtime.contract import Contract
from edgekit.runtime.decoding import fitted, picture
from edgekit.runtime.errors import ImageError
from edgekit.runtime.resize import FILTERS, fit, resample

INTERPOLATIONS = ("nearest", *FILTERS)

SIDES = st.one_of(st.integers(1, 12), st.integers(1, 160))
KINDS = st.sampled_from(["noise", "edges", "flat"])


def pixels_of(width: int, height: int, kind: str, seed: int) -> Any:
    made = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (height, width, 3), dtype=np.uint8)
    if kind == "edges":
        return np.where(made > 127, 255, 0).astype(np.uint8)
    return made if kind == "noise" else np.full_like(made, made[0, 0])


def by_pillow(pixels: Any, width: int, height: int, interpolation: str) -> Any:
    """The width, then the height: in one call Pillow 13 sometimes begins with the height."""
    method = Image.Resampling[interpolation.upper()]
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((width, image.height), method).resize((width, height), method))


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(INTERPOLATIONS), KINDS, st.integers(0, 1000))
def test_resampling_is_pillows_to_the_last_bit(
    width: int, height: int, to_width: int, to_height: int, interpolation: str, kind: str, seed: int
) -> None:
    pixels = pixels_of(width, height, kind, seed)
    made = resample(pixels, to_width, to_height, interpolation)
    np.testing.assert_array_equal(made, by_pillow(pixels, to_width, to_height, interpolation))


@settings(max_examples=150, deadline=None)
@given(SIDES, SIDES, st.integers(1, 64), st.floats(0.3, 1.0), st.sampled_from(INTERPOLATIONS), st.integers(0, 1000))
def test_with_and_without_pillow_the_network_sees_the_same(
    width: int, height: int, size: int, fraction: float, interpolation: str, seed: int
) -> None:
    pixels = pixels_of(width, height, "noise", seed)
    contract = Contract((size, size), fraction, interpolation)
    alone = fit(pixels, contract)
    assert alone.shape == (size, size, 3)
    np.testing.assert_array_equal(alone, fitted(Image.fromarray(pixels), contract))


@settings(max_examples=150, deadline=None)
@given(SIDES, SIDES, st.integers(1, 64), st.floats(0.3, 1.0), st.sampled_from(INTERPOLATIONS), st.integers(0, 1000))
def test_evaluation_sees_the_same(
    width: int, height: int, size: int, fraction: float, interpolation: str, seed: int
) -> None:
    from edgekit.data.preprocessing import Preprocessing
    from edgekit.data.preprocessing import picture as evaluated

    pixels = pixels_of(width, height, "noise", seed)
    theirs = evaluated(Image.fromarray(pixels), Preprocessing(size, fraction, interpolation))
    ours = picture(pixels, Contract((size, size), fraction, interpolation))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_a_ratio_that_would_fill_the_memory_is_resized_in_part(
    interpolation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = pixels_of(1_500, 2, "noise", 0)
    contract = Contract((50, 50), 0.875, interpolation)
    whole = picture(pixels, contract)
    monkeypatch.setattr("edgekit.runtime.decoding.MAX_RESIZED_PIXELS", 0)
    np.testing.assert_array_equal(picture(pixels, contract), whole)
    monkeypatch.undo()
    assert picture(pixels_of(60_000, 1, "noise", 0), contract._replace(size=(299, 299))).shape == (299, 299, 3)


def test_a_strip_that_would_fill_the_memory_is_refused() -> None:
    """One pixel wide, it would first become as wide as the input; evaluation says so too."""
    strip, words = pixels_of(1, 300_000, "flat", 0), "1x300000 cannot be resized to 299x8: it is too long and narrow"
    with pytest.raises(ImageError, match=words):
        picture(strip, Contract((8, 299), 1.0, "bilinear", "squash"))
    with pytest.raises(InputError, match=words):
        evaluated(Image.fromarray(strip), Preprocessing(size=(8, 299), resize="squash", crop_fraction=1.0))


@pytest.mark.parametrize("interpolation", ["nearest", "bicubic"])
def test_an_input_that_is_no_square_has_the_middle_of_the_resized_picture(interpolation: str) -> None:
    pixels = pixels_of(120, 90, "noise", 3)
    whole = by_pillow(pixels, 64, 48, interpolation)
    made = picture(pixels, Contract((20, 64), 1.0, interpolation))
    np.testing.assert_array_equal(made, whole[14:34])
