"""The stage that looks for the mix of precisions that keeps the accuracy budget: see edgekit.quantize.search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from edgekit.build.executor import Executor
from edgekit.build.lock import LockedSearch
from edgekit.build.prune import Origin
from edgekit.build.stage import File, Progress, Stage, kept_file
from edgekit.build.training_images import training_images
from edgekit.data.calibration import CalibrationData
from edgekit.data.image_set import ImageSet, spread
from edgekit.data.preprocessing import Preprocessing
from edgekit.prune.sources import PruningImages
from edgekit.quantize.candidates import QuantConfig
from edgekit.quantize.graph_format import GraphFormat
from edgekit.training.record import TrainingRecord

if TYPE_CHECKING:
    from edgekit.build.plan import Plan

RESULT: Final = "search.json"
MIXED: Final = "mixed.onnx"
INTERRUPTED: Final = "it was interrupted"
LOCKED: Final = "its lock was followed"

MOST: Final = 1_600
"""Images to choose by: enough to see a third of a point; more take longer than they tell."""


@dataclass(frozen=True)
class SearchImages:
    """Images to choose by: a set, positions in it, and whether its labels mean something."""

    images: ImageSet
    indices: tuple[int, ...]
    labelled: bool


@dataclass(frozen=True)
class SearchLimits:
    """What a search may take.

    Attributes:
        max_drop: points of top-1 that may be lost; seconds: of looking.
        memory_bytes: that it may hold; None: what plain quantization took, and somewhat more.
    """

    max_drop: float
    seconds: float
    memory_bytes: int | None


@dataclass(frozen=True)
class SearchInput:
    """What a mix of precisions is looked for with.

    Attributes:
        core: the float32 graph that is quantized; reference: the graph, pixels in, that it is compared with.
        tuning: images to choose by; training: those to train with, if any.
        executor: where candidates are scored; profiler: the backend that times their layers here, if it can.
        locked: a mix that was found before, which is made again without looking.
    """

    core: File
    reference: File
    calibration: CalibrationData
    tuning: SearchImages
    training: PruningImages | None
    preprocessing: Preprocessing
    graph_format: GraphFormat
    limits: SearchLimits
    seed: int
    executor: Executor
    profiler: str | None
    locked: LockedSearch | None


@dataclass(frozen=True)
class TrialResult:
    """A network that was tried: points lost on the tuning images, KL divergence from FP32 in nats, seconds it took."""

    name: str
    drop: float
    kl: float
    images: int
    seconds: float
    best: bool


@dataclass(frozen=True)
class SearchResult:
    """What a search came to.

    Attributes:
        ended: why; config: how the best network is quantized; drop: points that it lost on the tuning images.
        training: its training with quantizers, to do it again; cut: what of that training was left out, and why.
        peak_bytes: the most that the process held; memory_bytes: what it might hold.
    """

    ended: str
    config: QuantConfig
    drop: float
    seconds: float
    peak_bytes: int
    memory_bytes: int
    trials: tuple[TrialResult, ...]
    training: TrainingRecord | None
    cut: str | None


@dataclass(frozen=True)
class Searched:
    """The best network within the budget, pixels in, and how it was found."""

    graph: File
    result: SearchResult


def _make(given: SearchInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.build.search_candidates import look, replay

    result, warnings = (look if given.locked is None else replay)(given, folder, progress)
    (folder / RESULT).write_bytes(TypeAdapter(SearchResult).dump_json(result))
    return warnings


def _read(folder: Path) -> Searched:
    result = TypeAdapter(SearchResult).validate_json((folder / RESULT).read_bytes())
    return Searched(kept_file(folder, MIXED), result)


PACKAGES: Final = ("nncf", "torch", "onnx", "onnx-ir", "onnxruntime", "openvino", "numpy", "Pillow")

SEARCH_PRECISION: Final = Stage(
    "tune", PACKAGES, _make, _read, complete=lambda found: found.result.ended != INTERRUPTED
)
"""What was interrupted is looked for again."""


def search_input(plan: Plan, origin: Origin, core: File, held: SearchImages | None) -> SearchInput:
    """What the mix of a network is looked for with.

    Args:
        origin: the network as it came; core: the float graph that is to be built, pruned or not.
        held: images that were held back to choose by.
    """
    asked = plan.recipe.tuning
    memory = None if asked.memory_gb is None else int(1e9 * asked.memory_gb)
    return SearchInput(
        core,
        origin.quantized.of("fp32"),
        origin.calibration,
        held or _from_pool(plan, origin.calibration),
        training_images(plan, origin.calibration, origin.evaluated),
        plan.source.preprocessing,
        plan.graph_format,
        SearchLimits(plan.recipe.max_drop, 60 * asked.minutes, memory),
        plan.recipe.seed,
        plan.executor,
        plan.backend if plan.target.can.layers and plan.device is None else None,
        plan.lock.search if plan.lock is not None else None,
    )


def _from_pool(plan: Plan, calibration: CalibrationData) -> SearchImages:
    """Images of the pool that were not calibrated with; all of the pool if none are left."""
    pool, rest = calibration.pool, calibration.left or range(len(calibration.pool))
    labelled = bool(calibration.left) and pool.labels is not None and not plan.source.random
    labelled = labelled and pool.name in (plan.source.default_data, plan.recipe.data)
    return SearchImages(pool, tuple(rest[place] for place in spread(len(rest), MOST)), labelled)
