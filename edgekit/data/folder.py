"""Image files with labels from folders or a table: checked up front, hashed by content, decoded when asked for."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from edgekit.data.image_set import ImageSet, Keep, Selection, digest_of, spread
from edgekit.data.preprocessing import picture
from edgekit.data.signs_set import SignsSet
from edgekit.errors import InputError
from edgekit.runtime.rgb import rgb_of
from edgekit.size import Size
from edgekit.store import Content, ContentIndex, FolderIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image as PillowImage

    from edgekit.data.preprocessing import Preprocessing

SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff", ".gif"})
TABLES: Final = frozenset({".csv", ".jsonl"})


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file: where it is, what people call it, its label and the SHA-256 of its bytes."""

    location: str
    identifier: str
    label: int | None
    sha256: str

    @property
    def path(self) -> Path:
        return Path(self.location)


@dataclass(frozen=True)
class FolderSet:
    """Image files; see ImageSet. `skipped` names the unreadable ones that were left out."""

    name: str
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.files)

    @property
    def drawn(self) -> bool:
        return False

    @property
    def count(self) -> int:
        """How many images there are to train on."""
        return len(self.files)

    @cached_property
    def labels(self) -> NDArray[np.int64] | None:
        import numpy as np

        labels = [file.label for file in self.files if file.label is not None]
        return np.array(labels, np.int64) if len(labels) == len(self.files) else None

    @cached_property
    def digest(self) -> str:
        return digest_of((file.sha256 for file in self.files), (file.label for file in self.files))

    def without(self, hashes: frozenset[str]) -> FolderSet:
        """The same set without the images of these contents."""
        return replace(self, files=tuple(file for file in self.files if file.sha256 not in hashes))

    def identifier(self, index: int) -> str:
        return self.files[index].identifier

    def content_hash(self, index: int) -> str:
        return self.files[index].sha256

    def load(self, index: int, preprocessing: Preprocessing) -> NDArray[np.uint8]:
        """The image decoded, resized and cropped to uint8 (height, width, 3) RGB.

        Raises:
            InputError: the file changed since it was checked and cannot be read any more.
        """
        return picture(self.decoded(index, max(preprocessing.size), preprocessing.exif), preprocessing)

    def decoded(self, index: int, side: int, exif: bool = False) -> PillowImage.Image:
        """The image as its file has it, 8-bit RGB, turned by EXIF if asked for; `side` changes nothing.

        Raises:
            InputError: the file changed since it was checked and cannot be read any more.
        """
        from PIL import Image

        file = self.files[index]
        try:
            with Image.open(file.path) as image:
                made: PillowImage.Image = rgb_of(image, exif)
                return made
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(
                f"cannot read the image {file.path}: {error}", "Replace it, or --skip-bad-images."
            ) from error

    def training_image(
        self, index: int, size: Size, seed: int, how: Preprocessing | None = None
    ) -> tuple[NDArray[np.uint8], int]:
        """A random part of the image at `size`, see edgekit.data.augment, and the label."""
        from edgekit.data.augment import augmented

        image = self.decoded(index, max(size), how is not None and how.exif)
        return augmented(image, size, [seed, index], how), int(self.files[index].label or 0)


def open_images(
    spec: str | Path,
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    num_classes: int | None = None,
    split: str = "validation",
    keep: Keep | None = None,
    index: ContentIndex | None = None,
) -> ImageSet:
    """Opens `signs`, a folder (one sub-folder a class; without sub-folders: no labels) or a CSV/JSONL table.

    Args:
        skip_bad: leaves out unreadable images instead of stopping.
        limit: takes that many images, evenly spread.
        num_classes: labels must be below it.
        split: of the signs.
        keep: chooses among all images before `limit` does; what it leaves out is not even opened.
        index: of files that were read before; the one of the user's own store by default.
    Raises:
        InputError: nothing there, no images, one class only, a label out of range, unreadable images.
    """
    if str(spec) == "signs":
        signs = SignsSet(split, limit)
        return signs if keep is None else _kept_signs(split, keep, limit)
    path = Path(spec)
    if path.suffix.lower() in TABLES and path.is_file():
        folder, (classes, rows) = path.parent, _read_table(path)
    elif path.is_dir():
        folder, (classes, rows) = path, _walk(path)
    else:
        raise InputError(f"there is no image folder or table at {path}", "Give a folder, a .csv or .jsonl, or `signs`.")
    if not rows:
        raise InputError(
            f"there are no images in {path}", "Expected one sub-folder of images for each class, or path,label rows."
        )
    if keep is not None:
        rows = [rows[place] for place in keep([row.identifier for row in rows])]
    _check_labels(path, [row.label for row in rows if row.label is not None], num_classes)
    chosen = [rows[place] for place in spread(len(rows), limit)]
    files, bad = _checked(str(folder), chosen, index or ContentIndex())
    if bad and not skip_bad:
        named = ", ".join(bad[:3]) + (", ..." if len(bad) > 3 else "")
        raise InputError(
            f"{len(bad)} of {len(files) + len(bad)} images in {path} cannot be read: {named}",
            "Replace them, or leave them out with --skip-bad-images.",
        )
    if not files:
        raise InputError(f"none of the {len(bad)} images in {path} can be read", "Give whole JPEG or PNG files.")
    return FolderSet(path.name, classes, tuple(files), tuple(bad))


def _kept_signs(split: str, keep: Keep, limit: int | None) -> ImageSet:
    every = SignsSet(split)
    return Selection(every, tuple(keep([every.identifier(index) for index in range(len(every))])[:limit]))


class Row(NamedTuple):
    """An image file before it is read: its path relative to the folder or the table's, its identifier, its label."""

    name: str
    identifier: str
    label: int | None


def _walk(folder: Path) -> tuple[tuple[str, ...], list[Row]]:
    inside = sorted(child.name for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    if not inside:
        return (), [Row(name, name.rpartition("/")[2], None) for name in _images_in(str(folder), "")]
    return tuple(inside), [
        Row(name, name, label)
        for label, child in enumerate(inside)
        for name in _images_in(os.path.join(folder, child), f"{child}/")
    ]


def _images_in(folder: str, before: str) -> Iterator[str]:
    """Image files in and below a folder, `before` put before their names, in the order of the paths' parts."""
    try:
        with os.scandir(folder) as found:
            inside = sorted(found, key=lambda each: each.name)
    except PermissionError:
        return
    for each in inside:
        if each.is_dir(follow_symlinks=False):
            yield from _images_in(each.path, f"{before}{each.name}/")
        elif each.name[0] != "." and os.path.splitext(each.name)[1].lower() in SUFFIXES and each.is_file():
            yield before + each.name


def _read_table(table: Path) -> tuple[tuple[str, ...], list[Row]]:
    """Rows of path and label (whole numbers, or none at all); paths are relative to the table."""
    try:
        text = table.read_text(encoding="utf-8-sig")
        if table.suffix.lower() == ".csv":
            records: Sequence[Any] = list(csv.DictReader(text.splitlines()))
        else:
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the table {table}: {error}", "It needs the columns path,label.") from error
    rows: list[Row] = []
    for number, record in enumerate(records, 1):
        name = record.get("path") if isinstance(record, dict) else None
        if not isinstance(name, str) or not name:
            raise InputError(f"row {number} of {table} has no path", "It needs the columns path,label.")
        told = record.get("label")
        try:
            label = None if told is None or told == "" else int(str(told))
        except ValueError:
            raise InputError(f"row {number} of {table} has the label {told!r}", "Labels are whole numbers.") from None
        rows.append(Row(name, name, label))
    return (), rows


def _check_labels(path: Path, labels: Sequence[int], num_classes: int | None) -> None:
    if labels and len(set(labels)) == 1:
        raise InputError(f"the images in {path} are all of one class", "An accuracy needs two classes or more.")
    wrong = [n for n in labels if n < 0 or (num_classes is not None and n >= num_classes)]
    if wrong:
        top = "" if num_classes is None else f" to {num_classes - 1}"
        raise InputError(
            f"{len(wrong)} labels of {path} are out of range, first {wrong[0]}; the model has labels from 0{top}",
            "Check the labels of --data, or the --model.",
        )


def _checked(folder: str, rows: Sequence[Row], index: ContentIndex) -> tuple[list[ImageFile], list[str]]:
    """The files with their hashes, and the names of those that are not whole images; what is known is not read."""
    import PIL

    known = index.folder(folder, reader=f"Pillow {PIL.__version__}")
    found = [known.find(row.name) for row in rows]
    unknown = [place for place, content in enumerate(found) if content is None or content.whole is None]
    try:
        with ThreadPoolExecutor(4) as pool:
            read = pool.map(lambda place: _read(known, rows[place].name), unknown)
            for place, content in zip(unknown, read, strict=True):
                found[place] = content
    finally:
        known.save()  # what an interrupted reading has is not lost
    files, bad = [], []
    for (name, identifier, label), content in zip(rows, found, strict=True):
        if content is not None and content.whole:
            files.append(ImageFile(os.path.join(folder, name), identifier, label, content.sha256))
        else:
            bad.append(identifier)
    return files, bad


def _read(known: FolderIndex, name: str) -> Content | None:
    """What is in an image file; None when it cannot be read."""
    try:
        return known.image(name, _is_whole)
    except (OSError, ValueError):
        return None


def _is_whole(content: bytes) -> bool:
    """Whether these are the bytes of a whole image, which can be decoded."""
    import io
    import warnings

    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content)) as image:
                # A header says nothing of a file that was cut short: decode, JPEG at an eighth of its size.
                image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
                image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
    return True
