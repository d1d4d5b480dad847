"""Biases that make up for what other weights do to a layer's mean.

NNCF moves biases so that rounding weights does not move the mean of a layer's outputs (Nagel et al. 2019, arXiv
1906.04721, section 4.2). Weights that are changed after it need the same again: what a weight lost, times the mean of
its input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import (
    add_constant,
    constant,
    dims_of,
    give_only,
    image_input,
    infer_shapes,
    name_of,
    to_proto,
)
from edgekit.models.run_graph import session_of
from edgekit.quantize.observe import append_reduction
from edgekit.quantize.qdq import named_as
from edgekit.quantize.sums import Change

Means = Mapping[str, NDArray[np.float64]]
"""The mean of each channel of a layer's input, (C,), by the layer's name."""


def input_means(
    core: ir.Model, quantized: ir.Model, layers: Sequence[str], inputs: Iterable[NDArray[np.float32]]
) -> Means:
    """The mean of every channel of what layers read in the float graph, over all inputs, run by ONNX Runtime.

    Layers whose input is no picture with channels, and no row, are left out.

    Args:
        core: the float graph; quantized: NNCF's form of it, which names nodes; layers: names of nodes.
        inputs: float32, batch 1.
    """
    model = named_as(core, quantized).clone()
    infer_shapes(model)
    nodes, name = {node.name: node for node in model.graph}, name_of(image_input(model))
    known: dict[str, ir.Value] = {}
    for layer in layers:
        value = nodes[layer].inputs[0] if layer in nodes else None
        if value is not None and len(dims_of(value)) in (2, 4):
            known[layer] = value
    if not known:
        return {}
    tensors = list(dict.fromkeys(known.values()))
    means = []
    for number, tensor in enumerate(tensors):
        axes = [axis for axis in range(len(dims_of(tensor))) if axis != 1]
        means.append(append_reduction(model, "ReduceMean", tensor, f"edgekit_mean_{number}", axes))
    give_only(model, means)
    session, count = session_of(to_proto(model).SerializeToString()), 0
    sums: list[NDArray[np.float64]] = []
    for image in inputs:
        found: list[Any] = session.run(None, {name: image})
        sums = [np.asarray(each, np.float64) + (sums[at] if count else 0.0) for at, each in enumerate(found)]
        count += 1
    by_tensor = dict(zip(tensors, (each / count for each in sums), strict=False))
    return {layer: by_tensor[tensor] for layer, tensor in known.items() if tensor in by_tensor}


def with_corrected_biases(model: ir.Model, changes: Iterable[Change], means: Means) -> ir.Model:
    """The same graph, its layers' biases moved by what their weights lost; those without bias stay as they are."""
    out = model.clone()
    nodes = {node.name: node for node in out.graph}
    for change in changes:
        node, mean = nodes[change.node], means.get(change.node)
        place = node.inputs[2] if len(node.inputs) > 2 else None
        bias = constant(place)
        if node.op_type not in ("Conv", "Gemm") or mean is None or bias is None or place is None:
            continue
        groups = node.attributes.get_int("group", 1)
        own = np.repeat(mean.reshape(groups, -1), len(change.lost) // groups, axis=0)
        moved = (bias + (change.lost * own).sum(1)).astype(bias.dtype)
        node.replace_input_with(2, add_constant(out.graph, f"{name_of(place)}_of_{node.name}", moved))
    return out
