"""Writes the decisions of a build into its lock, and holds a build to the lock that it follows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from edgekit.build.lock import Lock, LockedBlocks, LockedCalibration, LockedPruning, LockedSearch, LockedWidth, versions
from edgekit.errors import InputError
from edgekit.targets import processor

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.prune import Pruned
    from edgekit.build.search_precision import Searched
    from edgekit.build.sizes import Sizes
    from edgekit.data.calibration import CalibrationData
    from edgekit.validate.decision import Decision


def check_calibration(plan: Plan, calibration: CalibrationData) -> None:
    """Refuses other calibration images than those of the lock.

    Raises:
        InputError: the digests differ.
    """
    locked_set = plan.lock.calibration if plan.lock is not None else None
    if plan.has_int8 and locked_set is not None and locked_set.digest != calibration.digest:
        raise InputError(
            f"the lock's calibration set has other images ({locked_set.images}, digest {locked_set.digest[:16]}) than"
            f" this one ({len(calibration.chosen.items)}, digest {calibration.digest[:16]})",
            "Give the images that it was made with: --calibration with the bundle's calibration.json, or --data.",
        )


def locked(
    plan: Plan, calibration: CalibrationData, sizes: Sizes, pruned: Pruned, mixed: Searched | None, decision: Decision
) -> Lock:
    """The decisions of a build that is done; of one that followed a lock, the same decisions again.

    Args:
        plan: on the runtime of the chosen variant.
    """
    size = next((each.size for each in sizes.tried if each.begun), None)
    pinned = LockedCalibration(images=len(calibration.chosen.items), digest=calibration.digest)
    return Lock(
        recipe=plan.recipe,
        made_on=processor()[0],
        versions=versions(),
        weights_sha256=plan.source.weights_sha256,
        calibration=pinned if plan.has_int8 else None,
        precisions=plan.on(plan.usual).precisions,
        chosen=decision.chosen,
        backend=plan.backend,
        int8_sums=plan.on(plan.usual).sums,
        size=size,
        pruning=_pruning(pruned),
        search=None if mixed is None else LockedSearch(config=mixed.result.config, training=mixed.result.training),
    )


def _pruning(pruned: Pruned) -> LockedPruning | None:
    if pruned.chosen is None or pruned.recovered is None:
        return None
    return LockedPruning(
        importance=pruned.importance or "",
        widths=tuple(LockedWidth(**asdict(each)) for each in pruned.chosen.widths),
        units=pruned.chosen.units,
        keep=pruned.chosen.keep,
        blocks=None if pruned.chosen.blocks is None else LockedBlocks(**asdict(pruned.chosen.blocks)),
        recovery=pruned.recovered.recovery.run,
        refit_images=pruned.recovered.recovery.refit_images,
        norm_images=pruned.recovered.recovery.batch_norm_images,
    )
