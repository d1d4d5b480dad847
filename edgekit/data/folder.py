"""Image files with labels from folders or a table: checked up front, hashed by content, decoded when asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.data.image_set import ImageSet, Keep, Label, Selection, digest_of, spread
from edgekit.data.labels import PLAIN, Labelled, LabelRules, check_classes, check_range, of_folders, of_table
from edgekit.data.left_out import LeftOut, Tally, remarks, with_more
from edgekit.data.opening import opened
from edgekit.data.preprocessing import picture
from edgekit.data.reading import ImageFile, read_files, unreadable
from edgekit.data.signs_set import SignsSet
from edgekit.data.tables import TABLES, read_table
from edgekit.data.walk import Row, splits_in, walk
from edgekit.errors import InputError
from edgekit.file_names import readable
from edgekit.runtime.rgb import rgb_of
from edgekit.size import Size
from edgekit.store import ContentIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image as PillowImage

    from edgekit.data.preprocessing import Preprocessing


@dataclass(frozen=True)
class FolderSet:
    """Image files; see ImageSet.

    Attributes:
        skipped: names of the unreadable ones that were left out.
        left_out: all that was not used, by reason.
        notes: what the user should know of how the labels were read.
        folders: name and label of each class folder with images, sorted as text; empty of a table.
        width: outputs that sets of labels are of, where known.
    """

    name: str
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]
    skipped: tuple[str, ...] = ()
    left_out: LeftOut = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    folders: tuple[tuple[str, int], ...] = ()
    width: int | None = None

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

        labels = [file.label for file in self.files if isinstance(file.label, int)]
        return np.array(labels, np.int64) if len(labels) == len(self.files) else None

    @cached_property
    def label_sets(self) -> NDArray[np.bool_] | None:
        import numpy as np

        sets = [file.label for file in self.files if isinstance(file.label, tuple)]
        if len(sets) < len(self.files):
            return None
        width = max(self.width or 0, len(self.classes), 1 + max((n for each in sets for n in each), default=-1))
        made = np.zeros((len(sets), width), np.bool_)
        for row, each in enumerate(sets):
            made[row, list(each)] = True
        return made

    @cached_property
    def digest(self) -> str:
        return digest_of((file.sha256 for file in self.files), (file.label for file in self.files))

    def without(
        self, hashes: frozenset[str], taken: Iterable[int] = (), reason: str = "copy of a calibration image"
    ) -> FolderSet:
        """The same set without the images of these contents.

        Args:
            taken: positions of those that are used elsewhere; what else has their content is counted as left out.
            reason: it is counted for.
        """
        own = set(taken)
        copies = (f.identifier for at, f in enumerate(self.files) if own and f.sha256 in hashes and at not in own)
        left_out = with_more(self.left_out, reason, copies)
        return replace(self, files=tuple(f for f in self.files if f.sha256 not in hashes), left_out=left_out)

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
        file = self.files[index]
        try:
            with opened(file.path) as image:
                made: PillowImage.Image = rgb_of(image, exif)
                return made
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot read the image {file.path}: {error}", "Replace it, or --skip-bad-images."
            ) from error

    def training_image(
        self, index: int, size: Size, seed: int, how: Preprocessing | None = None
    ) -> tuple[NDArray[np.uint8], int]:
        """A random part of the image at `size`, see edgekit.data.augment, and the label."""
        from edgekit.data.augment import augmented

        image = self.decoded(index, max(size), how is not None and how.exif)
        return augmented(image, size, [seed, index], how), _one_label(self.files[index].label)


def _one_label(label: Label) -> int:
    return label if isinstance(label, int) else 0


def open_images(
    spec: str | Path,
    *,
    skip_bad: bool = False,
    limit: int | None = None,
    labels: LabelRules = PLAIN,
    split: str = "validation",
    keep: Keep | None = None,
    index: ContentIndex | None = None,
) -> ImageSet:
    """Opens `signs`, a folder (one sub-folder a class; without sub-folders: no labels) or a CSV, TSV or JSONL table.

    Args:
        skip_bad: leaves out unreadable images instead of stopping.
        limit: takes that many images, evenly spread.
        labels: how labels are read, and what they must be below.
        split: of the signs.
        keep: chooses among all images before `limit` does; what it leaves out is not even opened.
        index: of files that were read before; the one of the user's own store by default.
    Raises:
        InputError: nothing there, no images, one class only, a label out of range or unknown, unreadable images.
    """
    if str(spec) == "signs":
        return _signs(split, keep, limit, labels)
    path, tally = Path(spec), Tally()
    found = _found(path, labels, tally)
    rows, told = found.rows, found.labelled
    if keep is not None:
        kept = keep([row.identifier for row in rows])
        names = {row.identifier for row in rows}.difference(rows[place].identifier for place in kept)
        tally.add("excluded", *sorted(names))
        rows, told = [rows[place] for place in kept], replace(told, labels=[told.labels[place] for place in kept])
    rows, judged = _with_labels(rows, told.labels, labels, tally)
    check_range(str(path), judged, labels)
    alike = check_classes(str(path), told, judged, labels)
    _count_empty(told, judged, labels, tally)
    chosen = spread(len(rows), limit)
    rows, judged = [rows[place] for place in chosen], [judged[place] for place in chosen]
    files, bad = read_files(str(found.folder), rows, judged, index or ContentIndex())
    skipped = tuple(name for names in bad.values() for name in names)
    if skipped and not skip_bad:
        raise unreadable(path, bad, len(rows))
    if not files:
        raise InputError(f"none of the {len(skipped)} images in {path} can be read", "Give whole JPEG or PNG files.")
    for reason, names_of in bad.items():
        tally.add(reason, *names_of)
    name, notes = readable(path.name), (*found.notes, *told.notes, *alike, *_mixed_up(files, labels))
    left_out = tally.found()
    return FolderSet(name, told.classes, tuple(files), skipped, left_out, notes, told.folders, labels.classes)


def _mixed_up(files: Sequence[ImageFile], rules: LabelRules) -> list[str]:
    """What is said of pictures that are there under several labels: no network can be right about them all."""
    first: dict[str, ImageFile] = {}
    several = [
        (each, first[each.sha256])
        for each in files
        if each.label is not None and first.setdefault(each.sha256, each).label != each.label
    ]
    if not several or not rules.checked:
        return []
    (one, other), count = several[0], len(several)
    how = "image is a copy" if count == 1 else "images are copies"
    return [f"{count} {how} of others that have another label, first {one.identifier} of {other.identifier}"]


def _signs(split: str, keep: Keep | None, limit: int | None, labels: LabelRules) -> ImageSet:
    if labels.sets:
        raise InputError("the signs have one label each, and --task multilabel wants sets", "Give --data a table.")
    if labels.offset and labels.checked:
        raise InputError("the labels of the signs are those of their networks", "Leave --label-offset out.")
    if keep is None:
        return SignsSet(split, limit)
    every = SignsSet(split)
    return Selection(every, tuple(keep([every.identifier(index) for index in range(len(every))])[:limit]))


@dataclass(frozen=True)
class _Found:
    """Image files before they are read: the folder that their names are relative to, and their labels."""

    folder: Path
    rows: list[Row]
    labelled: Labelled
    notes: tuple[str, ...] = ()


def _found(path: Path, rules: LabelRules, tally: Tally) -> _Found:
    """The image files that a folder or a table names."""
    notes: tuple[str, ...] = ()
    if path.suffix.lower() in TABLES and os.path.isfile(path):
        folder, (rows, notes) = path.parent, read_table(path)
        told = of_table(str(path), rows, rules) if rows else None
    elif os.path.isdir(path):
        walked = walk(str(path), tally)
        folder, rows = path, walked.rows
        splits = splits_in(walked) if rules.checked else ()
        if splits:
            part = next((each for each in splits if not each.lower().startswith("train")), splits[0])
            raise InputError(
                f"{path} is the root of a data set: its folders are {', '.join(splits)}, not classes",
                f"Give one of them, such as {path / part}.",
            )
        told = of_folders(path.name, walked.folders, rows, rules) if rows else None
    else:
        raise InputError(
            f"there is no image folder or table at {path}", "Give a folder, a .csv, .tsv or .jsonl, or `signs`."
        )
    if told is None:
        seen = "; ".join(remarks(tally.found()))
        raise InputError(
            f"there are no images in {path}" + (f": {seen}" if seen else ""),
            "Expected one sub-folder of images for each class, or path,label rows.",
        )
    return _Found(folder, rows, told, notes)


def _with_labels(
    rows: list[Row], labels: list[Label], rules: LabelRules, tally: Tally
) -> tuple[list[Row], list[Label]]:
    """The rows that have labels, where some have, and labels are judged by; the others are counted."""
    without = [row.identifier for row, label in zip(rows, labels, strict=True) if label is None]
    if not rules.checked or not without or len(without) == len(rows):
        return rows, labels
    tally.add("no label", *without)
    kept = [place for place, label in enumerate(labels) if label is not None]
    return [rows[place] for place in kept], [labels[place] for place in kept]


def _count_empty(told: Labelled, labels: Sequence[Label], rules: LabelRules, tally: Tally) -> None:
    """Counts the classes of --labels that no image is of."""
    if not rules.names or not rules.checked or all(label is None for label in labels):
        return
    used = {n for label in labels if label is not None for n in (label if isinstance(label, tuple) else (label,))}
    first = max(rules.offset, 0)
    tally.add("class without images", *(name for n, name in enumerate(told.classes) if n >= first and n not in used))
