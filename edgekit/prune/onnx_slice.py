"""Removing channels from an exported graph, quantized or not: the very graph that pruning gives, without training.

Latency does not depend on what the weights are, so a choice of widths can be measured within seconds: the dense INT8
graph is cut instead of exporting, calibrating and quantizing the pruned network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.models.onnx_graph import array_of, dims_of, forget_shapes, load, name_of, save, set_constant
from edgekit.prune.channels import ChannelGraph, Keep, Units, kept_of

WEIGHT: Final = ".weight"

PER_CHANNEL: Final = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.INT8, ir.DataType.UINT8})
"""Types of what is held for each channel; shapes and axes are of others."""


def cut(
    graph: Path, out: Path, channels: ChannelGraph, keep: Keep, constants_of: Mapping[str, str] | None = None
) -> None:
    """Writes `graph` with the channels of removed units cut out of weights, biases, scales and zero points.

    Args:
        constants_of: layer: its weight's name in the graph; LAYER.weight by default, as torch exports it.
    Raises:
        InputError: the weights of a layer are not found in it by their names.
    """
    layers = {f"{name}{WEIGHT}": name for name in channels.layers}
    layers |= {constant: layer for layer, constant in (constants_of or {}).items()}
    model = load(graph)
    found = set()
    units: dict[ir.Value | None, Units] = {}
    vectors: set[ir.Value] = set()
    for node in model.graph:
        name = _layer(node, layers) if node.op_type in ("Conv", "Gemm", "MatMul") else None
        if name is None:
            _pass_through(node, units, keep, vectors)
            continue
        found.add(name)
        layer = channels.layers[name]
        units[node.outputs[0]] = layer.outputs
        rows, columns = kept_of(layer.outputs, keep), kept_of(layer.inputs, keep)
        if layer.kind == "depthwise" and "group" in node.attributes:
            node.attributes.add(ir.AttrInt64("group", int(rows.sum())))
        _cut_weight(node, rows, None if layer.kind == "depthwise" else columns)
    wanted = {layer.name for layer in channels.layers.values() if layer.kind != "norm"}
    if found != wanted:
        missing = sorted(wanted - found)
        raise InputError(f"the exported graph does not name the layer {missing[0]}", "Build it with --prune none.")
    _free_reshapes(model.graph)
    forget_shapes(model.graph)
    save(model, out)


def _pass_through(node: ir.Node, units: dict[ir.Value | None, Units], keep: Keep, done: set[ir.Value]) -> None:
    """Notes which units the channels of a node's output are, and cuts what it holds for each channel: the scales of
    depthwise inputs, batch norms that are not folded.
    """
    known = [units[value] for value in node.inputs if value in units]
    if not known:
        return
    own = np.concatenate(known) if node.op_type == "Concat" else known[0]
    units |= dict.fromkeys(node.outputs, own)
    for value in node.inputs:
        if value is None or not value.is_initializer() or value in done or value.dtype not in PER_CHANNEL:
            continue
        shape = dims_of(value)
        if len(own) in shape and max(shape) == np.prod(shape) > 1:
            _cut(value, {shape.index(len(own)): kept_of(own, keep)})
            done.add(value)


def _free_reshapes(graph: ir.Graph) -> None:
    """Lets a flattening before the classifier take as many features as there are."""
    for node in graph:
        shape = node.inputs[1] if node.op_type == "Reshape" else None
        if shape is not None and shape.is_initializer() and dims_of(shape) == (2,):
            set_constant(shape, np.array([array_of(shape)[0], -1], np.int64))


def _layer(node: ir.Node, layers: Mapping[str, str]) -> str | None:
    """The layer whose weights a node takes, by the name of the constant behind Q/DQ, casts and transposes.

    NNCF puts "q_output_" before the name of a weight that it quantizes, and a number behind it.
    """
    name = name_of(_behind(node.inputs[1])[0])
    plain = re.sub(r"_\d+$", "", name.removeprefix("q_output_"))
    return layers.get(name) or layers.get(plain)


def _behind(value: ir.Value | None) -> tuple[ir.Value, list[ir.Node]]:
    """The constant that a tensor is made of, and what makes it of that, last first."""
    assert value is not None
    steps: list[ir.Node] = []
    while (step := value.producer()) is not None and step.inputs and step.inputs[0] is not None:
        steps.append(step)
        value = step.inputs[0]
    return value, steps


def _cut_weight(node: ir.Node, rows: NDArray[np.bool_], columns: NDArray[np.bool_] | None) -> None:
    weight, steps = _behind(node.inputs[1])
    turned = node.op_type != "Conv" and not node.attributes.get_int("transB", 0)
    for step in steps:
        turned ^= step.op_type == "Transpose"
        for vector in step.inputs[1:]:
            _cut_vector(vector, rows)
    axes = {0: rows} if columns is None else {0: rows, 1: columns}
    _cut(weight, {1 - axis: which for axis, which in axes.items()} if turned else axes)
    for bias in node.inputs[2:3]:
        _cut_vector(None if bias is None else _behind(bias)[0], rows)


def _cut_vector(value: ir.Value | None, rows: NDArray[np.bool_]) -> None:
    """Cuts what is held for each channel; one scale for all stays."""
    if value is not None and dims_of(value) == (len(rows),):
        _cut(value, {0: rows})


def _cut(value: ir.Value, axes: Mapping[int, NDArray[np.bool_]]) -> None:
    array = array_of(value)
    for axis, which in axes.items():
        array = array[(slice(None),) * axis + (which,)]
    set_constant(value, array)
