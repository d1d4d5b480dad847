"""Signed activations told in unsigned numbers: the same values, and integer kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.models.onnx_graph import load, save
from edgekit.quantize.unsigned import with_unsigned_activations
from edgekit.runtime.kernels import of_onnxruntime

RNG = np.random.default_rng(0)


def graph(path: Path, zero: int = 0, readers: str = "one") -> Path:
    """image -> u8 Q/DQ -> convolution -> s8 Q/DQ -> convolution -> u8 Q/DQ."""
    weights = RNG.integers(-127, 128, (2, 4, 4, 3, 3)).astype(np.int8)
    made = {
        "u_scale": np.float32(0.05), "u_zero": np.uint8(3), "s_scale": np.float32(0.09), "s_zero": np.int8(zero),
        "w_scale": np.full(4, 0.01, np.float32), "w_zero": np.zeros(4, np.int8),
        "w1": weights[0], "w2": weights[1],
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "u_scale", "u_zero"], ["a_q"]),
        helper.make_node("DequantizeLinear", ["a_q", "u_scale", "u_zero"], ["a"]),
        helper.make_node("DequantizeLinear", ["w1", "w_scale", "w_zero"], ["w1_f"], axis=0),
        helper.make_node("Conv", ["a", "w1_f"], ["b_f"], name="first", pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["b_f", "s_scale", "s_zero"], ["b_q"]),
        helper.make_node("DequantizeLinear", ["b_q", "s_scale", "s_zero"], ["b"]),
        helper.make_node("DequantizeLinear", ["w2", "w_scale", "w_zero"], ["w2_f"], axis=0),
        helper.make_node("Conv", ["b", "w2_f"], ["c_f"], name="second", pads=[1, 1, 1, 1]),
        helper.make_node("QuantizeLinear", ["c_f", "u_scale", "u_zero"], ["c_q"]),
        helper.make_node("DequantizeLinear", ["c_q", "u_scale", "u_zero"], ["out"]),
    ]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4, 8, 8])]
    if readers == "numbers":
        nodes.append(helper.make_node("Cast", ["b_q"], ["numbers"], to=TensorProto.FLOAT))
        outputs.append(helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [1, 4, 8, 8]))
    body = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 4, 8, 8])], outputs,
        [numpy_helper.from_array(np.asarray(array), name) for name, array in made.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def answer(path: Path, picture: np.ndarray, optimized: bool) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["out"], {"image": picture})[0])


@pytest.mark.parametrize("zero", [0, -7, 127, -128])
def test_the_values_are_the_same_and_both_convolutions_integer(tmp_path: Path, zero: int) -> None:
    before = graph(tmp_path / "before.onnx", zero)
    save(with_unsigned_activations(load(before)), tmp_path / "after.onnx")
    picture = RNG.normal(3, 3, (1, 4, 8, 8)).astype(np.float32)
    wanted = answer(before, picture, optimized=False)
    assert np.array_equal(answer(tmp_path / "after.onnx", picture, optimized=False), wanted)
    kernels = of_onnxruntime(str(tmp_path / "after.onnx"), onnxruntime.SessionOptions())
    assert [each.is_integer for each in kernels] == [True, True]


def test_weights_stay_signed(tmp_path: Path) -> None:
    made = with_unsigned_activations(load(graph(tmp_path / "before.onnx")))
    types = {each.inputs[2].dtype for each in made.graph if each.op_type == "DequantizeLinear" and each.inputs[2]}
    assert types == {ir.DataType.UINT8, ir.DataType.INT8}
    assert made.graph.initializers["w_zero"].dtype == ir.DataType.INT8


def test_numbers_that_something_else_reads_are_left_alone(tmp_path: Path) -> None:
    made = with_unsigned_activations(load(graph(tmp_path / "before.onnx", readers="numbers")))
    quantizers = [each for each in made.graph if each.op_type == "QuantizeLinear"]
    assert [each.inputs[2].dtype for each in quantizers if each.inputs[2]].count(ir.DataType.INT8) == 1
