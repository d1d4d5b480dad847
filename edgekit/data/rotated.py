"""Pictures that say in their EXIF data that they are to be turned before they are looked at."""

from __future__ import annotations

import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.data.folder import FolderSet
from edgekit.data.opening import opened
from edgekit.data.reading import AHEAD, READERS
from edgekit.runtime.rgb import bears_rotation

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

NAMED = 3
"""Pictures that a warning names."""


def rotated(images: ImageSet) -> list[str]:
    """The identifiers of the files in a set that bear a rotation; their headers alone are read."""
    if not isinstance(images, FolderSet):
        return []
    from edgekit.data.loading import made_ahead

    made = made_ahead(lambda file: _is_rotated(file.path), images.files, AHEAD, READERS)
    with warnings.catch_warnings(), closing(made) as said:
        warnings.simplefilter("ignore")
        return [file.identifier for file, turned in zip(images.files, said, strict=True) if turned]


def rotation_warning(images: ImageSet) -> str | None:
    """What to tell of pictures that are looked at as they lie in their files; None where none bears a rotation."""
    found = rotated(images)
    if not found:
        return None
    named = ", ".join(found[:NAMED]) + (", ..." if len(found) > NAMED else "")
    return (
        f"{len(found)} of {len(images)} images bear an EXIF rotation, which is not applied: {named};"
        " give --exif where the application turns them"
    )


def _is_rotated(path: Path) -> bool:
    try:
        with opened(path) as image:
            return bears_rotation(image)
    except (OSError, ValueError):
        return False
