"""Values that were only moved are quantized once more, which changes none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.backends import Compiled, backend
from edgekit.quantize.moves import with_quantized_moves

CHANNELS, SIDE = 8, 8


def inception(scales: tuple[float, float] = (0.02, 0.02)) -> onnx.ModelProto:
    """Two quantized branches, one of them pooled, joined; two quantized convolutions read the join."""
    dice = np.random.Generator(np.random.PCG64(0))
    constants = {
        **{f"s{i}": np.float32(scale) for i, scale in enumerate(scales)},
        "z": np.uint8(0),
        # ONNX Runtime 1.32 with EXACT_SUMS refuses a zero point that two convolutions share
        **{f"zw{i}": np.zeros(CHANNELS, np.int8) for i in range(2)},
        **{f"sw{i}": np.full(CHANNELS, 0.01, np.float32) for i in range(2)},
        "w0": dice.integers(-127, 128, (CHANNELS, 2 * CHANNELS, 3, 3)).astype(np.int8),
        "w1": dice.integers(-127, 128, (CHANNELS, 2 * CHANNELS, 1, 1)).astype(np.int8),
    }
    nodes = []
    for place in range(2):
        scale = [f"s{place}", "z"]
        nodes += [
            helper.make_node("QuantizeLinear", ["x", *scale], [f"q{place}"]),
            helper.make_node("DequantizeLinear", [f"q{place}", *scale], [f"d{place}"]),
        ]
    pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes += [
        helper.make_node("MaxPool", ["d1"], ["pooled"], name="pool", **pads),
        helper.make_node("Concat", ["d0", "pooled"], ["joined"], name="join", axis=1),
    ]
    for place, pad in enumerate((1, 0)):
        scale = ["s0", "z"]
        nodes += [
            helper.make_node(
                "DequantizeLinear", [f"{each}{place}" for each in ("w", "sw", "zw")], [f"dw{place}"], axis=0
            ),
            helper.make_node("Conv", ["joined", f"dw{place}"], [f"c{place}"], name=f"conv{place}", pads=[pad] * 4),
            helper.make_node("QuantizeLinear", [f"c{place}", *scale], [f"cq{place}"]),
            helper.make_node("DequantizeLinear", [f"cq{place}", *scale], [f"y{place}"]),
        ]
    nodes.append(helper.make_node("Add", ["y0", "y1"], ["y"]))
    value = helper.make_tensor_value_info
    shape = [1, CHANNELS, SIDE, SIDE]
    graph = helper.make_graph(
        nodes,
        "inception",
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def plainly(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a graph gives as it is written, nothing fused."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    out: NDArray[np.float32] = session.run(None, {"x": x})[0]
    return out


def precisions(model: onnx.ModelProto, folder: Path) -> list[str]:
    """Of the convolutions, as ONNX Runtime computes them."""
    path = folder / "net.onnx"
    onnx.save(model, str(path))
    return [each.precision for each in backend("onnxruntime").kernels(Compiled("onnxruntime", str(path), "int8", 0))]


def test_convolutions_behind_a_join_become_integer_ones_and_compute_the_same(tmp_path: Path) -> None:
    before = inception()
    after = ir.to_proto(with_quantized_moves(ir.from_proto(before)))
    x = np.random.Generator(np.random.PCG64(1)).uniform(-1, 6, (1, CHANNELS, SIDE, SIDE)).astype(np.float32)
    np.testing.assert_array_equal(plainly(after, x), plainly(before, x))
    assert precisions(before, tmp_path) == ["f32", "f32"]
    assert precisions(after, tmp_path) == ["i8", "i8"]


def test_it_is_done_once() -> None:
    once = with_quantized_moves(ir.from_proto(inception()))
    pairs = [node.name for node in once.graph if node.op_type == "QuantizeLinear"]
    assert len(pairs) == 6
    again = with_quantized_moves(once)
    assert [node.name for node in again.graph if node.op_type == "QuantizeLinear"] == pairs


@pytest.mark.parametrize("scales", [(0.02, 0.03)])
def test_a_join_of_different_scales_is_left_alone(scales: tuple[float, float]) -> None:
    made = with_quantized_moves(ir.from_proto(inception(scales)))
    assert {node.name for node in made.graph if str(node.name).endswith("_kept_q")} == {"pooled_kept_q"}
