"""The stages that show how much the INT8 drop depends on the images that happened to calibrate it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.build.executor import Executor
from edgekit.build.quantize import QUANTIZE, quantize_input
from edgekit.build.stage import File, Progress, Stage
from edgekit.data.calibration import STRATEGIES, CalibrationData, CalibrationSet, choose
from edgekit.data.image_set import ImageSet, Selection
from edgekit.data.preprocessing import Preprocessing
from edgekit.store.keys import NOT_IN_KEY
from edgekit.temporary import temporary_folder

if TYPE_CHECKING:
    from edgekit.build.export import Exported
    from edgekit.build.plan import Plan
    from edgekit.build.runner import Runner
    from edgekit.validate.evaluation import Evaluated

TRIES: Final = 4
"""Seeds tried for each set that is wanted: of few images, several seeds may choose the same."""

TOP1: Final = "top1.json"


@dataclass(frozen=True)
class Top1Input:
    """An INT8 graph, where it runs, and labelled images; `detail` says which calibration set it is of."""

    graph: File
    executor: Executor
    images: ImageSet
    preprocessing: Preprocessing
    detail: str = field(metadata=NOT_IN_KEY)


def _make(given: Top1Input, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.validate.accuracy import accuracy
    from edgekit.validate.evaluation import predict

    images, total = given.images, len(given.images)
    labels = images.labels
    assert labels is not None  # accuracy was measured with them
    with temporary_folder() as made:
        compiled = given.executor.prepared(given.graph.path, "int8", made)
        with given.executor.sessions({"int8": compiled}, progress) as loaded:
            answers = predict(
                loaded, images, given.preprocessing, range(total), lambda n: progress(n, total, given.detail)
            )
    (folder / TOP1).write_text(json.dumps(accuracy(answers["int8"], labels).top1), encoding="utf-8")
    return ()


def _read(folder: Path) -> float:
    return float(json.loads((folder / TOP1).read_text(encoding="utf-8")))


TOP1_OF_CALIBRATION: Final = Stage("spread", ("numpy", "Pillow", "openvino", "onnxruntime"), _make, _read)
"""Percent right of the evaluation images with an INT8 graph, compiled and executed as the build's own."""


@dataclass(frozen=True)
class CalibrationVariance:
    """Top-1 drops in points of the unpruned INT8 graph, calibrated with other images; the build's own first."""

    drops: tuple[float, ...]


def calibration_variance(
    plan: Plan,
    run: Runner,
    exported: Exported,
    calibration: CalibrationData,
    images: ImageSet | None,
    evaluated: Evaluated,
) -> CalibrationVariance | None:
    """Top-1 drops of the unpruned INT8 graph with the build's own calibration set and with others of the same kind.

    The others are as large, chosen from the same pool with the same strategy and the seeds after the recipe's, without
    the images that are evaluated.

    Returns:
        None where the recipe asks for one set only, or with a warning why nothing was measured.
    """
    seeds = plan.recipe.calibration.seeds
    if seeds == 1:
        return None
    rest = calibration.pool if images is None else not_evaluated(calibration.pool, images)
    why_not = _why_not(plan, evaluated, calibration.chosen, rest)
    sets = [] if why_not is not None else others(calibration.chosen, rest, seeds - 1, plan.recipe.seed + 1)
    if images is None or not sets:
        why_not = why_not or "the seeds chose the same images again"
        run.warn(f"the spread over calibration sets was not measured: {why_not}")
        return None
    if len(sets) + 1 < seeds:
        run.warn(f"only {len(sets) + 1} calibration sets were compared: the seeds chose no others")
    top1, own = (each.accuracy for each in (evaluated.variants["fp32"], evaluated.variants[f"int8{plan.suffix}"]))
    assert top1 is not None
    assert own is not None
    drops = [top1.top1 - own.top1]
    for number, other in enumerate(sets, 2):
        quantized = run(QUANTIZE, quantize_input(plan, exported, CalibrationData(other, rest), ("int8",)))
        detail = f"calibration set {number} of {len(sets) + 1}"
        given = Top1Input(quantized.of("int8"), plan.executor, images, plan.source.preprocessing, detail)
        drops.append(top1.top1 - run(TOP1_OF_CALIBRATION, given))
    return CalibrationVariance(tuple(drops))


def _why_not(plan: Plan, evaluated: Evaluated, chosen: CalibrationSet, rest: ImageSet) -> str | None:
    """Why there is nothing to compare, or no way to; None where there is both."""
    if not plan.has_int8:
        return "nothing is quantized to INT8"
    if plan.executor.untimed is not None:
        return f"INT8 for {plan.recipe.target} is not executed here"
    if not evaluated.labelled:
        return "accuracy was not measured"
    if plan.task != "classify":
        return f"it is of top-1, which the task {plan.task} has none of"
    if chosen.strategy == "coverage" or chosen.strategy not in STRATEGIES:
        return f"no seed decides what the strategy {chosen.strategy} chooses"
    if len(rest) <= len(chosen.items):
        return f"all {len(rest)} images to calibrate with are in the set; give more with --calibration"
    return None


def not_evaluated(pool: ImageSet, images: ImageSet) -> ImageSet:
    """The images of a pool that are not among the evaluated ones, by content."""
    seen = {images.content_hash(index) for index in range(len(images))}
    places = tuple(index for index in range(len(pool)) if pool.content_hash(index) not in seen)
    return pool if len(places) == len(pool) else Selection(pool, places)


def others(chosen: CalibrationSet, rest: ImageSet, wanted: int, first: int) -> list[CalibrationSet]:
    """Other sets like the chosen one: as many as are wanted, if the seeds from `first` on choose so many."""
    found: dict[frozenset[str], CalibrationSet] = {}
    own = chosen.hashes
    for seed in range(first, first + TRIES * wanted):
        other = choose(rest, len(chosen.items), chosen.strategy, seed, data=chosen.data)
        if other.hashes != own:
            found.setdefault(other.hashes, other)
        if len(found) == wanted:
            break
    return list(found.values())
