"""The images that a build trains on, and those beside them that it chooses by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.data.calibration import CalibrationData
    from edgekit.data.image_set import ImageSet
    from edgekit.prune.sources import PruningImages


def training_images(plan: Plan, calibration: CalibrationData, evaluated: ImageSet | None) -> PruningImages | None:
    """What there is to train on: the user's own images, the set that the weights come from, or calibration images."""
    if plan.source.random:
        return None
    from edgekit.data.folder import FolderSet
    from edgekit.data.labels import label_rules
    from edgekit.prune.sources import folder_images, of_folder, signs_images

    spec = plan.recipe.pruning.train_data
    if spec is not None and spec != "signs":
        rules = label_rules(plan.recipe, plan.source.classes)
        return folder_images(spec, rules, evaluated, plan.recipe.skip_bad_images)
    used = calibration.chosen.hashes
    if spec == "signs" or plan.source.default_data == "signs":
        return signs_images(used)
    pool = calibration.pool
    if isinstance(pool, FolderSet) and plan.recipe.prune != "auto":
        mine = tuple(replace(file, label=None) for file in pool.files if file.sha256 in used)
        return of_folder(FolderSet(pool.name, (), mine))
    return None
