"""The rendered signs: the same pixels everywhere, splits that share nothing, balanced classes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from edgekit.data.sign_shapes import GLYPHS, PLATES
from edgekit.data.signs import CLASSES, SPLITS, draw, label_of
from edgekit.data.signs_set import SignsSet

PINNED = {
    ("train", 149): "224bf548dadc6d862f7294c546dbc97e5afd27455b37b74ba07ee6ce48f2ebf5",
    ("calibration", 149): "5df64c85d15fb3de068981739fb30e4785b6f86923ddff6e59135d9402dd6c6c",
    ("validation", 149): "ba114d75766a3948b6b1e66cd83d1f3e116025ec660dfea237327fc39bf326bf",
    ("validation", 299): "ce03e013997ff6c6a2bcd7a275283bd484bbab4b671e4a976c2523806336d198",
}
"""SHA-256 over the pixels of the first 24 pictures."""


@pytest.mark.parametrize(("split", "size"), PINNED)
def test_pixels_are_pinned(split: str, size: int) -> None:
    pixels = b"".join(draw(split, index, size).tobytes() for index in range(24))
    assert hashlib.sha256(pixels).hexdigest() == PINNED[split, size]


def test_enough_classes_each_as_often() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == len(PLATES) * len(GLYPHS) >= 16
    for split, count in SPLITS.items():
        assert count % len(CLASSES) == 0, split
    counts = np.bincount(SignsSet("validation", 240).labels)
    assert (counts == 10).all()


def test_splits_share_no_picture() -> None:
    seen: dict[bytes, str] = {}
    for split in SPLITS:
        for index in range(150):
            digest = hashlib.sha256(draw(split, index, 75).tobytes()).digest()
            assert digest not in seen, (split, index, seen.get(digest))
            seen[digest] = f"{split}/{index}"


def test_content_hashes_differ_between_splits_and_pictures() -> None:
    sets = [SignsSet(split, 50) for split in SPLITS]
    hashes = [images.content_hash(index) for images in sets for index in range(50)]
    assert len(set(hashes)) == len(hashes)


def test_a_picture_is_uint8_rgb_and_not_flat() -> None:
    for index in (0, 7, 23):
        made = draw("validation", index, 120)
        assert made.shape == (120, 120, 3)
        assert made.dtype == np.uint8
        assert made.std() > 5


def test_classes_look_different() -> None:
    """The mean picture of each class is nearest to the mean of that class on other pictures, far above chance."""
    first = [np.mean([draw("train", label + 24 * k, 48) for k in range(12)], 0) for label in range(24)]
    second = [np.mean([draw("train", label + 24 * (k + 12), 48) for k in range(12)], 0) for label in range(24)]
    nearest = [int(np.argmin([np.square(a - b).mean() for b in first])) for a in second]
    assert np.mean([guess == label for label, guess in enumerate(nearest)]) > 0.2


def test_outside_a_split() -> None:
    with pytest.raises(IndexError):
        draw("validation", SPLITS["validation"])
    assert label_of(25) == 1
