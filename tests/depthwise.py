"""A small real network of the kind that INT8 harms: hard-swish, a depthwise convolution, squeeze-and-excite."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

SIZE, CLASSES = 32, 6


def depthwise() -> ModelProto:
    """The float32 graph: `stem`, `deep` (depthwise, stride 2), `squeeze`, `excite`, `project`, `linear`."""
    dice = np.random.Generator(np.random.PCG64(21))
    constants: list[TensorProto] = []
    nodes = []

    def put(kind: str, sources: list[str], out: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, sources, [out], out, **attributes))
        return out

    def layer(source: str, shape: tuple[int, ...], out: str, **attributes: Any) -> str:
        # A few channels reach far beyond the others, as in trained networks of this kind.
        weight = dice.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape) * dice.lognormal(0, 0.8, (shape[0], 1, 1, 1))
        constants.append(numpy_helper.from_array(weight.astype(np.float32), f"{out}.w"))
        constants.append(numpy_helper.from_array(dice.normal(0, 0.3, shape[0]).astype(np.float32), f"{out}.b"))
        return put("Conv", [source, f"{out}.w", f"{out}.b"], out, **attributes)

    stem = put("HardSwish", [layer("input", (12, 3, 3, 3), "stem", strides=[2, 2], pads=[1] * 4)], "stem_swish")
    deep = layer(stem, (12, 1, 5, 5), "deep", group=12, strides=[2, 2], pads=[2] * 4)
    deep = put("HardSwish", [deep], "deep_swish")
    gate = put("Relu", [layer(put("GlobalAveragePool", [deep], "mean"), (4, 12, 1, 1), "squeeze")], "squeeze_relu")
    gate = put("HardSigmoid", [layer(gate, (12, 4, 1, 1), "excite")], "gate", alpha=1 / 6)
    weighted = put("Mul", [deep, gate], "weighted")
    last = put("HardSwish", [layer(weighted, (20, 12, 1, 1), "project")], "last")
    flat = put("Flatten", [put("GlobalAveragePool", [last], "pooled")], "flat")
    for name, array in (("linear.w", dice.normal(0, 1, (CLASSES, 20))), ("linear.b", dice.normal(0, 0.1, CLASSES))):
        constants.append(numpy_helper.from_array(array.astype(np.float32), name))
    put("Gemm", [flat, "linear.w", "linear.b"], "linear", transB=1)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "depthwise",
        [value("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [value("linear", TensorProto.FLOAT, [1, CLASSES])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)
