"""FP16 in the graph itself: what a strongly typed TensorRT (10, 11 and TensorRT for RTX) takes its precision from."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, numpy_helper, version_converter
from onnx.external_data_helper import uses_external_data

from edgekit.errors import InputError

OLDEST_OPSET = 19
"""From here on Q/DQ may have FP16 scales."""
RAISED_OPSET = 20


SMALLEST = float(np.finfo(np.float16).tiny)
"""Below this FP16 loses digits, and runtimes may take a number for zero."""


def fits_half(model: ModelProto) -> bool:
    """Whether every scale of a Q/DQ graph is a normal FP16 number.

    Measured on EfficientNet-Lite1, whose depthwise weights have scales of 8e-6: with them in FP16 its INT8 graph gets
    no picture right on ONNX Runtime, with float32 scales it loses nothing.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    scales = (
        numpy_helper.to_array(constants[node.input[1]])
        for node in model.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[1] in constants
    )
    return all(float(scale.min()) >= SMALLEST for scale in scales)


def to_half(model: ModelProto) -> ModelProto:
    """The same graph computing in FP16, its input and output float32 as before; Q/DQ scales are FP16 too.

    Raises:
        InputError: a quantized graph of an opset in which scales are float32 only, and which cannot be raised.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if quantized and opset < OLDEST_OPSET:
        model = _raised(model, opset)
    if any(uses_external_data(tensor) for tensor in model.graph.initializer):
        raise InputError("the model's weights are in other files", "Save it as one file first.")
    source = ModelProto()
    source.CopyFrom(model)
    del source.graph.value_info[:]
    made: ModelProto = convert_float_to_float16(source, keep_io_types=True)
    del made.graph.value_info[:]
    _sort(made)
    return made


def _raised(model: ModelProto, opset: int) -> ModelProto:
    try:
        made: ModelProto = version_converter.convert_version(model, RAISED_OPSET)
    except Exception as error:  # its errors derive from Exception alone
        raise InputError(
            f"the quantized graph has opset {opset}: FP16 scales need {OLDEST_OPSET} or newer, and it cannot be raised",
            "Export the model with a newer opset.",
        ) from error
    return made


def _sort(model: ModelProto) -> None:
    """Puts nodes after what they read: the conversion appends its casts at the end."""
    known = {tensor.name for tensor in model.graph.initializer} | {value.name for value in model.graph.input} | {""}
    waiting, done = list(model.graph.node), []
    while waiting:
        ready = [node for node in waiting if all(name in known for name in node.input)]
        if not ready:
            raise InputError("the graph has a cycle", "Export it again.")
        for node in ready:
            known.update(node.output)
        done += ready
        names = {id(node) for node in ready}
        waiting = [node for node in waiting if id(node) not in names]
    del model.graph.node[:]
    model.graph.node.extend(done)
