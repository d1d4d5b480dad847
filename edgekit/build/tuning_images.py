"""The images that the budget loop chooses by: never calibrated with, and never those that accuracy is told of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.build.run import Run
from edgekit.data.folder import FolderSet
from edgekit.data.image_set import spread

if TYPE_CHECKING:
    from edgekit.data.calibration import CalibrationSet
    from edgekit.data.image_set import ImageSet

MOST: Final = 1_600
"""Enough to see a third of a point; more take longer than they tell."""

PART: Final = 4
"""One in so many of a user's evaluation images is held back to choose by."""

LEAST: Final = 8


@dataclass(frozen=True)
class TuningImages:
    """Images to choose by: the set and positions in it, and whether their labels mean something."""

    images: ImageSet
    indices: Sequence[int]
    labelled: bool


def hold_back(run: Run, images: ImageSet | None) -> tuple[ImageSet | None, TuningImages | None]:
    """Sets part of a user's evaluation images aside to choose by, where the build chooses by accuracy.

    Returns:
        the images to evaluate on, and what was held back, if anything was.
    """
    if "mixed" not in run.variants or not isinstance(images, FolderSet) or run.source.random:
        return images, None
    held = spread(len(images), min(MOST, len(images) // PART))
    if len(held) < LEAST:
        return images, None
    rest = images.without(frozenset(images.content_hash(index) for index in held))
    run.warnings.append(
        f"{len(held)} of the {len(images)} evaluation images were held back to choose the mix of precisions by;"
        f" accuracy is of the other {len(rest)}"
    )
    return rest, TuningImages(images, held, images.labels is not None)


def tuning_images(run: Run, chosen: CalibrationSet, pool: ImageSet, held: TuningImages | None) -> TuningImages:
    """What was held back, or images of the pool that were not calibrated with; all of the pool if none are left."""
    if held is not None:
        return held
    used = {item.sha256 for item in chosen.items}
    rest = [index for index in range(len(pool)) if pool.content_hash(index) not in used]
    labelled = bool(rest) and pool.labels is not None and not run.source.random
    labelled = labelled and (pool.name == run.source.default_data or pool.name == run.recipe.data)
    rest = rest or list(range(len(pool)))
    return TuningImages(pool, [rest[place] for place in spread(len(rest), MOST)], labelled)
