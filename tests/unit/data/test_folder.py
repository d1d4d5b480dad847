"""Image folders and tables: what is refused, what is counted, what is read."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.data import reading
from edgekit.data.folder import FolderSet, open_images
from edgekit.data.formats import suffixes
from edgekit.data.image_set import digest_of
from edgekit.data.labels import LabelRules
from edgekit.data.left_out import Tally
from edgekit.data.loading import batches
from edgekit.data.preprocessing import Preprocessing, picture
from edgekit.data.walk import walk
from edgekit.errors import InputError
from edgekit.store import ContentIndex
from edgekit.store import index as index_module

Photos = Callable[..., Path]
SMALL = Preprocessing(24, 0.875)


def test_a_folder_has_a_class_for_each_sub_folder(photos: Photos) -> None:
    images = open_images(photos(classes=3, count=2))
    assert images.classes == ("a", "b", "c")
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.load(0, SMALL).shape == (24, 24, 3)


def test_a_flat_folder_has_no_labels(photos: Photos) -> None:
    images = open_images(photos(classes=1) / "a")
    assert images.labels is None
    assert len(images) == 4


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_table_names_paths_and_labels(photos: Photos, suffix: str) -> None:
    folder = photos()
    table = folder / f"table{suffix}"
    rows = [("a/0.png", 5), ("b/1.png", 2)]
    if suffix == ".csv":
        table.write_text("path,label,more\n" + "".join(f"{p},{n},x\n" for p, n in rows))
    else:
        table.write_text("".join(json.dumps({"path": p, "label": n}) + "\n" for p, n in rows))
    images = open_images(table)
    assert images.labels is not None
    assert images.labels.tolist() == [5, 2]
    with pytest.raises(InputError, match="out of range"):
        open_images(table, labels=LabelRules(classes=5))


def test_refusals(photos: Photos, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path, what in ((tmp_path / "nowhere", "no image folder"), (tmp_path / "empty", "no images")):
        with pytest.raises(InputError, match=what):
            open_images(path)
    with pytest.raises(InputError, match="one class"):
        open_images(photos("single", classes=1))


def test_unreadable_images_are_counted_named_and_skipped_only_when_told(photos: Photos) -> None:
    folder = photos()
    (folder / "a" / "broken.png").write_bytes(b"no picture")
    whole = (folder / "b" / "0.png").read_bytes()
    (folder / "b" / "cut.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"2 of 10 images .*a/broken\.png, b/cut\.png") as refusal:
        open_images(folder)
    assert "--skip-bad-images" in refusal.value.hint
    images = open_images(folder, skip_bad=True)
    assert len(images) == 8
    assert images.skipped == ("a/broken.png", "b/cut.png")


def test_a_cut_jpeg_is_seen(tmp_path: Path) -> None:
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(noise).save(tmp_path / name / "x.jpg")
    whole = (tmp_path / "b" / "x.jpg").read_bytes()
    (tmp_path / "b" / "x.jpg").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(InputError, match=r"1 of 2 .*b/x\.jpg"):
        open_images(tmp_path)


def test_a_limit_is_spread_evenly(photos: Photos) -> None:
    images = open_images(photos(classes=4, count=5), limit=8)
    assert images.labels is not None
    assert np.bincount(images.labels).tolist() == [2, 2, 2, 2]


def test_the_digest_is_of_content_and_labels(photos: Photos) -> None:
    one, other = open_images(photos("one")), open_images(photos("other"))
    assert one.digest == other.digest
    assert one.digest != open_images(photos("third", seed=1)).digest


def test_batches_keep_order_and_decode_each_once(photos: Photos) -> None:
    images = open_images(photos(classes=3, count=3))
    seen = list(batches(images, SMALL, range(9), 4))
    assert [list(group) for _, group in seen] == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    assert np.array_equal(seen[1][0][1], images.load(5, SMALL))


def test_the_picture_is_the_centre_of_the_resized_short_side() -> None:
    image = Image.new("RGB", (200, 100), (10, 20, 30))
    image.paste((200, 0, 0), (0, 0, 40, 100))  # the left fifth is outside of the centre crop
    made = picture(image, Preprocessing(80, 0.8, "nearest"))
    assert made.shape == (80, 80, 3)
    assert (made == (10, 20, 30)).all()


def test_grey_and_transparent_images_become_rgb() -> None:
    for mode in ("L", "RGBA", "P", "CMYK"):
        assert picture(Image.new(mode, (30, 50)), SMALL).shape == (24, 24, 3)


def test_a_loaded_image_is_the_picture_of_its_file(tmp_path: Path) -> None:
    noise = np.random.Generator(np.random.PCG64(3)).integers(0, 256, (37, 61, 3), dtype=np.uint8)
    whole = {mode: Image.fromarray(noise).convert(mode) for mode in ("RGB", "L", "RGBA", "P")}
    whole["I;16"] = Image.fromarray(noise[..., 0].astype(np.uint16) * 200)
    for place, image in enumerate(whole.values()):
        (tmp_path / "ab"[place % 2]).mkdir(exist_ok=True)
        image.save(tmp_path / "ab"[place % 2] / f"{place}.png")
    images = open_images(tmp_path)
    for index in range(5):
        with Image.open(tmp_path / images.identifier(index)) as opened:
            assert np.array_equal(images.load(index, SMALL), picture(opened, SMALL))
            assert images.decoded(index, 0).size == opened.size
        assert images.decoded(index, 0).mode == "RGB"
    assert not images.drawn


def test_training_images_are_the_same_for_the_same_seed(photos: Photos) -> None:
    images = open_images(photos())
    assert isinstance(images, FolderSet)
    first, label = images.training_image(5, (16, 16), 7)
    assert np.array_equal(first, images.training_image(5, (16, 16), 7)[0])
    assert label == 1
    assert first.shape == (16, 16, 3)


def test_nothing_unchanged_is_looked_at_again(photos: Photos, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, looked = photos(), []
    (folder / "a" / "broken.png").write_bytes(b"no picture")
    monkeypatch.setattr(index_module, "STEP_NS", 20_000_000)
    is_whole = reading._is_whole

    def counted(content: bytes) -> bool:
        looked.append(content)
        return is_whole(content)

    monkeypatch.setattr(reading, "_is_whole", counted)
    time.sleep(0.03)
    first = open_images(folder, skip_bad=True)
    assert len(looked) == 9
    again = open_images(folder, skip_bad=True)
    assert len(looked) == 9
    assert again == first
    assert again.digest == first.digest
    with pytest.raises(InputError, match=r"1 of 9 .*a/broken\.png"):
        open_images(folder)
    whole = (folder / "b" / "0.png").read_bytes()
    (folder / "b" / "0.png").write_bytes(whole[:50])
    assert open_images(folder, skip_bad=True).skipped == ("a/broken.png", "b/0.png")
    assert looked[9:] == [whole[:50]]


def test_an_index_of_ones_own_is_taken(photos: Photos, tmp_path: Path, own_store: Path) -> None:
    os.utime(photos() / "a" / "0.png", (0, 0))
    open_images(tmp_path / "photos", index=ContentIndex(tmp_path / "other"))
    assert not (own_store / "index").exists()


NAMES = ["a", "b.png", "B.PNG", "a.png", ".hidden.png", ".deep", "x.txt", "c.jpeg", "a.b", "d..gif", "e.", "a b"]


@given(st.lists(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_images_are_in_the_order_of_sorted_paths(paths: list[list[str]]) -> None:
    """Against what it says in words: every image below each class's folder, paths sorted as pathlib does."""
    with tempfile.TemporaryDirectory() as made:
        root = Path(made) / "root"
        root.mkdir()
        for parts in paths:
            file = root.joinpath(*parts)
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.touch(exist_ok=True)
            except OSError:
                continue  # a file is where a folder should be
        classes = sorted(child for child in root.iterdir() if child.is_dir() and child.name[0] != ".")

        def is_hidden(file: Path) -> bool:
            return any(part[0] == "." for part in file.relative_to(root).parts)

        def below(folder: Path) -> list[Path]:
            found = [f for f in folder.rglob("*") if f.suffix.lower() in suffixes() and f.is_file()]
            return sorted(f for f in found if not is_hidden(f))

        expected = [
            (file.relative_to(root).as_posix(), file.relative_to(root).as_posix(), child.name)
            for child in classes
            for file in below(child)
        ]
        if not classes:
            expected = [(file.relative_to(root).as_posix(), file.name, None) for file in below(root)]
        walked = walk(str(root), Tally())
        assert (walked.folders, walked.rows) == (tuple(child.name for child in classes), expected)


def test_linked_files_count_and_linked_folders_only_as_classes(photos: Photos, tmp_path: Path) -> None:
    folder = photos()
    (folder / "c").symlink_to(folder / "a")
    (folder / "b" / "more").symlink_to(folder / "a")
    (folder / "b" / "z.png").symlink_to(folder / "a" / "0.png")
    (folder / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    images = open_images(folder)
    names = [images.identifier(index) for index in range(len(images))]
    assert names == [f"{c}/{n}.png" for c, n in [*((c, n) for c in "ab" for n in range(4)), ("b", "z")]] + [
        f"c/{n}.png" for n in range(4)
    ]


@given(st.lists(st.tuples(st.text("0123456789abcdef", min_size=4, max_size=4), st.none() | st.integers(0, 9))))
def test_the_digest_is_of_a_line_an_image(rows: list[tuple[str, int | None]]) -> None:
    text = "".join(f"{content} {label}\n" for content, label in rows)
    expected = hashlib.sha256(text.encode()).hexdigest()
    assert digest_of((row[0] for row in rows), (row[1] for row in rows)) == expected


def test_the_digest_of_many_images_is_no_other() -> None:
    text = "".join(f"{index:x} {index % 7}\n" for index in range(25_001))
    made = digest_of((f"{index:x}" for index in range(25_001)), (index % 7 for index in range(25_001)))
    assert made == hashlib.sha256(text.encode()).hexdigest()
    with pytest.raises(ValueError, match="shorter"):
        digest_of(["a", "b"], [1])
