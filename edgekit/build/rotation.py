"""The stage that looks whether images bear an EXIF rotation, which is not applied unless it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgekit.build.stage import Progress, Stage
from edgekit.data.image_set import ImageSet


@dataclass(frozen=True)
class RotationInput:
    """Image files that are looked at as they lie in their files."""

    images: ImageSet


def _check(given: RotationInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.data.rotated import rotation_warning

    warning = rotation_warning(given.images)
    return () if warning is None else (warning,)


CHECK_ROTATION: Final = Stage("rotation", ("Pillow",), _check, lambda folder: None)
"""Leaves a warning that counts them."""
