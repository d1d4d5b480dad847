"""The stage that settles the calibration set: one that was pinned or set aside, or a choice made now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.build.export import Exported
from edgekit.build.stage import File, Progress, Stage
from edgekit.data.calibration import CalibrationData, CalibrationSet, check_disjoint, choose, renamed, to_json
from edgekit.data.calibration import read as read_set
from edgekit.data.folder import open_images
from edgekit.data.image_set import ImageSet
from edgekit.data.labels import UNJUDGED
from edgekit.data.left_out import said_of
from edgekit.data.preprocessing import Preprocessing
from edgekit.recipe import find_shipped

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.runner import Runner

SET: Final = "set.json"

UNCALIBRATED: Final = (
    "no calibration images were given: INT8 ranges come from the rendered signs; images of the task, given with"
    " --calibration, may lower the drop"
)


@dataclass(frozen=True)
class Features:
    """What the coverage strategy looks at: the float graph, and how images are prepared for it."""

    graph: File
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Choice:
    """How a calibration set is chosen.

    Attributes:
        data: what the manifest calls the pool; features: for the coverage strategy alone.
    """

    pool: ImageSet
    data: str
    count: int
    strategy: str
    seed: int
    features: Features | None


@dataclass(frozen=True)
class CalibrateInput:
    """A calibration set that is there already, or how one is chosen: just one of the two."""

    pinned: CalibrationSet | None
    choice: Choice | None


def _make(given: CalibrateInput, folder: Path, progress: Progress) -> Sequence[str]:
    chosen = given.pinned if given.choice is None else _chosen(given.choice, progress)
    assert chosen is not None  # one of the two is there
    (folder / SET).write_text(to_json(chosen), encoding="utf-8")
    return ()


def _chosen(choice: Choice, progress: Progress) -> CalibrationSet:
    features, total = None, len(choice.pool)
    if choice.features is not None:
        from edgekit.quantize.features import penultimate_features

        graph, preprocessing = choice.features.graph.path, choice.features.preprocessing
        features = penultimate_features(graph, choice.pool, preprocessing, lambda done: progress(done, total, ""))
    return choose(choice.pool, choice.count, choice.strategy, choice.seed, features, choice.data)


CALIBRATE: Final = Stage(
    "calibrate", ("numpy", "Pillow", "onnxruntime", "openvino"), _make, lambda f: read_set(f / SET)
)


def calibration_data(
    plan: Plan, run: Runner, exported: Exported, evaluated: ImageSet | None, held: CalibrationData | None
) -> CalibrationData:
    """The calibration set of a build and the images that it is of: what was set aside, a manifest, the shipped one, or
    a choice made now.

    Args:
        evaluated: images that accuracy is measured on; held: what of the user's images was set aside.
    Raises:
        InputError: it overlaps the evaluation images, its files are missing or changed, or it is not the locked one.
    """
    asked = plan.recipe.calibration
    if held is not None:
        run(CALIBRATE, CalibrateInput(held.chosen, None))
        return held
    pinned, pool = _pinned(plan, run)
    if pinned is None:
        skip_bad = plan.recipe.skip_bad_images
        pool = open_images(
            asked.data or "signs", skip_bad=skip_bad, labels=UNJUDGED, split="calibration", index=run.store.index
        )
        run.warn(*said_of(pool, asked.data or "signs"))
        features = Features(exported.graph, plan.source.preprocessing) if asked.strategy == "coverage" else None
        count = min(asked.images, len(pool))
        choice = Choice(pool, asked.data or "signs", count, asked.strategy, plan.recipe.seed, features)
        chosen = renamed(run(CALIBRATE, CalibrateInput(None, choice)), pool)
    else:
        run(CALIBRATE, CalibrateInput(pinned, None))
        chosen = pinned
    assert pool is not None
    if evaluated is not None:
        check_disjoint(chosen, evaluated)
    return CalibrationData(chosen, pool)


def _pinned(plan: Plan, run: Runner) -> tuple[CalibrationSet | None, ImageSet | None]:
    """The set of a manifest, or the shipped one, and the images that it is of."""
    asked = plan.recipe.calibration
    manifest = Path(asked.file) if asked.file is not None else None
    if manifest is None and asked.model_copy(update={"seeds": 1}) == type(asked)():
        manifest = find_shipped("calibration", "signs.json")
        if plan.source.default_data != "signs":
            run.warn(UNCALIBRATED)
    if manifest is None:
        return None, None
    chosen = read_set(manifest)
    data, split = asked.data or chosen.data, chosen.split or "calibration"
    pool = open_images(data, skip_bad=True, labels=UNJUDGED, split=split, index=run.store.index)
    return renamed(chosen, pool), pool
