"""Runs single INT8 layers in OpenVINO, and prints how far their outputs are from exact integer arithmetic.

Weights and activations are near the ends of their ranges and mostly of one sign, so that sums of two products leave 16
bits; once as they are, and once as edgekit.quantize.sums makes them. One JSON object a line.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.models.onnx_graph import to_proto
from edgekit.quantize.dla import plain
from edgekit.quantize.sums import with_sums_that_fit
from edgekit.runtime.engines import EXACT_SUMS
from edgekit.runtime.openvino_core import core

SAME: Final = {"pads": [1, 1, 1, 1]}
LAYERS: Final[tuple[tuple[str, str, tuple[int, ...], tuple[int, ...], dict[str, Any]], ...]] = (
    ("1x1", "Conv", (17, 98, 1, 1), (1, 98, 7, 7), {}),
    ("of an odd number", "Conv", (16, 21, 3, 3), (1, 21, 9, 9), SAME),
    ("3x3", "Conv", (16, 24, 3, 3), (1, 24, 9, 9), SAME),
    ("stride 2", "Conv", (40, 24, 3, 3), (1, 24, 17, 17), {**SAME, "strides": [2, 2]}),
    ("of three channels", "Conv", (32, 3, 3, 3), (1, 3, 33, 33), {**SAME, "strides": [2, 2]}),
    ("of one channel", "Conv", (32, 1, 3, 3), (1, 1, 33, 33), SAME),
    ("in groups", "Conv", (32, 16, 3, 3), (1, 32, 9, 9), {**SAME, "group": 2}),
    ("in odd groups", "Conv", (12, 5, 3, 3), (1, 15, 9, 9), {**SAME, "group": 3}),
    ("twice as many", "Conv", (64, 1, 3, 3), (1, 32, 9, 9), {**SAME, "group": 32}),
    ("depthwise", "Conv", (32, 1, 3, 3), (1, 32, 9, 9), {**SAME, "group": 32}),
    ("transposed", "ConvTranspose", (16, 8, 2, 2), (1, 16, 5, 5), {"strides": [2, 2]}),
    ("Gemm", "Gemm", (40, 97), (1, 97), {"transB": 1}),
    ("MatMul", "MatMul", (96, 40), (1, 20, 96), {}),
)
LEVELS: Final = {
    "unsigned": (np.uint8(0), 200, 256),
    "signed": (np.int8(0), 100, 128),
    "shifted": (np.uint8(100), 110, 156),
}
"""Of activations: their zero point, and between what they are."""


def layer(
    kind: str, weight: NDArray[np.int8], zero: Any, shape: tuple[int, ...], more: dict[str, Any]
) -> onnx.ModelProto:
    """One Q/DQ layer; a step of its activations is 1, of its weights 1/256."""
    axis = int(kind in ("MatMul", "ConvTranspose"))
    outputs = weight.shape[axis]
    constants = {"s": np.float32(1), "z": zero, "w": weight, "ws": np.full(outputs, 1 / 256, np.float32)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=axis),
        helper.make_node(kind, ["d", "wd"], ["y"], "layer", **more),
    ]
    value = helper.make_tensor_value_info
    ends = ([value("x", TensorProto.FLOAT, shape)], [value("y", TensorProto.FLOAT, None)])
    arrays = constants | {"wz": np.zeros(outputs, np.int8)}
    made = helper.make_graph(
        nodes, "one", *ends, [numpy_helper.from_array(np.asarray(a), n) for n, a in arrays.items()]
    )
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def in_float(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same layer without quantizers."""
    made = plain(ir.from_proto(model))
    return to_proto(made)


def distance(model: onnx.ModelProto, x: NDArray[np.float32]) -> float:
    """Largest difference of OpenVINO's outputs from exact ones, relative to the largest output."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(*EXACT_SUMS)
    raw = model.SerializeToString()
    wanted = onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    made = core().compile_model(core().read_model(raw), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])[0]
    return float(np.abs(made - wanted).max() / np.abs(wanted).max())


def main() -> None:
    """Asks every layer with every kind of activation."""
    dice = np.random.Generator(np.random.PCG64(0))
    for name, kind, shape, inputs, more in LAYERS:
        for levels, (zero, low, high) in LEVELS.items():
            weight = dice.integers(100, 128, shape) * dice.choice([-1, 1], size=(shape[0],) + (1,) * (len(shape) - 1))
            if kind in ("MatMul", "ConvTranspose"):  # outputs are the second axis: signs that differ there
                weight = np.abs(weight) * dice.choice([-1, 1], size=(1, shape[1]) + (1,) * (len(shape) - 2))
            model = layer(kind, weight.astype(np.int8), zero, inputs, more)
            x = dice.integers(low, high, inputs).astype(np.float32)
            narrow, _ = with_sums_that_fit(ir.from_proto(model), {}, ir.from_proto(in_float(model)))
            for fitted, each in ((False, model), (True, to_proto(narrow))):
                told = {"layer": name, "activations": levels, "fitted": fitted, "error": distance(each, x)}
                print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
