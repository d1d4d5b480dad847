"""Evidence in the report of a build: times of layers, classes calibrated with, what the lock holds to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.data.calibration import class_coverage
from edgekit.report import model_conditions as conditions
from edgekit.report import model_evidence as evidence

if TYPE_CHECKING:
    from edgekit.backends import LayerTime
    from edgekit.build.lock import Lock
    from edgekit.build.profile import Profiled
    from edgekit.build.prune import Pruned
    from edgekit.build.quiet import Asked
    from edgekit.data.calibration import CalibrationSet
    from edgekit.devices.noise import MachineReading, TimingProcess
    from edgekit.validate.latency import Measured


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
        units=pruned.chosen.channels[0],
        kept=pruned.chosen.channels[1],
        layers=sum(each.before != each.after for each in told.widths),
        blocks=None if told.blocks is None else len(told.blocks.removed),
        recovery=recovery,
    )


def measuring_conditions(before: Asked | None, measured: Measured) -> conditions.Conditions | None:
    """The report's `conditions`; None where nobody looked."""
    told = measured.conditions
    machine, process = (None, None) if told is None else (told.machine, told.process)
    if before is None and machine is None and process is None:
        return None
    return conditions.Conditions(
        before_build=None if before is None else _machine(before.reading, before.waited_s or None),
        before_timing=None if machine is None else _machine(machine),
        timing_process=None if process is None else _process(process),
    ).leaving_out("before_build", "before_timing", "timing_process")


def _machine(told: MachineReading, waited_s: float | None = None) -> conditions.Machine:
    seen = told.seen
    return conditions.Machine(
        verdict=told.verdict,
        reasons=told.reasons,
        notes=told.notes,
        not_read=told.not_read,
        looked_s=seen.seconds,
        waited_s=waited_s,
        load=seen.load,
        running=seen.running,
        others=seen.others,
        stolen_percent=seen.stolen_percent,
        governors=seen.governors,
        clocks_mhz=seen.clocks_mhz,
        equal_work=conditions.EqualWork(**seen.spin.model_dump()),
    ).leaving_out("waited_s")


def _process(told: TimingProcess) -> conditions.TimingProcess:
    return conditions.TimingProcess(
        cpus=told.cpus,
        machine_cpus=told.cores,
        sharing=told.sharing,
        threads=told.threads,
        others=told.others,
        stolen_percent=told.stolen_percent,
    )


def _search(lock: Lock) -> evidence.LockedSearch | None:
    if lock.search is None:
        return None
    config = lock.search.config
    return evidence.LockedSearch(way=config.name, float_operators=len(config.float_ops), trained=config.trained)
