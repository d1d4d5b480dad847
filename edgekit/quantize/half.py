"""FP16 in the graph itself: what a strongly typed TensorRT (10, 11 and TensorRT for RTX) takes its precision from."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import version_converter

from edgekit.errors import InputError
from edgekit.models.onnx_graph import constant, forget_shapes, opset_of, to_proto
from edgekit.runtime.quiet import no_telemetry

OLDEST_OPSET = 19
"""From here on Q/DQ may have FP16 scales."""
RAISED_OPSET = 20

SMALLEST = float(np.finfo(np.float16).tiny)
"""Below this FP16 loses digits, and runtimes may take a number for zero."""


def fits_half(model: ir.Model) -> bool:
    """Whether every scale of a Q/DQ graph is a normal FP16 number.

    Measured on EfficientNet-Lite1, whose depthwise weights have scales of 8e-6: with them in FP16 its INT8 graph gets
    no picture right on ONNX Runtime, with float32 scales it loses nothing.
    """
    nodes = [node for node in model.graph if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    scales = [constant(node.inputs[1]) for node in nodes]
    return all(float(scale.min()) >= SMALLEST for scale in scales if scale is not None)


def to_half(model: ir.Model) -> ir.Model:
    """The same graph computing in FP16, its input and output float32 as before; Q/DQ scales are FP16 too.

    Raises:
        InputError: a quantized graph of an opset in which scales are float32 only, and which cannot be raised.
    """
    no_telemetry()
    from onnxruntime.transformers.float16 import convert_float_to_float16

    if any(isinstance(value.const_value, ir.ExternalTensor) for value in model.graph.initializers.values()):
        raise InputError("the model's weights are in other files", "Save it as one file first.")
    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph)
    source = _raised(model) if quantized and opset_of(model) < OLDEST_OPSET else model.clone()
    forget_shapes(source.graph)
    made: ir.Model = ir.from_proto(convert_float_to_float16(to_proto(source), keep_io_types=True))
    forget_shapes(made.graph)
    try:
        made.graph.sort()  # the conversion appends its casts at the end
    except ValueError as error:
        raise InputError("the graph has a cycle", "Export it again.") from error
    return made


def _raised(model: ir.Model) -> ir.Model:
    try:
        made: ir.Model = ir.from_proto(version_converter.convert_version(to_proto(model), RAISED_OPSET))
    except Exception as error:  # its errors derive from Exception alone
        raise InputError(
            f"the quantized graph has opset {opset_of(model)}: FP16 scales need {OLDEST_OPSET} or newer, and it cannot"
            " be raised",
            "Export the model with a newer opset.",
        ) from error
    return made
