"""What the deep-learning accelerator of a TensorRT before 11 wants: the plain graph, and a scale for every tensor.

Its INT8 is implicit: no Q/DQ, but a calibration cache. The scales are those of the Q/DQ graph, so that the accelerator
computes with the ranges whose accuracy was measured, or with wider ones where it must have one for several tensors.
Tensors that no quantizer saw take the scale of what they are made of or made into, where the operator between leaves
values as they are; the rest stay without one, and run in FP16.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import add_constant, array_of, drop_unused, forget_shapes, name_of

UNCHANGED: Final = frozenset(
    {"MaxPool", "Concat", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity"}
)
"""Operators whose output has the range of their inputs."""

POOLS: Final = frozenset({"AveragePool", "GlobalAveragePool"})
"""Operators that must have one range for input and output, although their values change (NvInfer.h, IPoolingLayer)."""

SUMS: Final = frozenset({"Add", "Sub", "Sum", "Max", "Min"})
"""Operators whose inputs must have one range (NvInfer.h, IElementWiseLayer)."""

CLIPPED: Final = frozenset({"Relu", "Clip"})
"""Operators that the accelerator fuses with what is before them, which then has the range of their output."""


def plain(model: ir.Model) -> ir.Model:
    """The graph without Q/DQ: quantized weights become their float32 values, activations pass through."""
    out = model.clone()
    for node in out.graph:
        source = node.inputs[0] if node.inputs else None
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or source is None:
            continue
        old = node.outputs[0]
        if node.op_type == "DequantizeLinear" and source.is_initializer():
            source = add_constant(out.graph, name_of(old), dequantized(node))
        old.replace_all_uses_with(source, replace_graph_outputs=True)
    drop_unused(out)
    forget_shapes(out.graph)
    return out


def dequantized(node: ir.Node) -> NDArray[np.float32]:
    """What a DequantizeLinear makes of a constant, with zero point 0."""
    values, scale = (array_of(value) for value in node.inputs[:2])
    axis = node.attributes.get_int("axis", 1)
    if scale.ndim == 1:
        scale = scale.reshape([-1 if place == axis % values.ndim else 1 for place in range(values.ndim)])
    out: NDArray[Any] = (values.astype(np.float32) * scale).astype(np.float32)
    return out


def scales(model: ir.Model) -> dict[str, float]:
    """Tensor of the plain graph: its INT8 scale, as far as a signed Q/DQ graph has one for it.

    Tensors that must share one, such as the input and output of a pool or both inputs of a sum, get the widest.
    """
    found: dict[str, float] = {}
    for node in model.graph:
        source = node.inputs[0] if node.op_type == "QuantizeLinear" else None
        if source is not None and not source.is_initializer():
            found[name_of(source)] = float(array_of(node.inputs[1]))
    nodes = list(plain(model).graph)
    groups = shared(nodes)
    known = 0
    while known != len(found):  # what a group gets may go on to what is fused with one of it
        known = len(found)
        for group in groups:
            widest = max((found[name] for name in group if name in found), default=None)
            found.update(dict.fromkeys(group, widest) if widest is not None else {})
        for node in reversed(nodes):
            source = node.inputs[0] if node.op_type in CLIPPED else None
            if source is not None and name_of(node.outputs[0]) in found:
                found.setdefault(name_of(source), found[name_of(node.outputs[0])])
    return found


def shared(nodes: Sequence[ir.Node]) -> list[set[str]]:
    """Tensors that must have one scale, in groups that have no tensor in common."""
    groups: list[set[str]] = []
    for node in nodes:
        inputs = {name_of(each) for each in node.inputs if each is not None and each.const_value is None}
        if node.op_type in UNCHANGED | POOLS:
            together = inputs | {name_of(node.outputs[0])}
        elif node.op_type in SUMS:
            together = inputs
        else:
            continue
        touched = [group for group in groups if group & together]
        groups = [group for group in groups if group not in touched] + [together.union(*touched)]
    return groups


def unpadded_means(graph: ir.Graph) -> list[str]:
    """Average pools that leave their padding out of the mean: the DLA of Xavier, or of TensorRT 8.2, cannot."""
    return [
        node.name or name_of(node.outputs[0])
        for node in graph
        if node.op_type == "AveragePool"
        and not node.attributes.get_int("count_include_pad", 0)
        and (any(_pads(node)) or node.attributes.get_string("auto_pad", "NOTSET").startswith("SAME"))
    ]


def _pads(node: ir.Node) -> Sequence[int]:
    return node.attributes.get_ints("pads", [])


def calibration_cache(model: ir.Model) -> str:
    """The lines of TensorRT's calibration cache: a tensor's name and its scale as big-endian float32 in hexadecimal.

    The first line of a cache names the TensorRT that reads it, so the device writes that.
    """
    return "".join(f"{name}: {struct.pack('>f', scale).hex()}\n" for name, scale in sorted(scales(model).items()))
