"""A small real network with what quantization meets: branches that a Concat joins, pools, a sum, a linear layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgekit.data.preprocessing import Preprocessing
from edgekit.quantize.ptq import Pictures, normalised, quantize

SIZE, CLASSES, PICTURES = 32, 6, 12
PLAIN = Preprocessing(SIZE, 1.0, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "rgb")


def branching(names: bool = True, opset: int = 17) -> ModelProto:
    """The float32 graph: stem, two branches and a pool, `cat`, a 1x1 convolution `mix`, a sum, `pooled`, `linear`.

    Args:
        names: whether nodes have names.
    """
    dice = np.random.Generator(np.random.PCG64(7))
    constants: list[TensorProto] = []
    nodes = []

    def put(kind: str, sources: list[str], out: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, sources, [out], out if names else "", **attributes))
        return out

    def constant(name: str, *shape: int, scale: float) -> str:
        constants.append(numpy_helper.from_array(dice.normal(0, scale, shape).astype(np.float32), name))
        return name

    def layer(source: str, channels: tuple[int, int], side: int, out: str) -> str:
        weight = constant(f"{out}.w", channels[1], channels[0], side, side, scale=(2 / channels[0] / side**2) ** 0.5)
        bias = constant(f"{out}.b", channels[1], scale=0.1)
        return put("Conv", [source, weight, bias], out, pads=[side // 2] * 4)

    stem = put("Relu", [layer("input", (3, 8), 3, "stem")], "stem_relu")
    left = put("Relu", [layer(stem, (8, 8), 3, "left")], "left_relu")
    right = put("Relu", [layer(stem, (8, 8), 1, "right")], "right_relu")
    pool = put("MaxPool", [stem], "pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    joined = put("Concat", [left, right, pool], "cat", axis=1)
    mixed = put("Relu", [layer(joined, (24, 8), 1, "mix")], "mix_relu")
    total = put("Add", [mixed, stem], "sum")
    last = put("Relu", [layer(total, (8, 16), 3, "last")], "last_relu")
    flat = put("Flatten", [put("GlobalAveragePool", [last], "pooled")], "flat")
    put(
        "Gemm",
        [flat, constant("linear.w", CLASSES, 16, scale=1.0), constant("linear.b", CLASSES, scale=0.1)],
        "linear",
        transB=1,
    )
    graph = helper.make_graph(
        nodes,
        "branching",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("linear", TensorProto.FLOAT, [1, CLASSES])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def quantized_by_nncf(core: ModelProto, folder: Path) -> ModelProto:
    """The network's Q/DQ form, calibrated with the pictures of `inputs`."""
    before, after = folder / "core.onnx", folder / "quantized.onnx"
    onnx.save(core, str(before))
    quantize(before, after, Pictures(lambda: (picture[None] for picture in _pictures()), PICTURES), PLAIN)
    return onnx.load(str(after))


def inputs() -> Iterator[NDArray[np.float32]]:
    """One pass over a few normalised pictures, float32 (1, 3, 32, 32)."""
    return (normalised(picture[None], PLAIN, "NCHW") for picture in _pictures())


def values(model: ModelProto, tensors: list[str]) -> dict[str, NDArray[np.float64]]:
    """What ONNX Runtime computes for tensors of a graph, all of `inputs` stacked, float64."""
    import onnxruntime

    seen = ModelProto()
    seen.CopyFrom(model)
    known = {value.name for value in seen.graph.output}
    new = [name for name in tensors if name not in known]
    seen.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in new)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(seen.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rows = [session.run(tensors, {"input": each}) for each in inputs()]
    return {name: np.concatenate([row[i] for row in rows]).astype(np.float64) for i, name in enumerate(tensors)}


def _pictures() -> NDArray[np.uint8]:
    """Blocks of colour with some noise: (N, 32, 32, 3)."""
    dice = np.random.Generator(np.random.PCG64(8))
    coarse = dice.integers(0, 200, (PICTURES, 4, 4, 3)).repeat(8, 1).repeat(8, 2)
    return (coarse + dice.integers(0, 56, (PICTURES, SIZE, SIZE, 3))).astype(np.uint8)
