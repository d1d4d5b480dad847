"""From NNCF's Q/DQ to TensorRT's: signed INT8 with zero point 0 everywhere.

NNCF chooses unsigned activations after ReLU and cannot be told otherwise, but it places Q/DQ as TensorRT wants them
(before convolutions, one scale for the inputs of a concat that feeds them, around average pools) and corrects biases,
which neither ONNX Runtime's quantizer does. So its graph is kept, and its unsigned ranges are told in signed numbers:
0 to 255 s becomes -127 s' to 127 s' with s' = 255 s / 127. That is one bit fewer, the bit that TensorRT does not have
either. Measured on the shipped network: see docs/targets.md.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, numpy_helper

from edgekit.errors import InputError
from edgekit.models.onnx_graph import drop_unread_constants


def to_signed(model: ModelProto) -> ModelProto:
    """The same graph with every unsigned Q/DQ pair of zero point 0 rescaled to signed INT8.

    Raises:
        InputError: an unsigned zero point is not 0, so its range has no symmetric form.
    """
    out = ModelProto()
    out.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in out.graph.initializer}
    made: dict[tuple[str, str], tuple[str, str]] = {}
    for node in out.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or len(node.input) < 3:
            continue
        scale_name, zero_name = node.input[1], node.input[2]
        zero = numpy_helper.to_array(constants[zero_name])
        if zero.dtype != np.uint8:
            continue
        if zero.any():
            raise InputError(
                f"the quantizer {node.name or node.output[0]} has the unsigned zero point {int(zero.max())}",
                "TensorRT wants symmetric ranges; quantize the float model again.",
            )
        key = (scale_name, zero_name)
        if key not in made:  # constants may be shared: new ones, so that no other node sees them change
            scale = numpy_helper.to_array(constants[scale_name])
            names = f"{scale_name}_signed", f"{zero_name}_signed"
            rescaled = np.asarray(scale * np.float32(255 / 127), np.float32)
            for name, value in zip(names, (rescaled, np.zeros(zero.shape, np.int8)), strict=True):
                if name not in constants:
                    out.graph.initializer.append(numpy_helper.from_array(value, name))
                    constants[name] = out.graph.initializer[-1]
            made[key] = names
        node.input[1], node.input[2] = made[key]
    drop_unread_constants(out)
    del out.graph.value_info[:]  # it names the unsigned types
    return out
