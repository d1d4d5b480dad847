"""The views of a picture, against making all of them one by one as the papers describe it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from edgekit.data.crops import PROTOCOLS, planned, scales, views
from edgekit.data.preprocessing import Preprocessing, picture
from edgekit.errors import InputError


def photo(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    noise = np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def literal(image: Image.Image, told: Preprocessing, crops: int) -> Iterator[NDArray[np.uint8]]:
    """All views, one at a time: nothing is shared, nothing left out."""
    method, size = Image.Resampling[told.interpolation.upper()], told.size[0]
    for scale in (256, 288, 320, 352) if crops == 144 else (256,):
        short = round(scale * size / 224)
        image = image.convert("RGB")
        width, height = image.size
        if width < height:
            wanted = (short, max(short, round(height * (short / width))))
        else:
            wanted = (max(short, round(width * (short / height))), short)
        resized = image.resize((wanted[0], height), method).resize(wanted, method)
        for part in ("first", "middle", "last") if crops == 144 else ("middle",):
            room = {"first": lambda rest: 0, "middle": lambda rest: round(rest / 2), "last": lambda rest: rest}[part]
            left, top = room(resized.width - short), room(resized.height - short)
            square = resized.crop((left, top, left + short, top + short))
            rest, half = short - size, round((short - size) / 2)
            made = [
                square.crop((x, y, x + size, y + size))
                for x, y in ((0, 0), (rest, 0), (0, rest), (rest, rest), (half, half))
            ]
            if crops != 10:
                made.append(square.resize((size, short), method).resize((size, size), method))
            for view in made:
                yield np.asarray(view)
                yield np.asarray(view)[:, ::-1]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 40),
    st.sampled_from((10, 12, 144)),
    st.sampled_from(("nearest", "bilinear", "bicubic", "lanczos")),
    st.sampled_from(("RGB", "L", "RGBA", "CMYK")),
)
def test_views_are_all_of_the_protocol(
    width: int, height: int, size: int, crops: int, interpolation: str, mode: str
) -> None:
    image, told = photo(width, height, mode=mode), Preprocessing(size, interpolation=interpolation)
    made, weights = views(image, told, crops)
    assert made.shape == (len(weights), size, size, 3)
    assert made.dtype == np.uint8
    assert weights.sum() == crops
    assert np.array_equal(made[1::2], made[::2, :, ::-1])
    assert np.array_equal(weights[1::2], weights[::2])
    ours: Counter[bytes] = Counter()
    for view, weight in zip(made, weights, strict=True):
        ours[view.tobytes()] += int(weight)
    assert ours == Counter(np.ascontiguousarray(view).tobytes() for view in literal(image, told, crops))


@pytest.mark.parametrize(("width", "height"), [(400, 2), (2, 400), (1, 1), (1, 2), (61, 60)])
def test_extreme_shapes(width: int, height: int) -> None:
    image, told = photo(width, height), Preprocessing(20)
    made, weights = views(image, told, 144)
    ours = Counter({view.tobytes(): 0 for view in made})
    for view, weight in zip(made, weights, strict=True):
        ours[view.tobytes()] += int(weight)
    assert ours == Counter(np.ascontiguousarray(view).tobytes() for view in literal(image, told, 144))


@pytest.mark.parametrize(("crops", "square", "wide"), [(144, 48, 144), (12, 12, 12), (10, 10, 10)])
def test_what_coincides_is_made_once(crops: int, square: int, wide: int) -> None:
    for shape, count in (((300, 300), square), ((500, 375), wide), ((375, 500), wide)):
        made, weights = views(photo(*shape), Preprocessing(64), crops)
        assert len(made) == count
        assert set(weights.tolist()) == {crops // count}


def test_windows_lie_inside_and_differ() -> None:
    for width, height, size in ((500, 375, 299), (333, 1000, 299), (7, 3, 224), (1, 9, 1)):
        windows = [window for window, _ in planned(width, height, size, 144)]
        assert len(set(windows)) == len(windows)
        for each in windows:
            assert each.side in (size, each.short)
            along = max(each.short, round(max(width, height) * each.short / min(width, height)))
            wide, high = (each.short, along) if width < height else (along, each.short)
            assert 0 <= each.left <= wide - each.side
            assert 0 <= each.top <= high - each.side


def test_scales_are_in_proportion() -> None:
    assert scales(224, 144) == (256, 288, 320, 352)
    assert scales(299, 144) == (342, 384, 427, 470)
    assert scales(299, 12) == scales(299, 10) == (342,)


def test_one_crop_is_the_networks_own() -> None:
    image, told = photo(50, 40), Preprocessing(24, 0.75)
    made, weights = views(image, told, 1)
    assert weights.tolist() == [1]
    assert np.array_equal(made[0], picture(image, told))
    assert 1 not in PROTOCOLS


def test_the_protocols_of_several_crops_are_refused_where_the_network_takes_no_squares() -> None:
    with pytest.raises(InputError, match="48x192"):
        views(photo(50, 40), Preprocessing((48, 192)), 12)
    made, weights = views(photo(50, 40), Preprocessing((48, 192)), 1)
    assert made.shape == (1, 48, 192, 3)
    assert weights.tolist() == [1]
