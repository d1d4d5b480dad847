"""The stage that writes the graph of every precision, pixels in, and quantizes to INT8."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.build.stage import File, Progress, Stage, kept_file
from edgekit.data.calibration import CalibrationData
from edgekit.data.preprocessing import Preprocessing
from edgekit.quantize.graph_format import GraphFormat
from edgekit.runtime.forms import DLA
from edgekit.targets import dla_leaves_means

if TYPE_CHECKING:
    from edgekit.build.export import Exported
    from edgekit.build.plan import Plan

QUANTIZED: Final = "quantized.onnx"


@dataclass(frozen=True)
class QuantizeInput:
    """What graphs are made of.

    Attributes:
        core: the float32 graph; calibration: None where nothing is quantized.
        quantized: NNCF's Q/DQ graph, where it was made before for a runtime that takes it in another form.
        graphs: names of those that are wanted, of fp32, fp16 and int8; dla: whether a DLA's files are written too.
        warn_of_means: whether that DLA leaves average pools that exclude their padding to the GPU.
    """

    core: File
    calibration: CalibrationData | None
    preprocessing: Preprocessing
    graph_format: GraphFormat
    graphs: tuple[str, ...]
    dla: bool = False
    warn_of_means: bool = False
    quantized: File | None = None


@dataclass(frozen=True)
class Quantized:
    """The graphs by name, NNCF's Q/DQ graph before pixels were put before it, and what a DLA is given."""

    graphs: dict[str, File]
    quantized: File | None
    dla: tuple[File, ...]

    def of(self, precision: str) -> File:
        """The graph of a precision; bf16 is the runtime's way to run the fp32 one."""
        return self.graphs["fp32" if precision == "bf16" else precision]


def _make(given: QuantizeInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.quantize.graphs import write_dla, write_graph

    quantized = folder / QUANTIZED
    if given.quantized is not None:
        shutil.copyfile(given.quantized.path, quantized)
    elif given.calibration is not None:
        _quantize(given, given.calibration, quantized, progress)
    for name in given.graphs:
        write_graph(given.core.path, quantized, folder / f"{name}.onnx", name, given.preprocessing, given.graph_format)
    means = write_dla(quantized, folder, given.preprocessing, given.graph_format) if given.dla else []
    if not means or not given.warn_of_means:
        return ()
    return (
        f"the DLA leaves {len(means)} average pools to the GPU, which do not count their padding: {', '.join(means)}",
    )


def _quantize(given: QuantizeInput, calibration: CalibrationData, out: Path, progress: Progress) -> None:
    from edgekit.build.inputs import calibration_pictures
    from edgekit.quantize.ptq import PLAIN, quantize

    total = len(calibration.indices)
    pictures = calibration_pictures(calibration, given.preprocessing, lambda done: progress(done, total, ""))
    form = given.graph_format
    settings = replace(PLAIN, per_tensor=form.per_tensor)
    quantize(given.core.path, out, pictures, given.preprocessing, form.signed, settings, form.sums)


def _read(folder: Path) -> Quantized:
    graphs = {name: kept_file(folder, f"{name}.onnx") for name in GRAPHS if (folder / f"{name}.onnx").exists()}
    quantized = kept_file(folder, QUANTIZED) if (folder / QUANTIZED).exists() else None
    return Quantized(graphs, quantized, tuple(kept_file(folder, n) for n in DLA if (folder / n).exists()))


GRAPHS: Final = ("fp32", "fp16", "int8")

QUANTIZE: Final = Stage("quantize", ("nncf", "onnx", "onnx-ir", "onnxruntime", "numpy", "Pillow"), _make, _read)


def quantize_input(
    plan: Plan, exported: Exported, calibration: CalibrationData, precisions: Sequence[str]
) -> QuantizeInput:
    """What the graphs of some precisions are made of."""
    wanted = {"fp32" if each == "bf16" else each for each in precisions}
    int8 = "int8" in wanted
    return QuantizeInput(
        exported.graph,
        calibration if int8 else None,
        plan.source.preprocessing,
        plan.graph_format,
        tuple(name for name in GRAPHS if name in wanted),
        int8 and plan.recipe.tensorrt.dla,
        plan.release is not None and dla_leaves_means(plan.target, plan.release),
    )
