"""TensorRT's form of NNCF's Q/DQ graphs: signed INT8 with zero point 0 everywhere.

NNCF chooses unsigned activations after ReLU and has no setting against it, but it places Q/DQ as TensorRT wants them
(before convolutions, one scale for the inputs of a concat that feeds them, around average pools) and corrects biases,
which neither ONNX Runtime's quantizer does. So its graph is kept, and its unsigned ranges become signed ones:
0 to 255 s becomes -127 s' to 127 s' with s' = 255 s / 127. That is one bit fewer, the bit that TensorRT does not have
either. Measured on the shipped network: see docs/targets.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.errors import InputError
from edgekit.models.onnx_graph import add_constant, array_of, drop_unused, forget_shapes, name_of


def to_signed(model: ir.Model) -> ir.Model:
    """The same graph with every unsigned Q/DQ pair of zero point 0 rescaled to signed INT8.

    Raises:
        InputError: an unsigned zero point is not 0, so its range has no symmetric form.
    """
    out = model.clone()
    made: dict[tuple[ir.Value, ir.Value], tuple[ir.Value, ir.Value]] = {}
    for node in out.graph:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or len(node.inputs) < 3:
            continue
        scale, zero = node.inputs[1], node.inputs[2]
        if scale is None or zero is None or zero.dtype != ir.DataType.UINT8:
            continue
        if array_of(zero).any():
            raise InputError(
                f"the quantizer {node.name or name_of(node.outputs[0])} has the unsigned zero point"
                f" {int(array_of(zero).max())}",
                "TensorRT wants symmetric ranges; quantize the float model again.",
            )
        if (scale, zero) not in made:  # constants may be shared: new ones, so that no other node sees them change
            made[scale, zero] = _signed(out.graph, scale, zero)
        for place, value in enumerate(made[scale, zero], 1):
            node.replace_input_with(place, value)
    drop_unused(out)
    forget_shapes(out.graph)  # they have the unsigned types
    return out


def _signed(graph: ir.Graph, scale: ir.Value, zero: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Scale and zero point of the signed form."""
    rescaled = np.asarray(array_of(scale) * np.float32(255 / 127), np.float32)
    zeros = np.zeros(array_of(zero).shape, np.int8)
    return _once(graph, f"{scale.name}_signed", rescaled), _once(graph, f"{zero.name}_signed", zeros)


def _once(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    return graph.initializers[name] if name in graph.initializers else add_constant(graph, name, array)
