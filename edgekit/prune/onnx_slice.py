"""Removing channels and blocks from an exported graph, quantized or not: what pruning gives, without training.

Latency does not depend on what the weights are, so a choice of widths can be measured within seconds: the dense INT8
graph is cut instead of exporting, calibrating and quantizing the pruned network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.onnx_graph import (
    array_of,
    dims_of,
    drop_unused,
    forget_shapes,
    infer_shapes,
    load,
    name_of,
    save,
    set_constant,
)
from edgekit.prune.blocks import weighed
from edgekit.prune.channels import FIXED, ChannelGraph, Keep, kept_of, removed_blocks, removed_layers
from edgekit.prune.onnx_bypass import bypass
from edgekit.prune.onnx_moves import Mask, Passage, Stays

WEIGHT: Final = ".weight"
WEIGHTED: Final = ("Conv", "Gemm", "MatMul")


def cut(
    graph: Path, out: Path, channels: ChannelGraph, keep: Keep, constants_of: Mapping[str, str] | None = None
) -> None:
    """Writes `graph` without removed blocks, and with the channels of removed units cut out of weights, biases, scales
    and zero points.

    Args:
        constants_of: layer: its weight's name in the graph; LAYER.weight by default, as torch exports it.
    Raises:
        InputError: the weights of a layer are not found in it by their names, or make up no block.
    """
    layers = layers_of(channels, constants_of)
    model = load(graph)
    infer_shapes(model)
    gone = removed_layers(channels, keep)
    if gone:
        wanted = [frozenset(weighed(channels, block)) for block in removed_blocks(channels, keep)]
        bypass(model, wanted, lambda node: (layer_of(node, layers) or "") if node.op_type in WEIGHTED else "")
        drop_unused(model)
    passage, found = Passage(model.graph), set(gone)
    for node in model.graph:
        if node.op_type not in WEIGHTED:
            passage.through(node)
            continue
        name = layer_of(node, layers)
        layer = channels.layers.get(name or "")
        if layer is None:
            continue
        found.add(layer.name)
        rows, columns = kept_of(layer.outputs, keep), kept_of(layer.inputs, keep)
        if not rows.all():
            axis = len(dims_of(node.outputs[0])) - 1 if node.op_type != "Conv" else 1
            passage.stays[node.outputs[0]] = Stays(axis, rows)
        if not (rows.all() and columns.all()):  # what stays whole may be another layer's weight too
            _cut_layer(node, rows, columns, passage.done)
    _check_found(channels, found)
    drop_unused(model)  # constants that others have taken the place of
    forget_shapes(model.graph)
    save(model, out)


def _check_found(channels: ChannelGraph, found: set[str]) -> None:
    """Raises InputError where a layer is missing; one that stays whole in any case may have another one's weight."""
    for layer in channels.layers.values():
        may_change = (layer.outputs != FIXED).any() or (layer.inputs != FIXED).any()
        if may_change and layer.kind != "norm" and layer.name not in found:
            raise InputError(f"the exported graph does not name the layer {layer.name}", "Build it with --prune none.")


def layers_of(channels: ChannelGraph, constants_of: Mapping[str, str] | None) -> dict[str, str]:
    """Names of weights in a graph, as torch exports them and as told: the layer of each."""
    layers = {f"{name}{WEIGHT}": name for name in channels.layers}
    return layers | {constant: layer for layer, constant in (constants_of or {}).items()}


def layer_of(node: ir.Node, layers: Mapping[str, str]) -> str | None:
    """The layer whose weights a node takes, by the name of the constant behind Q/DQ, casts and transposes.

    NNCF puts "q_output_" before the name of a weight that it quantizes, and a number behind it.
    """
    name = name_of(behind(node.inputs[1])[0])
    plain = re.sub(r"_\d+$", "", name.removeprefix("q_output_"))
    return layers.get(name) or layers.get(plain)


def behind(value: ir.Value | None) -> tuple[ir.Value, list[ir.Node]]:
    """The constant that a tensor is made of, and what makes it of that, last first."""
    assert value is not None
    steps: list[ir.Node] = []
    while (step := value.producer()) is not None and step.inputs and step.inputs[0] is not None:
        steps.append(step)
        value = step.inputs[0]
    return value, steps


def inputs_first(node: ir.Node) -> bool:
    """Whether the constant that a layer's weight is made of has inputs before outputs."""
    turned = node.op_type != "Conv" and not node.attributes.get_int("transB", 0)
    for step in behind(node.inputs[1])[1]:
        turned ^= step.op_type == "Transpose"
    return turned


def _cut_layer(node: ir.Node, rows: Mask, columns: Mask, done: set[ir.Value]) -> None:
    """Cuts the weight and the bias of a layer, and the scales that belong to them, once."""
    groups = node.attributes.get_int("group", 1)
    if groups > 1:
        node.attributes.add(ir.AttrInt64("group", groups * int(rows.sum()) // len(rows)))
    weight, steps = behind(node.inputs[1])
    turned = inputs_first(node)
    for step in steps:
        for vector in step.inputs[1:]:
            _cut_vector(vector, rows, done)
    if weight not in done:
        done.add(weight)
        axes = {0: rows} if groups > 1 else {0: rows, 1: columns}
        _cut(weight, {1 - axis: which for axis, which in axes.items()} if turned else axes)
    for bias in node.inputs[2:3]:
        _cut_vector(None if bias is None else behind(bias)[0], rows, done)


def _cut_vector(value: ir.Value | None, rows: Mask, done: set[ir.Value]) -> None:
    """Cuts what is held for each channel; one scale for all stays."""
    if value is not None and value not in done and value.is_initializer() and dims_of(value) == (len(rows),):
        done.add(value)
        _cut(value, {0: rows})


def _cut(value: ir.Value, axes: Mapping[int, Mask]) -> None:
    array = array_of(value)
    for axis, which in axes.items():
        array = array[(slice(None),) * axis + (which,)]
    set_constant(value, array)
