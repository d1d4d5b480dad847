"""The images of a shard as a worker gets them: drawn there, read from files that it sees too, or sent by content."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from edgekit.data.folder import FolderSet
from edgekit.data.image_set import ImageSet, Selection, spread
from edgekit.data.opening import opened
from edgekit.errors import InputError
from edgekit.runtime.rgb import rgb_of

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from edgekit.data.reading import ImageFile

LOOKED_AT: Final = 64
"""Files whose sizes are compared on every node before work begins."""

READ: Final = 8
"""Files that are read and hashed there, too. All others are hashed when their turn comes."""


@dataclass(frozen=True)
class CheckedSet(FolderSet):
    """Image files of which each is compared with its hash when it is read.

    Attributes:
        sent: contents by SHA-256, which are taken before files are looked for.
    """

    sent: Mapping[str, bytes] = field(default_factory=dict)

    def decoded(self, index: int, side: int, exif: bool = False) -> PillowImage.Image:
        """The image as its file has it, 8-bit RGB, turned by EXIF if asked for; `side` changes nothing.

        Raises:
            InputError: it cannot be read, or is another one than the driver has.
        """
        file = self.files[index]
        try:
            content = self.sent[file.sha256] if file.sha256 in self.sent else file.path.read_bytes()
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise InputError(f"the image {file.path} is another one than where the command was given", SEND)
            with opened(io.BytesIO(content)) as image:
                made: PillowImage.Image = rgb_of(image, exif)
                return made
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the image {file.path}: {error}", SEND) from error


SEND: Final = "Give nodes the same files at the same paths, or send them with --send-data."


def for_worker(images: ImageSet, positions: Sequence[int]) -> ImageSet:
    """Some of the images as they are sent to a worker: without the contents of files, which it reads by itself."""
    base, places = _flat(images, positions)
    if isinstance(base, FolderSet):
        files = tuple(replace(file, location=os.path.abspath(file.location)) for file in _files(base, places))
        return CheckedSet(base.name, base.classes, files)
    # without what the driver has computed of it
    return Selection(replace(base), tuple(places))  # type: ignore[type-var]


def hashes_of(images: ImageSet, positions: Sequence[int]) -> Mapping[str, str]:
    """Where the content of each image lies, by SHA-256; nothing of images that are drawn."""
    base, places = _flat(images, positions)
    return {file.sha256: file.location for file in _files(base, places)} if isinstance(base, FolderSet) else {}


def _flat(images: ImageSet, positions: Sequence[int]) -> tuple[ImageSet, Sequence[int]]:
    while isinstance(images, Selection):
        positions = [images.positions[place] for place in positions]
        images = images.base
    return images, positions


def _files(base: FolderSet, places: Sequence[int]) -> list[ImageFile]:
    return [base.files[place] for place in places]


@dataclass(frozen=True)
class Seen:
    """A file as the driver sees it; sha256: None where only its size is compared."""

    location: str
    size_bytes: int
    sha256: str | None


def to_look_at(images: ImageSet) -> tuple[Seen, ...]:
    """Some of the files, evenly spread; none of images that are drawn.

    Raises:
        InputError: one cannot be looked at any more.
    """
    base, places = _flat(images, range(len(images)))
    if not isinstance(base, FolderSet):
        return ()
    files = _files(base, places)
    chosen = spread(len(files), LOOKED_AT)
    read = {chosen[place] for place in spread(len(chosen), READ)}
    found = []
    for place in chosen:
        location = os.path.abspath(files[place].location)
        try:
            size = os.stat(location).st_size
        except OSError as error:
            raise InputError(f"cannot read the image {location}: {error.strerror}", "Replace it.") from error
        found.append(Seen(location, size, files[place].sha256 if place in read else None))
    return tuple(found)


def not_seen(files: Sequence[Seen]) -> str | None:
    """What this process sees otherwise than the driver, the first of it; None where it sees the same."""
    for each in files:
        try:
            size = os.stat(each.location).st_size
            content = None
            if size == each.size_bytes and each.sha256 is not None:
                with open(each.location, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
        except OSError as error:
            return f"{each.location}: {error.strerror}"
        if size != each.size_bytes or content != each.sha256:
            return f"{each.location}: another file is there"
    return None
