"""What TensorRT would reject in a Q/DQ graph, found before any device sees it, the node named.

The rules are those of NVIDIA's guide "Working with Quantized Types" (explicit quantization): signed INT8 with zero
point 0, constant positive scales, one scale for an activation, one for a weight or for each of its output channels,
and biases that stay in floating point.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper

from edgekit.errors import InputError
from edgekit.models.onnx_graph import integer_of

INTEGER_OPERATORS: Final = frozenset(
    {
        *(
            "QLinearConv",
            "QLinearMatMul",
            "QLinearAdd",
            "QLinearConcat",
            "QLinearAveragePool",
            "QLinearGlobalAveragePool",
        ),
        *("ConvInteger", "MatMulInteger", "DynamicQuantizeLinear", "QGemm"),
    }
)
WEIGHTED: Final = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0, "MatMul": 1}
"""Operators with weights as second input, and the axis of output channels in them (Gemm: with transB)."""


@dataclass(frozen=True)
class Fault:
    """One thing that TensorRT would reject."""

    node: str
    why: str


def check(model: ModelProto, max_opset: int | None = None) -> None:
    """Refuses a graph that TensorRT would reject.

    Args:
        max_opset: the newest opset that the target's parser knows, if it matters.
    Raises:
        InputError: naming the first node at fault and how many there are.
    """
    found = faults(model, max_opset)
    if found:
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(
            f"TensorRT would reject the graph at {found[0].node}: {found[0].why}{more}",
            "Quantize the float model with `edgekit quantize --target rtx`.",
        )


def faults(model: ModelProto, max_opset: int | None = None) -> list[Fault]:
    """All that TensorRT would reject, in the order of the graph; empty for a graph without Q/DQ that it can parse."""
    found = []
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    if max_opset is not None and opset > max_opset:
        found.append(Fault("the graph", f"opset {opset} is newer than {max_opset}, the newest that this parser knows"))
    graph = _Graph(model)
    for node in model.graph.node:
        if node.op_type in INTEGER_OPERATORS or node.domain == "com.microsoft":
            found.append(Fault(_name(node), f"{node.op_type} is not explicit Q/DQ"))
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            found += [Fault(_name(node), why) for why in _pair_faults(node, graph)]
        elif node.op_type in WEIGHTED and len(node.input) > 2 and graph.dequantized(node.input[2]):
            found.append(Fault(_name(node), "its bias is quantized; biases stay in floating point"))
    return found


class _Graph:
    """Lookups in a graph."""

    def __init__(self, model: ModelProto) -> None:
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._producer = {output: node for node in model.graph.node for output in node.output}
        self._consumers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self._consumers[name].append(node)

    def constant(self, name: str) -> NDArray[np.generic] | None:
        if name in self._tensors:
            return np.asarray(numpy_helper.to_array(self._tensors[name]))
        node = self._producer.get(name)
        if node is None or node.op_type != "Constant":
            return None
        return np.asarray(numpy_helper.to_array(next(a.t for a in node.attribute if a.name == "value")))

    def rank(self, name: str) -> int:
        """Dimensions of a constant, or of one that was quantized."""
        value = self.constant(name)
        before = self._producer.get(name)
        if value is None and before is not None:
            value = self.constant(before.input[0])
        return max(1, value.ndim) if value is not None else 1

    def dequantized(self, name: str) -> bool:
        node = self._producer.get(name)
        return node is not None and node.op_type == "DequantizeLinear"

    def consumers(self, name: str) -> list[NodeProto]:
        return self._consumers[name]

    def of_weight(self, node: NodeProto) -> bool:
        """Whether a Q or DQ node works on a constant."""
        name = node.input[0]
        if self.constant(name) is not None:
            return True
        before = self._producer.get(name)
        return before is not None and before.op_type == "QuantizeLinear" and self.constant(before.input[0]) is not None

    def weighted_by(self, node: NodeProto) -> NodeProto | None:
        """The operator that a DQ node gives weights to."""
        users = [user for user in self.consumers(node.output[0]) if user.op_type in WEIGHTED]
        return next((user for user in users if len(user.input) > 1 and user.input[1] == node.output[0]), None)


def _pair_faults(node: NodeProto, graph: _Graph) -> list[str]:
    found = []
    scale = graph.constant(node.input[1])
    if scale is None:
        return ["its scale is not a constant"]
    values = scale.astype(np.float64)
    if not bool((np.isfinite(values) & (values > 0)).all()):
        found.append("its scale is zero, negative or not finite")
    found += _zero_point_faults(node, graph)
    is_weight = graph.of_weight(node)
    if scale.size > 1 and not is_weight:
        found.append(f"an activation has {scale.size} scales; TensorRT takes one")
    if scale.size > 1 and is_weight and node.op_type == "DequantizeLinear":
        user, axis = graph.weighted_by(node), integer_of(node, "axis", 1)
        if user is not None:
            wanted = WEIGHTED[user.op_type]
            if user.op_type == "Gemm" and not integer_of(user, "transB", 0):
                wanted = 1
            if axis % graph.rank(node.input[0]) != wanted:
                found.append(f"its scales run along axis {axis}, not along the output channels (axis {wanted})")
    if node.op_type == "QuantizeLinear":
        users = graph.consumers(node.output[0])
        if not users or any(user.op_type != "DequantizeLinear" for user in users):
            found.append("it is not followed by DequantizeLinear")
    return found


def _zero_point_faults(node: NodeProto, graph: _Graph) -> list[str]:
    if len(node.input) < 3 or not node.input[2]:
        before = graph.constant(node.input[0])
        signed = before is not None and before.dtype == np.int8
        if node.op_type == "DequantizeLinear" and (signed or before is None):
            return []
        return ["it has no zero point, which means unsigned"]
    zero = graph.constant(node.input[2])
    if zero is None:
        return ["its zero point is not a constant"]
    if zero.dtype != np.int8:
        return [f"it quantizes to {zero.dtype}, not to int8"]
    return ["its zero point is not 0"] if zero.any() else []


def _name(node: NodeProto) -> str:
    return node.name or f"{node.op_type} of {node.output[0]}"
