"""The stage that explains what INT8 does to a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.build.run import Event, Run, read_json, write
from edgekit.data.calibration import CalibrationSet
from edgekit.store import Entry

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

WHAT = {"images": "images in both", "parts": "parts in floating point", "suspects": "operators in floating point"}


def explain_graph(
    run: Run, exported: Entry, quantized: Entry, chosen: CalibrationSet, pool: ImageSet, count: int
) -> dict[str, Any]:
    """Explanation.as_dict() of the INT8 graph, see edgekit.quantize.explain.

    Args:
        quantized: of `quantize_graph`, with INT8; chosen, pool: the images that it was calibrated with.
        count: how many of them are run, evenly spread.
    """
    preprocessing = run.source.preprocessing

    def make(into: Path) -> None:
        from edgekit.build.inputs import calibration_inputs
        from edgekit.models.onnx_graph import load
        from edgekit.quantize.explain import explain

        core = load(exported.path / "model.onnx")
        made = load(quantized.path / "quantized.onnx")
        some = calibration_inputs(core, chosen, pool, preprocessing, count)

        def tell(what: str, done: int, total: int) -> None:
            run.on_event(Event("explain", done, total, detail=WHAT[what]))

        found = explain(core, made, some, preprocessing, on_progress=tell)
        write(into / "explain.json", json.dumps(found.as_dict(), allow_nan=False))

    inputs = {"graph": quantized.path.name, "calibration": chosen.digest, "images": count}
    told: dict[str, Any] = read_json(run.stage("explain", inputs, make).path / "explain.json")
    return told
