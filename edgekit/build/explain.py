"""The stage that explains what INT8 does to a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgekit.build.stage import File, Progress, Stage
from edgekit.data.calibration import CalibrationData
from edgekit.data.preprocessing import Preprocessing

EXPLANATION: Final = "explain.json"
WHAT: Final = {
    "images": "images in both",
    "parts": "parts in floating point",
    "suspects": "operators in floating point",
}


@dataclass(frozen=True)
class ExplainInput:
    """The float graph and its INT8 form, the calibration set, and how many of its images are run, evenly spread."""

    core: File
    quantized: File
    calibration: CalibrationData
    preprocessing: Preprocessing
    images: int


def _make(given: ExplainInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.build.inputs import calibration_inputs
    from edgekit.models.onnx_graph import load
    from edgekit.quantize.explain import explain

    core, made = load(given.core.path), load(given.quantized.path)
    some = calibration_inputs(core, given.calibration, given.preprocessing, given.images)

    def tell(what: str, done: int, total: int) -> None:
        progress(done, total, WHAT[what])

    found = explain(core, made, some, given.preprocessing, on_progress=tell)
    (folder / EXPLANATION).write_text(json.dumps(found.as_dict(), allow_nan=False), encoding="utf-8")
    return ()


def _read(folder: Path) -> dict[str, Any]:
    """Explanation.as_dict(), see edgekit.quantize.explain: what `edgekit quantize --explain --json` prints."""
    explanation: dict[str, Any] = json.loads((folder / EXPLANATION).read_text(encoding="utf-8"))
    return explanation


EXPLAIN: Final = Stage("explain", ("onnx", "onnx-ir", "onnxruntime", "numpy", "Pillow"), _make, _read)
