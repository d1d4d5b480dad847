"""Tables as spreadsheets, scripts and other systems write them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgekit.data.exclusion import matched, read_list
from edgekit.data.folder import FolderSet, open_images
from edgekit.data.labels import LabelRules
from edgekit.errors import InputError

Photos = Callable[..., Path]
TOLD = {"a/0.png": 3, "b/1.png": 7}


def opened(table: Path) -> FolderSet:
    images = open_images(table)
    assert isinstance(images, FolderSet)
    return images


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("blanks.csv", "path, label\n a/0.png , 3\nb/1.png ,7 \n\n", "utf-8"),
        ("tabs.tsv", "path\tlabel\na/0.png\t3\nb/1.png\t7\n", "utf-8"),
        ("tabs.csv", "path\tlabel\na/0.png\t3\nb/1.png\t7\n", "utf-8"),
        ("semicolons.csv", "path;label\na/0.png;3\nb/1.png;7\n", "utf-8"),
        ("windows.csv", "Path,Label\r\na/0.png,3\r\nb/1.png,7\r\n", "utf-8-sig"),
        ("utf16.csv", "path,label\na/0.png,3\nb/1.png,7\n", "utf-16"),
        ("without-mark.csv", "path,label\na/0.png,3\nb/1.png,7\n", "utf-16-le"),
        ("synonyms.csv", "id,File Name,Class-ID\n1,a/0.png,3\n2,b/1.png,7\n", "utf-8"),
        ("quoted.csv", 'filename, class\n"a/0.png", "3"\n"b/1.png", "7"\n', "utf-8"),
        ("floats.csv", "image,target\na/0.png,3.0\nb/1.png,7.0\n", "utf-8"),
        ("slashes.csv", "path,label\na\\0.png,3\nb\\1.png,7\n", "utf-8"),
        ("dots.csv", "path,label\n./a/0.png,3\n./b/1.png,7\n", "utf-8"),
        ("no-header.csv", "a/0.png,3\nb/1.png,7\n", "utf-8"),
        ("lines.jsonl", '{"Image": "a/0.png", "Class": 3}\n\n{"Image": "b/1.png", "Class": "7"}\n', "utf-8-sig"),
        ("lines.ndjson", '{"path": "a/0.png", "label": 3.0}\n{"path": "b/1.png", "label": 7}', "utf-8"),
    ],
)
def test_a_table_is_read_however_it_is_written(photos: Photos, name: str, text: str, encoding: str) -> None:
    table = photos() / name
    table.write_bytes(text.encode(encoding))
    images = opened(table)
    assert {file.identifier: file.label for file in images.files} == TOLD
    assert len(images.notes) == (name == "no-header.csv")


def test_absolute_paths(photos: Photos, tmp_path: Path) -> None:
    folder, table = photos(), tmp_path / "elsewhere.csv"
    table.write_text(f"path,label\n{folder}/a/0.png,0\n{folder}/b/0.png,1\n")
    assert len(open_images(table)) == 2


def test_a_table_without_labels_says_so(photos: Photos) -> None:
    table = photos() / "table.csv"
    table.write_text("path,width\na/0.png,5\nb/0.png,5\n")
    images = open_images(table)
    assert images.labels is None
    assert images.notes == ("table.csv has no column of labels (path, width): its images count as unlabelled",)
    table.write_text("a/0.png\nb/0.png\n")
    assert open_images(table).labels is None


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("other.csv", b"name,kind\nx,1\n", "no column of paths: it begins with 'name, kind'"),
        ("empty.csv", b"", "no images"),
        ("header.csv", b"path,label\n", "no images"),
        ("gap.csv", b"path,label\n,3\n", "row 1 of .* has no path"),
        ("list.jsonl", b"[1, 2]\n", "row 1 of .* has no path"),
        ("broken.jsonl", b'{"path": "a"\n', "cannot read the table"),
        ("nul.csv", b"path,label\na\0b,1\nc,2\n", r"cannot read the table|2 of 2 images .* are not there"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=what):
        open_images(tmp_path / name)


def test_missing_files_are_counted_and_named(photos: Photos) -> None:
    table = photos() / "table.csv"
    table.write_text("path,label\na/0.png,0\na/gone.png,0\nb/0.png,1\nb/lost.png,1\n")
    with pytest.raises(InputError, match=r"2 of 4 images .* are not there: a/gone\.png, b/lost\.png"):
        open_images(table)
    images = open_images(table, skip_bad=True)
    assert images.left_out == {"missing": (2, ("a/gone.png", "b/lost.png"))}
    assert images.skipped == ("a/gone.png", "b/lost.png")


def test_a_pipe_is_not_waited_for(photos: Photos) -> None:
    folder = photos()
    os.mkfifo(folder / "pipe.png")
    (folder / "table.csv").write_text("path,label\na/0.png,0\nb/0.png,1\npipe.png,1\n/dev/zero,0\n")
    with pytest.raises(InputError, match=r"2 of 4 images .* are no regular files: pipe\.png, /dev/zero"):
        open_images(folder / "table.csv")


def test_names_that_are_no_utf8_are_opened_and_shown(photos: Photos) -> None:
    folder = photos()
    os.rename(folder / "a" / "0.png", os.fsencode(folder / "a") + b"/M\xfcller.png")
    from_folder = open_images(folder)
    assert "a/M\\xfcller.png" in [from_folder.identifier(n) for n in range(len(from_folder))]
    (folder / "table.csv").write_bytes(b"path,label\na/M\xfcller.png,0\nb/0.png,1\n")
    from_table = opened(folder / "table.csv")
    assert [file.identifier for file in from_table.files] == ["a/M\\xfcller.png", "b/0.png"]
    assert from_table.decoded(0, 0).size == (48, 40)
    (folder / "list.txt").write_bytes(b"a/M\xfcller.png # an odd one\n")
    entries = read_list(folder / "list.txt")
    assert matched([file.identifier for file in from_table.files], entries).kept == (1,)


def test_a_limit_and_a_range_hold_for_tables(photos: Photos) -> None:
    table = photos() / "table.csv"
    table.write_text("path,label\n" + "".join(f"{c}/{n}.png,{'ab'.index(c)}\n" for c in "ab" for n in range(4)))
    images = open_images(table, limit=4)
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.left_out == {}, "what a limit leaves is not left out"
    with pytest.raises(InputError, match="out of range"):
        open_images(table, labels=LabelRules(classes=1))
