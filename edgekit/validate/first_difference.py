"""Which operator of a graph a runtime computes otherwise than ONNX Runtime: every inner tensor is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import load, name_of, to_proto
from edgekit.models.run_graph import session_of

RELATIVE: Final = 1e-3
"""Of the largest number of a tensor: two right runtimes differ by far less."""

FLOATS: Final = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)

Tensors = dict[str, NDArray[np.float32]]
Ask = Callable[[bytes, list[str], NDArray[np.float32]], Tensors]
"""Runs a graph in ONNX's own form on an input, and gives the outputs that are named."""


def first_difference(graph: Path, runtime: str, picture: NDArray[np.float32]) -> str | None:
    """The first operator of a float graph whose output a runtime gives otherwise, as its kind and name.

    Args:
        picture: float32, as the graph takes it.
    Returns:
        None where no inner tensor differs, or the runtime cannot be asked for inner tensors.
    """
    ask = ASKED.get(runtime)
    if ask is None:
        return None
    model = load(graph)
    makers = {name_of(value): node for node in model.graph for value in node.outputs if _is_float(value)}
    whole = _with_outputs(model, list(makers))
    wanted, given = _in_onnxruntime(whole, list(makers), picture), ask(whole, list(makers), picture)
    for name, node in makers.items():
        if name in wanted and name in given and _differ(wanted[name], given[name]):
            return f"{node.op_type} {node.name or name}"
    return None


def _is_float(value: ir.Value) -> bool:
    return bool(value.name) and (value.dtype is None or value.dtype in FLOATS)


def _with_outputs(model: ir.Model, names: list[str]) -> bytes:
    """The same graph with every inner tensor as an output too."""
    from onnx import shape_inference

    proto = shape_inference.infer_shapes(to_proto(model))
    known = {each.name: each for each in (*proto.graph.value_info, *proto.graph.output)}
    there = {each.name for each in proto.graph.output}
    proto.graph.output.extend(known[name] for name in names if name in known and name not in there)
    return bytes(proto.SerializeToString())


def _in_onnxruntime(graph: bytes, names: list[str], picture: NDArray[np.float32]) -> Tensors:
    session = session_of(graph, optimized=False)
    there = [each.name for each in session.get_outputs() if each.name in names]
    made = session.run(there, {session.get_inputs()[0].name: picture})
    return dict(zip(there, made, strict=True))


def _in_openvino(graph: bytes, names: list[str], picture: NDArray[np.float32]) -> Tensors:
    from edgekit.runtime.openvino_core import core
    from edgekit.runtime.openvino_plugins import PROCESSOR, asked

    read = core().read_model(BytesIO(graph))
    model = core().compile_model(read, PROCESSOR, asked(PROCESSOR, "fp32"))
    made = model.create_infer_request().infer([picture])
    found: Tensors = {}
    for output in model.outputs:
        found |= {name: np.array(made[output]) for name in output.get_names() if name in names}
    return found


ASKED: Final[Mapping[str, Ask]] = MappingProxyType({"openvino": _in_openvino, "onnxruntime": _in_onnxruntime})
"""How a runtime is asked for inner tensors."""


def _differ(wanted: NDArray[np.float32], given: NDArray[np.float32]) -> bool:
    if wanted.shape != given.shape:
        return True
    if not wanted.size:
        return False
    ours, theirs = wanted.astype(np.float64), given.astype(np.float64)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))  # infinities of masks among them
    finite = np.isfinite(ours)
    scale = max(float(np.abs(ours[finite]).max(initial=0.0)), 1e-6)
    return bool((~same & ~(np.abs(ours - theirs) <= RELATIVE * scale)).any())
