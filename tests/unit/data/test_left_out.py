"""What of a folder is no image, or is not used: counted by reason, and named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.data.folder import FolderSet, open_images
from edgekit.data.formats import DECODED, begins_as_image, openers, suffixes
from edgekit.data.left_out import REASONS, said_of, with_more
from edgekit.data.walk import SPLITS
from edgekit.errors import InputError
from edgekit.runtime.decoding import FORMATS
from tests.colours import colours, paint

Photos = Callable[..., Path]


def test_every_file_is_an_image_or_counted(photos: Photos, tmp_path: Path) -> None:
    folder = photos(classes=2, count=2)
    picture = (folder / "a" / "0.png").read_bytes()
    (folder / "c").mkdir()
    (folder / "stray.png").write_bytes(picture)
    (folder / "README.md").write_text("about")
    (folder / "a" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (folder / "a" / "clip.mp4").write_bytes(b"video")
    (folder / "a" / "notes.txt").write_text("notes")
    (folder / "a" / "._0.png").write_bytes(picture)
    (folder / "b" / ".checkpoints").mkdir()
    (folder / "b" / ".checkpoints" / "0.png").write_bytes(picture)
    (folder / ".trash").mkdir()
    (folder / ".trash" / "old.png").write_bytes(picture)
    (folder / "b" / "more").symlink_to(folder / "a")
    (folder / "b" / "gone.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(folder / "b" / "pipe.png")
    images = open_images(folder)
    assert len(images) == 4
    assert images.left_out == {
        "unknown suffix": (2, ("a/clip.mp4", "a/photo.heic")),
        "no image": (2, ("README.md", "a/notes.txt")),
        "hidden": (3, (".trash/old.png", "a/._0.png", "b/.checkpoints/0.png")),
        "beside the classes": (1, ("stray.png",)),
        "linked folder": (1, ("b/more",)),
        "broken link": (1, ("b/gone.png",)),
        "no regular file": (1, ("b/pipe.png",)),
        "class without images": (1, ("c",)),
    }
    (said,) = said_of(images, "photos")
    assert "2 files whose suffix is of no image that can be read here (a/clip.mp4, a/photo.heic)" in said
    assert "1 class without images (c)" in said
    assert "notes.txt" not in said, "what is plainly no image is not remarked on"


def test_a_folder_without_images_says_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(InputError, match=r"no images in .*1 file whose suffix .*a/photo\.heic"):
        open_images(tmp_path)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPG", ".jp2", ".webp", ".tga", ".ico", ".ppm", ".tiff", ".bmp"])
def test_every_raster_that_pillow_decodes_is_an_image(tmp_path: Path, suffix: str) -> None:
    kinds = {".jfif": "JPEG", ".jpe": "JPEG"}
    how = {"format": kinds[suffix]} if suffix in kinds else {}
    for at, colour in enumerate(colours(2)):
        paint(colour, tmp_path / "ab"[at] / f"0{suffix}", **how)
    images = open_images(tmp_path)
    assert len(images) == 2
    assert np.asarray(images.decoded(0, 0)).shape[2] == 3


def test_an_image_is_known_by_its_content_without_a_suffix(photos: Photos) -> None:
    folder = photos()
    (folder / "a" / "0.png").rename(folder / "a" / "n0144_10026")
    (folder / "a" / "1.png").rename(folder / "a" / "picture.orig")
    images = open_images(folder)
    assert len(images) == 8
    assert images.left_out == {}


def test_formats_that_start_other_programs_are_none(tmp_path: Path) -> None:
    assert not {".eps", ".ps", ".pdf", ".wmf", ".emf", ".mpg", ".h5"} & suffixes()
    assert {".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp", ".webp", ".tif", ".gif", ".mpo"} <= suffixes()
    assert set(openers()) <= set(DECODED)
    assert "EPS" not in openers()
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / name / "0.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "1.jpg", format="EPS")
    with pytest.raises(InputError, match=r"1 of 3 images .* cannot be read: a/1\.jpg"):
        open_images(tmp_path)


def test_a_bundle_decodes_what_it_was_evaluated_on() -> None:
    assert set(FORMATS) == set(DECODED)


def test_what_begins_as_an_image() -> None:
    assert begins_as_image(b"\xff\xd8\xff\xe0" + bytes(12))
    assert begins_as_image(b"RIFF\x24\0\0\0WEBPVP8 ")
    assert not begins_as_image(b"RIFF\x24\0\0\0WAVEfmt ")
    assert not begins_as_image(b"%!PS-Adobe-3.0 E")
    assert not begins_as_image(b"")


READ_AS_NOBODY = """
import os, sys
from edgekit.data.folder import open_images
from edgekit.store import ContentIndex
from pathlib import Path
index = ContentIndex(Path("/nonexistent"))
assert len(open_images(sys.argv[1], index=index)) == 4  # with all modules loaded, which only root may read
os.setgid(65534); os.setuid(65534)
images = open_images(sys.argv[1], skip_bad=True, index=index)
print(len(images), dict(images.left_out))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_may_not_be_opened_is_counted(tmp_path_factory: pytest.TempPathFactory) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as made:  # pytest's own folders are for root alone
        root = Path(made)
        root.chmod(0o755)
        for at, colour in enumerate(colours(2)):
            for n in range(2):
                paint(colour, root / "ab"[at] / f"{n}.png")
        (root / "a" / "secret").mkdir(mode=0o700)
        (root / "b" / "1.png").chmod(0o600)
        command = [sys.executable, "-c", READ_AS_NOBODY, made]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "3 {'permission denied': (2, ('a/secret', 'b/1.png'))}\n"


def test_copies_of_what_is_used_elsewhere_are_counted(photos: Photos) -> None:
    folder = photos()
    (folder / "b" / "copy.png").write_bytes((folder / "a" / "0.png").read_bytes())
    images = open_images(folder)
    assert isinstance(images, FolderSet)
    rest = images.without(frozenset([images.content_hash(0)]), [0])
    assert (len(images), len(rest)) == (9, 7)
    assert rest.left_out == {"copy of a calibration image": (1, ("b/copy.png",))}
    assert images.without(frozenset([images.content_hash(0)])).left_out == {}


def test_reasons_are_told_in_one_order() -> None:
    found = with_more(with_more({}, "hidden", ["a"]), "unreadable", list("bcdef"))
    assert list(found.items()) == [("unreadable", (5, ("b", "c", "d"))), ("hidden", (1, ("a",)))]
    assert with_more(found, "hidden", []) == found
    assert all(reason.one and reason.many and reason.said for reason in REASONS.values())


def test_images_left_out_by_a_list_are_counted(photos: Photos) -> None:
    images = open_images(photos(classes=2, count=2), keep=lambda names: [0, 2, 3])
    assert images.left_out == {"excluded": (1, ("a/1.png",))}
    assert list(said_of(images, "photos")) == []


def test_parts_of_data_sets_are_no_classes() -> None:
    assert {"train", "val", "test", "validation"} <= SPLITS
