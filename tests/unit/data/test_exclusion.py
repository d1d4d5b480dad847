"""Lists of images to leave out: what their lines mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.data.exclusion import matched, read_list
from edgekit.data.folder import open_images
from edgekit.data.image_set import Selection
from edgekit.data.signs_set import SignsSet
from edgekit.errors import InputError

VALIDATION = [
    f"n{label:08d}/ILSVRC2012_val_{number:08d}.JPEG" for label, number in ((7, 1), (7, 490), (9, 1490), (9, 4))
]


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ("n00000007/ILSVRC2012_val_00000001.JPEG", {0}),
        ("./n00000007/ILSVRC2012_val_00000001.JPEG", {0}),
        ("n00000007\\ILSVRC2012_val_00000001.JPEG", {0}),
        ("n00000007/ILSVRC2012_val_00000001", {0}),
        ("ILSVRC2012_val_00000490.JPEG", {1}),
        ("ILSVRC2012_val_00000490", {1}),
        ("490", {1}),
        ("00000490", {1}),
        ("1490", {2}),
        ("90", set()),
        ("0", set()),
        ("val_00000490", set()),
        ("n00000007", set()),
    ],
)
def test_what_an_entry_names(entry: str, found: set[int]) -> None:
    told = matched(VALIDATION, [entry])
    assert set(range(4)) - set(told.kept) == found
    assert told.unmatched == (() if found else (entry,))


def test_a_name_may_be_that_of_several() -> None:
    names = ["a/0.png", "b/0.png", "b/10.png", "c/x.y.png"]
    assert matched(names, ["0.png"]).kept == (2, 3)
    assert matched(names, ["0"]).kept == (2, 3)
    assert matched(names, ["x.y", "b/0", "nothing"]) == matched(names, ["c/x.y.png", "b/0.png", "nothing"])


@given(st.lists(st.integers(0, 3000), unique=True, min_size=1), st.lists(st.integers(0, 3000), unique=True))
def test_numbers_are_those_at_the_end_of_names(numbers: list[int], wanted: list[int]) -> None:
    names = [f"validation/{number}" for number in numbers]
    told = matched(names, [str(number) for number in wanted])
    assert [numbers[place] for place in told.kept] == [number for number in numbers if number not in wanted]
    assert told.unmatched == tuple(str(number) for number in wanted if number not in numbers)


def test_a_list_has_comments_blank_lines_and_repeats(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbf# of ILSVRC\r\n490\r\n\r\n  a b#1.png  # why\r\n490\r\n")
    assert read_list(path) == ("490", "a b#1.png")


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n", b"\x89PNG\r\n\x1a\n\xff", b"490\0", None])
def test_lists_that_are_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="list of images"):
        read_list(path)


def test_images_are_left_out_before_some_are_taken(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    from PIL import Image

    for place in range(8):
        Image.new("RGB", (8, 8), (place, 0, 0)).save(tmp_path / "ab"[place % 2] / f"{place}.png")
    (tmp_path / "a" / "6.png").write_bytes(b"no picture, and not looked at")
    images = open_images(tmp_path, limit=4, keep=lambda names: matched(names, ["6", "1"]).kept)
    assert [images.identifier(index) for index in range(len(images))] == ["a/0.png", "a/2.png", "b/3.png", "b/5.png"]


def test_signs_are_left_out() -> None:
    def keep(names: object) -> tuple[int, ...]:
        return matched(list(names), ["validation/1", "3"]).kept  # type: ignore[call-overload]

    images, every = open_images("signs", limit=3, keep=keep), SignsSet()
    assert isinstance(images, Selection)
    assert images.positions == (0, 2, 4)
    assert images.labels is not None
    assert images.labels.tolist() == every.labels[[0, 2, 4]].tolist()
    assert (images.identifier(1), images.content_hash(1)) == ("validation/2", every.content_hash(2))
    assert images.digest != SignsSet("validation", 3).digest
    assert open_images("signs", limit=3, keep=lambda names: range(len(names))).digest == SignsSet(count=3).digest
