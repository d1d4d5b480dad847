"""What TensorRT would reject in a Q/DQ graph, found before any device sees it, the node named.

The rules are those of NVIDIA's guide "Working with Quantized Types" (explicit quantization): signed INT8 with zero
point 0, constant positive scales, one scale for an activation, one for a weight or for each of its output channels,
and biases that stay in floating point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.models.onnx_graph import given_inputs, name_of, opset_of
from edgekit.quantize.float_weights import int8_constant
from edgekit.quantize.graph_format import GraphFormat

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


def check(model: ir.Model, form: GraphFormat | None = None) -> None:
    """Refuses a graph that TensorRT would reject.

    Args:
        form: what the release that is built for takes; by the rules of all releases alone if none is given.
    Raises:
        InputError: naming the first node at fault and how many there are.
    """
    found = faults(model) if form is None else faults_of(model, form)
    if found:
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        raise InputError(
            f"TensorRT would reject the graph at {found[0].node}: {found[0].why}{more}",
            "Quantize the float model with `edgekit quantize --target rtx`.",
        )


def faults_of(model: ir.Model, form: GraphFormat) -> list[Fault]:
    """All that one release of TensorRT would reject: what every release does, and what that one does not know yet."""
    found = faults(model, form.opset)
    for value in given_inputs(model) if form.float_input else ():
        if value.dtype == ir.DataType.UINT8:
            found.append(Fault(f"the input {name_of(value)}", "it is UINT8, which TensorRT takes from 8.5 on"))
    for node in () if form.int8_weights else model.graph:
        if int8_constant(node) is not None:
            found.append(Fault(_name(node), "it dequantizes an INT8 constant, which TensorRT takes from 10 on"))
    return found


def faults(model: ir.Model, max_opset: int | None = None) -> list[Fault]:
    """All that TensorRT would reject, in the order of the graph; empty for a graph without Q/DQ that it can parse."""
    found = []
    opset = opset_of(model)
    if max_opset is not None and opset > max_opset:
        found.append(Fault("the graph", f"opset {opset} is newer than {max_opset}, the newest that this parser knows"))
    for node in model.graph:
        if node.op_type in INTEGER_OPERATORS or node.domain == "com.microsoft":
            found.append(Fault(_name(node), f"{node.op_type} is not explicit Q/DQ"))
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            found += [Fault(_name(node), why) for why in _pair_faults(node)]
        elif node.op_type in WEIGHTED and len(node.inputs) > 2 and _made_by(node.inputs[2], "DequantizeLinear"):
            found.append(Fault(_name(node), "its bias is quantized; biases stay in floating point"))
    return found


def _made_by(value: ir.Value | None, kind: str) -> ir.Node | None:
    """The operator that makes a tensor, if it is one of a kind."""
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == kind else None


def _constant(value: ir.Value | None) -> NDArray[Any] | None:
    """The numbers of an initializer or of a Constant node."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def _weight(node: ir.Node) -> NDArray[Any] | None:
    """The constant that a Q or DQ node works on, maybe before it was quantized."""
    value = _constant(node.inputs[0])
    before = _made_by(node.inputs[0], "QuantizeLinear")
    return _constant(before.inputs[0]) if value is None and before is not None else value


def _weighted_by(node: ir.Node) -> ir.Node | None:
    """The operator that a DQ node gives weights to."""
    return next((user for user, place in node.outputs[0].uses() if user.op_type in WEIGHTED and place == 1), None)


def _pair_faults(node: ir.Node) -> list[str]:
    found = []
    scale, weight = _constant(node.inputs[1]), _weight(node)
    if scale is None:
        return ["its scale is not a constant"]
    values = scale.astype(np.float64)
    if not bool((np.isfinite(values) & (values > 0)).all()):
        found.append("its scale is zero, negative or not finite")
    found += _zero_point_faults(node)
    if scale.size > 1 and weight is None:
        found.append(f"an activation has {scale.size} scales; TensorRT takes one")
    if scale.size > 1 and weight is not None and node.op_type == "DequantizeLinear":
        user, axis = _weighted_by(node), node.attributes.get_int("axis", 1)
        if user is not None:
            wanted = WEIGHTED[user.op_type]
            if user.op_type == "Gemm" and not user.attributes.get_int("transB", 0):
                wanted = 1
            if axis % max(1, weight.ndim) != wanted:
                found.append(f"its scales run along axis {axis}, not along the output channels (axis {wanted})")
    if node.op_type == "QuantizeLinear":
        users = node.outputs[0].consumers()
        if not users or any(user.op_type != "DequantizeLinear" for user in users):
            found.append("it is not followed by DequantizeLinear")
    return found


def _zero_point_faults(node: ir.Node) -> list[str]:
    if len(node.inputs) < 3 or node.inputs[2] is None:
        before = _constant(node.inputs[0])
        signed = before is not None and before.dtype == np.int8
        if node.op_type == "DequantizeLinear" and (signed or before is None):
            return []
        return ["it has no zero point, which means unsigned"]
    zero = _constant(node.inputs[2])
    if zero is None:
        return ["its zero point is not a constant"]
    if zero.dtype != np.int8:
        return [f"it quantizes to {zero.dtype}, not to int8"]
    return ["its zero point is not 0"] if zero.any() else []


def _name(node: ir.Node) -> str:
    return node.name or f"{node.op_type} of {name_of(node.outputs[0])}"
