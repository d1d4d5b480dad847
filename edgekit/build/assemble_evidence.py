"""Evidence in the report of a build: times of layers, classes calibrated with, what the lock holds to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.data.calibration import class_coverage
from edgekit.report import model_evidence as evidence

if TYPE_CHECKING:
    from edgekit.backends import LayerTime
    from edgekit.build.lock import Lock
    from edgekit.build.profile import Profiled
    from edgekit.build.prune import Pruned
    from edgekit.data.calibration import CalibrationSet


def layer_times(found: Profiled | None) -> evidence.LayerTimes | None:
    """A variant's `layer_times`; None where nobody looked."""
    if found is None:
        return None
    layers = None if found.layers is None else tuple(_layer(each) for each in found.layers)
    return evidence.LayerTimes(runs=found.runs, layers=layers, why=found.why).leaving_out("why")


def _layer(timed: LayerTime) -> evidence.LayerTime:
    operator = timed.operator or timed.kind
    return evidence.LayerTime(
        name=timed.name,
        operator=operator,
        kernel=timed.kind if timed.kind != operator else None,
        precision=timed.precision or None,
        microseconds=timed.microseconds,
    )


def coverage(chosen: CalibrationSet) -> evidence.ClassCoverage | None:
    """The calibration's `coverage`; None where its images have no labels."""
    if all(item.label is None for item in chosen.items):
        return None
    return evidence.ClassCoverage(**class_coverage(chosen))


def locked_decisions(lock: Lock, pruned: Pruned) -> evidence.LockedDecisions:
    """The report's `locked`."""
    return evidence.LockedDecisions(
        made_on=lock.made_on,
        versions=lock.versions,
        weights_sha256=lock.weights_sha256,
        calibration_digest=None if lock.calibration is None else lock.calibration.digest,
        seed=lock.recipe.seed,
        precisions=lock.precisions,  # type: ignore[arg-type]  # names that the model lists
        chosen=lock.chosen,
        backend=lock.backend,
        pruning=_pruning(lock, pruned),
        search=_search(lock),
    )


def _pruning(lock: Lock, pruned: Pruned) -> evidence.LockedPruning | None:
    told = lock.pruning
    if told is None or pruned.chosen is None:
        return None
    run = told.recovery
    recovery = None
    if run is not None:
        recovery = evidence.LockedRecovery(
            steps=run.recipe.steps, images=run.images, number_format=run.number_format, threads=run.threads
        )
    return evidence.LockedPruning(
        importance=told.importance,
        units=told.units,
        kept=pruned.chosen.kept,
        layers=sum(each.before != each.after for each in told.widths),
        recovery=recovery,
    )


def _search(lock: Lock) -> evidence.LockedSearch | None:
    if lock.search is None:
        return None
    config = lock.search.config
    return evidence.LockedSearch(way=config.name, float_operators=len(config.float_ops), trained=config.trained)
