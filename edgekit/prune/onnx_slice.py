"""Removing channels from an exported graph, quantized or not: the very graph that pruning gives, without training.

Latency does not depend on what the weights are, so a choice of widths can be measured within seconds: the dense INT8
graph is cut instead of exporting, calibrating and quantizing the pruned network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from edgekit.errors import InputError
from edgekit.prune.channels import ChannelGraph, Keep, Units, kept_of

WEIGHT = ".weight"

PER_CHANNEL = frozenset({TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8, TensorProto.UINT8})
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
    model = onnx.load(str(graph))
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {node.output[0]: node for node in model.graph.node}
    found = set()
    of_tensor: dict[str, Units] = {}
    vectors: set[str] = set()
    for node in model.graph.node:
        layer = _layer(node, makers, layers) if node.op_type in ("Conv", "Gemm", "MatMul") else None
        if layer is None:
            _pass_through(node, constants, of_tensor, keep, vectors)
            continue
        found.add(layer)
        of_tensor[node.output[0]] = channels.layers[layer].outputs
        told = channels.layers[layer]
        rows, columns = kept_of(told.outputs, keep), kept_of(told.inputs, keep)
        if told.kind == "depthwise":
            _set_group(node, int(rows.sum()))
        _cut_weight(node, makers, constants, rows, None if told.kind == "depthwise" else columns)
    wanted = {layer.name for layer in channels.layers.values() if layer.kind != "norm"}
    if found != wanted:
        missing = sorted(wanted - found)
        raise InputError(f"the exported graph does not name the layer {missing[0]}", "Build it with --prune none.")
    _free_reshapes(model, constants)
    del model.graph.value_info[:]
    onnx.save(model, str(out))


def _pass_through(
    node: onnx.NodeProto,
    constants: Mapping[str, onnx.TensorProto],
    of_tensor: dict[str, Units],
    keep: Keep,
    done: set[str],
) -> None:
    """Notes which units the channels of a node's output are, and cuts what it holds for each channel: the scales of
    depthwise inputs, batch norms that are not folded.
    """
    known = [of_tensor[name] for name in node.input if name in of_tensor]
    if not known:
        return
    units = np.concatenate(known) if node.op_type == "Concat" else known[0]
    for name in node.output:
        of_tensor[name] = units
    for name in node.input:
        if name in constants and name not in done and constants[name].data_type in PER_CHANNEL:
            shape = tuple(constants[name].dims)
            axis = shape.index(len(units)) if len(units) in shape else None
            if axis is not None and max(shape) == np.prod(shape) > 1:
                _cut(constants[name], {axis: kept_of(units, keep)})
                done.add(name)


def _free_reshapes(model: onnx.ModelProto, constants: Mapping[str, onnx.TensorProto]) -> None:
    """Lets a flattening before the classifier take as many features as there are."""
    for node in model.graph.node:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is not None and list(shape.dims) == [2]:
            value = numpy_helper.to_array(shape)
            shape.CopyFrom(numpy_helper.from_array(np.array([value[0], -1], np.int64), shape.name))


def _layer(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], layers: Mapping[str, str]) -> str | None:
    """The layer whose weights a node takes, by the name of the constant behind Q/DQ, casts and transposes.

    NNCF puts "q_output_" before the name of a weight that it quantizes, and a number behind it.
    """
    name = str(node.input[1])
    while name in makers:
        name = str(makers[name].input[0])
    plain = re.sub(r"_\d+$", "", name.removeprefix("q_output_"))
    return layers.get(name) or layers.get(plain)


def _set_group(node: onnx.NodeProto, count: int) -> None:
    for attribute in node.attribute:
        if attribute.name == "group":
            attribute.i = count


def _cut_weight(
    node: onnx.NodeProto,
    makers: Mapping[str, onnx.NodeProto],
    constants: Mapping[str, onnx.TensorProto],
    rows: NDArray[np.bool_],
    columns: NDArray[np.bool_] | None,
) -> None:
    turned = node.op_type != "Conv" and not any(a.name == "transB" and a.i for a in node.attribute)
    name = node.input[1]
    while name in makers:
        step = makers[name]
        turned ^= step.op_type == "Transpose"
        for vector in step.input[1:]:
            _cut(constants[vector], {0: rows}, len(rows))
        name = step.input[0]
    of = constants[name]
    axes = {0: rows} if columns is None else {0: rows, 1: columns}
    _cut(of, {1 - axis: which for axis, which in axes.items()} if turned else axes)
    for bias in node.input[2:3]:
        while bias in makers:
            bias = makers[bias].input[0]
        _cut(constants[bias], {0: rows}, len(rows))


def _cut(tensor: onnx.TensorProto, axes: Mapping[int, NDArray[np.bool_]], only: int | None = None) -> None:
    """Cuts a constant in place; vectors only where they are as long as `only` (one scale for all stays)."""
    value = numpy_helper.to_array(tensor)
    if only is not None and (value.ndim != 1 or len(value) != only):
        return
    for axis, which in axes.items():
        value = value[(slice(None),) * axis + (which,)]
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), tensor.name))
