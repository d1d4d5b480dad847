"""The stage that looks for the mix of precisions that keeps the accuracy budget: see edgekit.quantize.search."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from edgekit.build.material import Material
from edgekit.build.prove import toolchain
from edgekit.build.prune import training_images
from edgekit.build.run import Run, read_json, write
from edgekit.build.tuning_images import TuningImages, tuning_images
from edgekit.quantize.graph_format import format_for
from edgekit.store import Entry

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.data.calibration import CalibrationSet
    from edgekit.data.image_set import ImageSet


def tune(
    run: Run,
    exported: Entry,
    quantized: Entry,
    chosen: CalibrationSet,
    pool: ImageSet,
    evaluated: ImageSet | None,
    held: TuningImages | None,
) -> Entry:
    """mixed.onnx, the best network within the budget, pixels in, and tuning.json, which tells how it was found.

    Args:
        exported: of the network that is to be built, pruned or not; quantized: of the network as it came.
    """
    material = Material(
        exported.path / "model.onnx",
        quantized.path / "fp32.onnx",
        chosen,
        pool,
        tuning_images(run, chosen, pool, held),
        training_images(run, chosen, pool, evaluated),
    )
    inputs = _inputs(run, exported, quantized, material)
    before = run.store.get(run.store.key("tune", inputs))
    if before is not None and read_json(before / "tuning.json")["ended"] == "it was interrupted":
        shutil.rmtree(before)  # what was interrupted is looked for again

    def make(into: Path) -> None:
        from edgekit.build.workshop import look

        write(into / "tuning.json", json.dumps(look(run, material, into)))

    return run.stage("tune", inputs, make)


def _inputs(run: Run, exported: Entry, quantized: Entry, material: Material) -> Mapping[str, Any]:
    tuning, settings = material.tuning, run.recipe.tuning
    return {
        "graph": exported.path.name,
        "reference": quantized.path.name,
        "calibration": material.chosen.digest,
        "tuning": [tuning.images.digest, len(tuning.indices), tuning.labelled],
        "training": material.training and material.training.digest,
        "preprocessing": run.source.preprocessing.as_dict(),
        "form": list(format_for(run.release).as_dict().values()),
        "budget": [run.recipe.max_drop, settings.minutes, settings.memory_gb, run.recipe.seed],
        "machine": run.device.identity() if run.device else toolchain(run),
        "libraries": [version("nncf"), version("torch")],
    }
