"""ONNX Runtime's form of signed activations: the same numbers, told as unsigned ones.

NNCF gives activations behind a ReLU unsigned numbers and others signed ones. ONNX Runtime has integer kernels of
convolutions only for inputs and outputs of one type: of EfficientNet-Lite1, 20 of 65 layers stayed in float32 whose
output was signed, and on ARM the first one, whose input is. A signed number q with zero point z is the unsigned q + 128
with zero point z + 128: nothing is rounded otherwise.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx_ir as ir

from edgekit.models.onnx_graph import add_constant, array_of, constant, forget_shapes, name_of

SHIFT: Final = 128


def with_unsigned_activations(model: ir.Model) -> ir.Model:
    """The same graph with the signed Q/DQ pairs of activations told in unsigned numbers; weights stay as they are.

    A quantizer whose signed numbers are read by anything but dequantizers is left alone, and so are they.
    """
    out = model.clone()
    changed = False
    for node in list(out.graph):
        readers = list(node.outputs[0].consumers()) if node.op_type == "QuantizeLinear" else []
        if not readers or not _is_signed_activation(node, readers):
            continue
        zero = node.inputs[2]
        assert zero is not None
        shifted = (array_of(zero).astype(np.int16) + SHIFT).astype(np.uint8)
        value = add_constant(out.graph, f"{name_of(node.outputs[0])}_unsigned_zero", shifted)
        for each in (node, *readers):
            each.replace_input_with(2, value)
        changed = True
    if changed:
        forget_shapes(out.graph)  # they have the signed types
    return out


def _is_signed_activation(quantize: ir.Node, readers: list[ir.Node]) -> bool:
    zero = quantize.inputs[2] if len(quantize.inputs) > 2 else None
    numbers = constant(zero)
    if quantize.inputs[0] is None or quantize.inputs[0].is_initializer() or numbers is None:
        return False
    if numbers.dtype != np.int8 or quantize.outputs[0].is_graph_output():
        return False
    return all(
        each.op_type == "DequantizeLinear"
        and len(each.inputs) > 2
        and each.inputs[0] is quantize.outputs[0]
        and np.array_equal(array_of(each.inputs[2]), numbers)
        for each in readers
    )
