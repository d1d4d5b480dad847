"""Quantized weights as TensorRT before 10 takes them: a float32 constant, QuantizeLinear, DequantizeLinear.

Its parser refuses INT8 constants that go into DequantizeLinear (TensorRT's issue 2163, ONNX Runtime's 11535), and
quantizes the float ones itself when it builds. What is written is the value that each INT8 number stands for, so that
quantizing it gives that very number back: scale times number is rounded by far less than half a step.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgekit.models.onnx_graph import add_constant, array_of, drop_unused, name_of
from edgekit.quantize.dla import dequantized


def int8_constant(node: ir.Node) -> ir.Value | None:
    """The INT8 constant that a node dequantizes, if it is one that does."""
    value = node.inputs[0] if node.op_type == "DequantizeLinear" else None
    return value if value is not None and value.is_initializer() and value.dtype == ir.DataType.INT8 else None


def with_float_weights(model: ir.Model) -> ir.Model:
    """The same graph with no INT8 constant but zero points; it computes the very same numbers."""
    out = model.clone()
    graph = out.graph
    for node in list(graph):
        value = int8_constant(node)
        if value is None:
            continue
        name = name_of(node.outputs[0])
        zero = node.inputs[2] if len(node.inputs) > 2 else None
        if zero is None:  # without one a quantizer makes UINT8
            zero = add_constant(graph, f"{name}_zero", np.zeros(array_of(node.inputs[1]).shape, np.int8))
            node.resize_inputs(3)
            node.replace_input_with(2, zero)
        source = add_constant(graph, f"{name}_float", dequantized(node))
        axis = {"axis": node.attributes.get_int("axis", 1)} if array_of(node.inputs[1]).ndim else {}
        quantizer = ir.node(
            *("QuantizeLinear", [source, node.inputs[1], zero], axis),
            outputs=[ir.Value(name=f"{name}_int8")],
            name=f"{node.name or name}_quantize",
        )
        graph.insert_before(node, quantizer)
        node.replace_input_with(0, quantizer.outputs[0])
    drop_unused(out)
    return out
