"""What operators take more in 16 bits than in INT8, measured layer by layer on this processor."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from edgekit.backends import DEFAULTS, backend
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import EdgekitError
from edgekit.models.onnx_graph import save
from edgekit.quantize.graphs import write_graph
from edgekit.quantize.qdq import restored
from edgekit.temporary import temporary_folder


def extra_microseconds(
    profiler: str | None, made: ir.Model, core: ir.Model, names: Sequence[str], preprocessing: Preprocessing
) -> dict[str, float]:
    """Microseconds that each of the named operators takes more in 16 bits, at least 1; 1 where that is not known.

    Args:
        profiler: the backend that times layers, if any; made: the Q/DQ form of `core`.
    """
    if profiler is None:
        return dict.fromkeys(names, 1.0)
    in_16_bits = _profiled(profiler, restored(made, core, names), "mixed", preprocessing)
    in_int8 = _profiled(profiler, made, "int8", preprocessing)
    return {name: max(1.0, in_16_bits.get(name, 0.0) - in_int8.get(name, 0.0)) for name in names}


def _profiled(name: str, graph: ir.Model, precision: str, preprocessing: Preprocessing) -> dict[str, float]:
    """Microseconds by operator; empty where the backend cannot run the graph."""
    profiler = backend(name)
    with temporary_folder() as folder:
        plain, pixels = folder / "plain.onnx", folder / "pixels.onnx"
        save(graph, plain)
        write_graph(plain, plain, pixels, "mixed", preprocessing, profiler.graph_format(None))
        try:
            layers = profiler.profile(profiler.compile(pixels, folder, precision, DEFAULTS))
        except EdgekitError:
            return {}
    took: dict[str, float] = {}
    for layer in layers:
        operator = layer.name.partition("/")[0]
        took[operator] = took.get(operator, 0.0) + layer.microseconds
    return took
