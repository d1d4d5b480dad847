"""Factors after convolutions, moved into their weights: exactly the same numbers, and one operator fewer.

Residual networks scale a branch by a constant before its sum. Such a Mul between a convolution and an Add keeps
TensorRT from making one kernel of the two, in INT8 and in FP16; between a convolution and its QuantizeLinear it keeps
ONNX Runtime from an integer kernel. OpenVINO folds it itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import add_constant, array_of, constant, drop_unused, name_of


def with_folded_scales(model: ir.Model) -> ir.Model:
    """The same graph without products and quotients of a convolution's output and constants, one or one a channel.

    Quantized weights keep their numbers: their scales take the factor in. What has other readers, or a factor that is
    zero or not finite, stays as it is.
    """
    out = model.clone()
    for node in list(out.graph):
        found = _scaled_convolution(node)
        if found is not None and _fold(out.graph, *found):
            node.outputs[0].replace_all_uses_with(found[0].outputs[0])
    drop_unused(out)
    return out


def _scaled_convolution(node: ir.Node) -> tuple[ir.Node, NDArray[np.float32]] | None:
    """The convolution whose output alone a node scales, and the factor of each channel."""
    if node.op_type not in ("Mul", "Div") or node.outputs[0].is_graph_output():
        return None
    constants = [_numbers(value) for value in node.inputs]
    place = next((i for i, each in enumerate(constants) if each is not None), None)
    if place is None or (node.op_type == "Div" and place != 1):
        return None
    scaled, factor = node.inputs[1 - place], constants[place]
    conv = None if scaled is None else scaled.producer()
    if conv is None or factor is None or conv.op_type != "Conv" or len(list(conv.outputs[0].uses())) != 1:
        return None
    channels = _channels(conv)
    if channels is None or conv.outputs[0].is_graph_output():
        return None
    spread = _by_channel(factor, channels)
    if spread is None:
        return None
    return conv, (1 / spread if node.op_type == "Div" else spread).astype(np.float32)


def _numbers(value: ir.Value | None) -> NDArray[Any] | None:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def _dequantizer(conv: ir.Node) -> ir.Node | None:
    """What dequantizes a convolution's constant weight."""
    weight = conv.inputs[1]
    node = None if weight is None else weight.producer()
    known = node is not None and node.op_type == "DequantizeLinear" and constant(node.inputs[0]) is not None
    return node if known else None


def _channels(conv: ir.Node) -> int | None:
    """How many outputs a convolution has, whose weight and bias are constants."""
    quantized = _dequantizer(conv)
    weight = constant(conv.inputs[1] if quantized is None else quantized.inputs[0])
    bias = conv.inputs[2] if len(conv.inputs) > 2 else None
    return None if weight is None or (bias is not None and constant(bias) is None) else len(weight)


def _by_channel(factor: NDArray[Any], channels: int) -> NDArray[np.float64] | None:
    """A factor as one number a channel; None where it is of another shape, or nothing to multiply scales with."""
    values = factor.astype(np.float64)
    if not bool(np.isfinite(values).all()) or not bool(values.all()) or values.ndim > 4:
        return None
    if values.size == 1:
        return np.full(channels, values.reshape(-1)[0])
    along = (1,) * (4 - values.ndim) + values.shape
    return values.reshape(-1) if along == (1, channels, 1, 1) else None


def _fold(graph: ir.Graph, conv: ir.Node, factor: NDArray[np.float32]) -> bool:
    """Whether a convolution took the factors of its channels in; new constants, as other nodes may share the old."""
    quantized = _dequantizer(conv)
    if quantized is not None:
        weight = _scaled_dequantizer(graph, conv, quantized, factor)
        if weight is None:
            return False
    else:
        values = array_of(conv.inputs[1])
        shaped = factor.reshape(-1, *[1] * (values.ndim - 1))
        weight = add_constant(graph, _new_name(conv, 1), (values * shaped).astype(values.dtype))
    conv.replace_input_with(1, weight)
    bias = constant(conv.inputs[2]) if len(conv.inputs) > 2 else None
    if bias is not None:
        conv.replace_input_with(2, add_constant(graph, _new_name(conv, 2), (bias * factor).astype(bias.dtype)))
    return True


def _new_name(conv: ir.Node, place: int) -> str:
    return f"{name_of(conv.outputs[0])}_scaled_{place}"


def _scaled_dequantizer(graph: ir.Graph, conv: ir.Node, old: ir.Node, factor: NDArray[np.float32]) -> ir.Value | None:
    """A DequantizeLinear with a scale a channel; for a negative factor numbers change their sign, if they can."""
    numbers, scale, name = array_of(old.inputs[0]), array_of(old.inputs[1]), _new_name(conv, 1)
    if scale.ndim == 1 and old.attributes.get_int("axis", 1) % numbers.ndim != 0:
        return None
    minus = factor < 0
    if minus.any() and (numbers.dtype != np.int8 or bool((numbers[minus] == -128).any())):
        return None
    source = old.inputs[0]
    if minus.any():
        turned = numbers * np.where(minus, -1, 1).astype(np.int8).reshape(-1, *[1] * (numbers.ndim - 1))
        source = add_constant(graph, f"{name}_numbers", turned)
    inputs = [source, add_constant(graph, f"{name}_scale", (scale * np.abs(factor)).astype(scale.dtype))]
    zero = constant(old.inputs[2]) if len(old.inputs) > 2 else None
    if zero is not None:
        if zero.any():
            return None
        inputs.append(add_constant(graph, f"{name}_zero", np.zeros(len(factor), zero.dtype)))
    made = ir.node(
        *("DequantizeLinear", inputs, {"axis": 0}), outputs=[ir.Value(name=name)], name=f"{old.name or name}_scaled"
    )
    graph.insert_before(conv, made)
    return made.outputs[0]
