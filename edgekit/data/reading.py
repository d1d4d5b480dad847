"""Reads image files once: their hashes, and whether they are whole images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.data.formats import openers
from edgekit.data.image_set import Label
from edgekit.data.opening import LIMITS, MAX_IMAGE_BYTES, opened
from edgekit.errors import InputError
from edgekit.runtime.rgb import rgb_of
from edgekit.store import Content, ContentIndex, FolderIndex

if TYPE_CHECKING:
    from edgekit.data.walk import Row


READERS: Final = 4
"""Threads that read files."""

AHEAD: Final = 256
"""Files that are read before they are asked for, at most: what is said of each takes memory until then."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file: where it is, what people call it, its label (or set of labels) and the SHA-256 of its bytes."""

    location: str
    identifier: str
    label: Label
    sha256: str

    @property
    def path(self) -> Path:
        return Path(self.location)


UNREADABLE: Final[Mapping[str, str]] = {
    "unreadable": "cannot be read",
    "missing": "are not there",
    "no regular file": "are no regular files",
    "permission denied": "may not be opened",
}
"""What is said of images that are not whole, by the reasons of left_out."""


def unreadable(path: Path, bad: Mapping[str, Sequence[str]], count: int) -> InputError:
    """What is said of images that are not whole: how many of `count`, and why."""
    parts = []
    for reason, names in bad.items():
        first = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        parts.append(f"{len(names)} of {count} images in {path} {UNREADABLE[reason]}: {first}")
    return InputError("; ".join(parts), "Replace them, or leave them out with --skip-bad-images.")


def read_files(
    folder: str, rows: Sequence[Row], labels: Sequence[Label], index: ContentIndex
) -> tuple[list[ImageFile], dict[str, list[str]]]:
    """The files with their hashes, and by reason the names of those that are not whole images; what is known is not
    read."""
    import PIL

    from edgekit.data.loading import made_ahead

    known = index.folder(folder, reader=f"Pillow {PIL.__version__}, {len(openers())} formats, known ranges, {LIMITS}")
    found = [known.find(row.name) for row in rows]
    unknown = [place for place, content in enumerate(found) if content is None or content.whole is None]
    try:
        made = made_ahead(lambda place: _read(known, folder, rows[place].name), unknown, AHEAD, READERS)
        with closing(made) as read:
            for place, content in zip(unknown, read, strict=True):
                found[place] = content
    finally:
        known.save()  # what an interrupted reading has is not lost
    files: list[ImageFile] = []
    bad: dict[str, list[str]] = {}
    for row, label, content in zip(rows, labels, found, strict=True):
        if content is not None and content.whole:
            files.append(ImageFile(os.path.join(folder, row.name), row.identifier, label, content.sha256))
        else:
            bad.setdefault(_why_bad(os.path.join(folder, row.name)), []).append(row.identifier)
    return files, bad


def _why_bad(path: str) -> str:
    """Why a file is no whole image, by the reasons of left_out."""
    try:
        if not os.path.exists(path):
            return "missing"
        if not os.path.isfile(path):
            return "no regular file"
        return "unreadable" if os.access(path, os.R_OK) else "permission denied"
    except ValueError:  # a name that no file can have
        return "missing"


def _read(known: FolderIndex, folder: str, name: str) -> Content | None:
    """What is in an image file; None when it cannot be read. A pipe is not waited for."""
    try:
        if not os.path.isfile(os.path.join(folder, name)):
            return None
        return known.image(name, _is_whole, MAX_IMAGE_BYTES)
    except (OSError, ValueError):
        return None


def _is_whole(content: bytes) -> bool:
    """Whether these are the bytes of a whole image, which can be decoded."""
    import io
    import warnings

    try:
        with warnings.catch_warnings(), opened(io.BytesIO(content)) as image:
            warnings.simplefilter("ignore")
            # A header says nothing of a file that was cut short: decode, JPEG at an eighth of its size.
            image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
            if image.mode in ("I", "F"):
                rgb_of(image)  # whose range may be none that is known
    except (OSError, ValueError):
        return False
    return True
