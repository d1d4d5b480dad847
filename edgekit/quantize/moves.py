"""Q/DQ around operators that only move values, for runtimes that look no further than one operator.

NNCF quantizes what goes into a concat or a max pool with one scale, and puts nothing behind it: the values are still
those of the scale. ONNX Runtime makes an operator an integer one only where Q/DQ stands right before and behind it: of
the shipped Inception-v4, 49 of 149 convolutions stayed in float32 that read a concat (1.32.0).
"""

from __future__ import annotations

from typing import Final

import onnx_ir as ir

from edgekit.models.onnx_graph import constant, name_of

MOVERS: Final = frozenset({"Concat", "MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze"})


def with_quantized_moves(model: ir.Model) -> ir.Model:
    """The same graph with a Q/DQ pair behind each mover whose inputs all have one scale and zero point.

    Nothing is computed otherwise: a value that is a multiple of the scale stays what it is. What is quantized there
    already, and what leaves the graph, is left alone.
    """
    out = model.clone()
    for node in list(out.graph):
        if node.op_type not in MOVERS or node.outputs[0].is_graph_output():
            continue
        inputs = node.inputs if node.op_type == "Concat" else node.inputs[:1]
        grids = [_grid(value) for value in inputs]
        moved = node.outputs[0]
        if not _is_one(grids) or all(reader.op_type == "QuantizeLinear" for reader in moved.consumers()):
            continue
        grid = grids[0]
        assert grid is not None
        readers = list(moved.uses())
        name = name_of(moved)
        quantize = ir.node("QuantizeLinear", [moved, *grid], name=f"{name}_kept_q")
        dequantize = ir.node("DequantizeLinear", [quantize.outputs[0], *grid], name=f"{name}_kept")
        quantize.outputs[0].name, dequantize.outputs[0].name = f"{name}_kept_q", f"{name}_kept"
        out.graph.insert_after(node, [quantize, dequantize])
        for use in readers:
            use.node.replace_input_with(use.idx, dequantize.outputs[0])
    return out


Grid = tuple["ir.Value", "ir.Value"]
"""The scale and the zero point, both of the whole tensor."""


def _grid(value: ir.Value | None) -> Grid | None:
    """Of which scale and zero point the values of a tensor are multiples; None where that is not known."""
    node = None if value is None else value.producer()
    if node is None or node.op_type != "DequantizeLinear" or len(node.inputs) < 3:
        return None
    scale, zero = node.inputs[1:3]
    numbers = constant(scale)
    if scale is None or zero is None or numbers is None or numbers.size != 1 or constant(zero) is None:
        return None
    return scale, zero


def _is_one(grids: list[Grid | None]) -> bool:
    """Whether all are known, and the same."""
    found = set()
    for grid in grids:
        if grid is None:
            return False
        scale, zero = constant(grid[0]), constant(grid[1])
        assert scale is not None
        assert zero is not None
        found.add((float(scale.item()), int(zero.item()), str(zero.dtype)))
    return len(found) == 1
