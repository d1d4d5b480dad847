"""What the deep-learning accelerator of a TensorRT before 11 wants: the plain graph, and a scale for every tensor.

Its INT8 is implicit: no Q/DQ, but a calibration cache. The scales are those of the Q/DQ graph, so that the accelerator
computes with the ranges whose accuracy was measured. Tensors that no quantizer saw take the scale of what they are made
of or made into, where the operator between leaves values as they are; the rest stay without one, and run in FP16.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from edgekit.models.onnx_graph import drop_unread_constants, integer_of

UNCHANGED = frozenset({"MaxPool", "Concat", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity"})
"""Operators whose output has the range of their inputs."""

CLIPPED = frozenset({"Relu", "Clip"})
"""Operators that the accelerator fuses with what is before them, which then has the range of their output."""


def plain(model: ModelProto) -> ModelProto:
    """The graph without Q/DQ: quantized weights become their float32 values, activations pass through."""
    out = ModelProto()
    out.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in out.graph.initializer}
    passed: dict[str, str] = {}
    kept: list[NodeProto] = []
    for node in out.graph.node:
        source = passed.get(node.input[0], node.input[0]) if node.input else ""
        if node.op_type == "QuantizeLinear":
            passed[node.output[0]] = source
        elif node.op_type == "DequantizeLinear" and node.input[0] in passed:
            passed[node.output[0]] = passed[node.input[0]]
        elif node.op_type == "DequantizeLinear":
            weight = numpy_helper.from_array(_dequantized(node, constants), node.output[0])
            out.graph.initializer.append(weight)
        else:
            kept.append(node)
    for node in kept:
        for place, name in enumerate(node.input):
            node.input[place] = passed.get(name, name)
    del out.graph.node[:]
    out.graph.node.extend(kept)
    drop_unread_constants(out)
    del out.graph.value_info[:]
    return out


def _dequantized(node: NodeProto, constants: Mapping[str, TensorProto]) -> NDArray[np.float32]:
    values, scale = (numpy_helper.to_array(constants[name]) for name in node.input[:2])
    axis = integer_of(node, "axis", 1)
    if scale.ndim == 1:
        scale = scale.reshape([-1 if place == axis % values.ndim else 1 for place in range(values.ndim)])
    out: NDArray[np.float32] = (values.astype(np.float32) * scale).astype(np.float32)
    return out


def scales(model: ModelProto) -> dict[str, float]:
    """Tensor of the plain graph: its INT8 scale, as far as a signed Q/DQ graph tells it."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    found: dict[str, float] = {}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] not in constants:
            found[node.input[0]] = float(numpy_helper.to_array(constants[node.input[1]]))
    nodes = plain(model).graph.node
    for node in nodes:
        known = [found[name] for name in node.input if name in found]
        if node.op_type in UNCHANGED and node.output[0] not in found and known:
            found[node.output[0]] = max(known)
    for node in reversed(nodes):
        if node.op_type in CLIPPED and node.output[0] in found:
            found.setdefault(node.input[0], found[node.output[0]])
    return found


def calibration_cache(model: ModelProto) -> str:
    """The lines of TensorRT's calibration cache: a tensor's name and its scale as big-endian float32 in hexadecimal.

    The first line of a cache names the TensorRT that reads it, so the device writes that.
    """
    return "".join(f"{name}: {struct.pack('>f', scale).hex()}\n" for name, scale in sorted(scales(model).items()))
