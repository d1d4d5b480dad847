"""The image files of a folder, one sub-folder a class, in the order of their paths; what is no image is counted."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from edgekit.data.formats import HEAD, NO_IMAGES, begins_as_image, suffixes
from edgekit.data.left_out import Tally
from edgekit.errors import InputError
from edgekit.file_names import readable

SPLITS: Final = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval", "holdout"}
)
"""What the parts of a data set are called; no classes."""


class Row(NamedTuple):
    """An image file before it is read.

    Attributes:
        name: its path relative to the folder or the table's, as the system has it; identifier: as people read it.
        told: its class folder, or what a table says of its label; None if nothing does.
    """

    name: str
    identifier: str
    told: object


@dataclass(frozen=True)
class Walked:
    """A folder that was gone through: names of its class folders, sorted, and its image files."""

    folders: tuple[str, ...]
    rows: list[Row]


def walk(folder: str, tally: Tally) -> Walked:
    """Goes through a folder; without sub-folders, its images have no class.

    Raises:
        InputError: the folder may not be opened.
    """
    try:
        with os.scandir(folder) as found:
            inside = sorted(found, key=lambda each: each.name)
    except OSError as error:
        raise InputError(f"cannot open the folder {folder}: {error.strerror}", "Check its permissions.") from error
    classes = [each for each in inside if _is_folder(each) and each.name[0] != "."]
    for each in inside:
        if _is_folder(each) and each.name[0] == ".":
            _count_hidden(each.path, f"{each.name}/", tally)
    if not classes:
        names = list(_images_of(inside, "", tally))
        return Walked((), [Row(name, readable(name.rpartition("/")[2]), None) for name in names])
    tally.add("beside the classes", *map(readable, _images_of([e for e in inside if not _is_folder(e)], "", tally)))
    rows: list[Row] = []
    for each in classes:
        found_here = [Row(n, readable(n), each.name) for n in _images_in(each.path, f"{each.name}/", tally)]
        if not found_here:
            tally.add("class without images", readable(each.name))
        rows += found_here
    return Walked(tuple(each.name for each in classes), rows)


def _images_in(folder: str, before: str, tally: Tally) -> Iterator[str]:
    """Image files in and below a folder, `before` put before their names."""
    try:
        with os.scandir(folder) as found:
            inside = sorted(found, key=lambda each: each.name)
    except OSError:
        tally.add("permission denied", readable(before.rstrip("/")))
        return
    yield from _images_of(inside, before, tally)


def _images_of(inside: Sequence[os.DirEntry[str]], before: str, tally: Tally) -> Iterator[str]:
    known = suffixes()
    for each in inside:
        name, hidden = before + each.name, each.name[0] == "."
        if each.is_dir(follow_symlinks=False):
            if hidden:
                _count_hidden(each.path, f"{name}/", tally)
            else:
                yield from _images_in(each.path, f"{name}/", tally)
        elif hidden:
            if os.path.splitext(each.name)[1].lower() in known:
                tally.add("hidden", readable(name))
        elif os.path.splitext(each.name)[1].lower() in known and _is_file(each):
            yield name
        elif reason := _why_not(each):
            tally.add(reason, readable(name))
        else:
            yield name


def _why_not(entry: os.DirEntry[str]) -> str | None:
    """Why an entry is no image; None if it is one in spite of its suffix."""
    if not _is_file(entry):
        if _is_folder(entry):
            return "linked folder"
        return "no regular file" if os.path.exists(entry.path) else "broken link"
    suffix = os.path.splitext(entry.name)[1].lower()
    if suffix in NO_IMAGES:
        return "no image"
    try:
        with open(entry.path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return "permission denied"
    if begins_as_image(head):
        return None
    return "unknown suffix" if suffix else "no image"


def _count_hidden(folder: str, before: str, tally: Tally) -> None:
    known = suffixes()
    for here, _, files in os.walk(folder):
        under = os.path.relpath(here, folder)
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in known:
                tally.add("hidden", readable(before + os.path.normpath(os.path.join(under, name))))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link into a folder that may not be opened, or to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def splits_in(walked: Walked) -> tuple[str, ...]:
    """The parts of a data set whose root was given: its folders are called train, val and such, and hold folders."""
    if not walked.folders or not all(name.lower() in SPLITS for name in walked.folders):
        return ()
    if any(row.name.count("/") == 1 for row in walked.rows):
        return ()
    return tuple(sorted({row.name.partition("/")[0] for row in walked.rows}))
