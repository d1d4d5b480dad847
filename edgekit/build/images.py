"""Which images are for what: evaluation, calibration and the choice between networks never share one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from edgekit.build.rotation import CHECK_ROTATION, RotationInput
from edgekit.build.search_precision import MOST, SearchImages
from edgekit.data.calibration import CalibrationData, choose
from edgekit.data.folder import FolderSet, open_images
from edgekit.data.image_set import spread
from edgekit.data.labels import label_rules
from edgekit.data.left_out import said_of
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.runner import Runner
    from edgekit.data.image_set import ImageSet

SIGNS_IMAGES: Final = 2_400
"""Signs that are evaluated unless more or fewer are asked for; enough to see a drop of half a point."""

PART: Final = 4
"""One in so many of a user's evaluation images is held back to choose by."""

LEAST: Final = 8


def evaluation_images(plan: Plan, run: Runner) -> ImageSet | None:
    """The images that the recipe names, or those that the weights were trained for; None where there are none.

    Raises:
        InputError: they cannot be read.
    """
    recipe, source = plan.recipe, plan.source
    data = recipe.data or source.default_data
    if data is None:
        return None
    limit = recipe.images or (SIGNS_IMAGES if data == "signs" else None)
    rules = label_rules(recipe, source.classes)
    images = open_images(data, skip_bad=recipe.skip_bad_images, limit=limit, labels=rules, index=run.store.index)
    run.warn(*said_of(images, data))
    if isinstance(images, FolderSet) and not source.preprocessing.exif:
        run(CHECK_ROTATION, RotationInput(images))
    return images


def set_aside(plan: Plan, run: Runner, images: ImageSet | None) -> tuple[ImageSet | None, CalibrationData | None]:
    """Sets part of the evaluation images aside to calibrate with, where no other images were given.

    Returns:
        the images to evaluate on, and what was set aside, if anything was.
    Raises:
        InputError: there are too few images for both.
    """
    asked = plan.recipe.calibration
    if not isinstance(images, FolderSet) or not plan.has_int8 or asked.file is not None or asked.data is not None:
        return images, None
    count = min(asked.images, len(images) // 3)
    if count < 1:
        raise InputError(
            f"{len(images)} images are too few to evaluate and to calibrate", "Give more, or --calibration."
        )
    chosen = choose(images, count, "stratified", plan.recipe.seed, data=plan.recipe.data)
    data = CalibrationData(chosen, images)
    rest = images.without(chosen.hashes, data.indices)
    copies = len(images) - count - len(rest)
    if not len(rest):
        raise InputError(
            f"nothing is left to evaluate: all of the other {copies} images are copies of the {count} that are"
            " calibrated with",
            "Give different images, or others to calibrate with (--calibration).",
        )
    run.warn(
        f"no calibration images were given: {count} of the {len(images)} in --data were set aside to calibrate with,"
        f" and accuracy is of the other {len(rest)}" + (f"; {copies} copies of them were left out" if copies else "")
    )
    return rest, data


def held_back(plan: Plan, run: Runner, images: ImageSet | None) -> tuple[ImageSet | None, SearchImages | None]:
    """Sets part of a user's evaluation images aside to choose by, where the build chooses by accuracy.

    Returns:
        the images to evaluate on, and what was held back, if anything was.
    """
    if plan.wanted != "mixed" or not isinstance(images, FolderSet) or plan.source.random:
        return images, None
    held = spread(len(images), min(MOST, len(images) // PART))
    if len(held) < LEAST:
        return images, None
    hashes = frozenset(images.content_hash(index) for index in held)
    rest = images.without(hashes, held, "copy of a held-back image")
    copies = len(images) - len(held) - len(rest)
    if not len(rest):
        return images, None
    run.warn(
        f"{len(held)} of the {len(images)} evaluation images were held back to choose the mix of precisions by;"
        f" accuracy is of the other {len(rest)}" + (f"; {copies} copies of them were left out" if copies else "")
    )
    return rest, SearchImages(images, tuple(held), images.labels is not None)
