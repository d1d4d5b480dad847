"""Signed activations told in unsigned numbers: the same values, and integer kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.models import onnx_graph
from edgekit.models.onnx_graph import array_of, constant, load, save
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


def integer(path: Path) -> list[bool]:
    """Of the two convolutions, as ONNX Runtime takes signed activations on ARM; elsewhere it tells them anew itself."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return [each.is_integer for each in of_onnxruntime(str(path), options)]


@pytest.mark.parametrize("zero", [0, -7, 127, -128])
def test_the_values_are_the_same_and_both_convolutions_integer(tmp_path: Path, zero: int) -> None:
    before = graph(tmp_path / "before.onnx", zero)
    save(with_unsigned_activations(load(before)), tmp_path / "after.onnx")
    picture = RNG.normal(3, 3, (1, 4, 8, 8)).astype(np.float32)
    wanted = answer(before, picture, optimized=False)
    assert np.array_equal(answer(tmp_path / "after.onnx", picture, optimized=False), wanted)
    assert integer(before) == [False, False]
    assert integer(tmp_path / "after.onnx") == [True, True]


def test_weights_stay_signed(tmp_path: Path) -> None:
    made = with_unsigned_activations(load(graph(tmp_path / "before.onnx")))
    types = {each.inputs[2].dtype for each in made.graph if each.op_type == "DequantizeLinear" and each.inputs[2]}
    assert types == {ir.DataType.UINT8, ir.DataType.INT8}
    assert made.graph.initializers["w_zero"].dtype == ir.DataType.INT8


def test_numbers_that_something_else_reads_are_left_alone(tmp_path: Path) -> None:
    made = with_unsigned_activations(load(graph(tmp_path / "before.onnx", readers="numbers")))
    quantizers = [each for each in made.graph if each.op_type == "QuantizeLinear"]
    assert [each.inputs[2].dtype for each in quantizers if each.inputs[2]].count(ir.DataType.INT8) == 1


PAIR = "[{0}] {0}_q = QuantizeLinear({0}, {1}) [{0}_dq] {0}_d = DequantizeLinear({0}_q, {1}) "
RIGHT = "s, z"


def parsed(body: str, outputs: str = "float[4] y") -> ir.Model:
    constants = "float s = {0.5}, int8 z = {-3}, int8 zz = {5}, uint8 u = {7}, float[4] k = {1.0,2.0,3.0,4.0}"
    text = f'<ir_version: 8, opset_import: ["" : 17]> g (float[4] x) => ({outputs}) <{constants}> {{ {body} }}'
    return ir.from_proto(onnx.parser.parse_model(text))


def zero_points(model: ir.Model) -> dict[str, int]:
    """Of quantizers and dequantizers by name; those of other types are told as they are, signed ones below 128."""
    made = with_unsigned_activations(model)
    return {
        node.name or "": int(array_of(node.inputs[2]))
        for node in made.graph
        if node.op_type.endswith("eLinear") and len(node.inputs) > 2 and node.inputs[2] is not None
        if constant(node.inputs[2]) is not None
    }


def test_every_signed_activation_is_told_in_unsigned_numbers_and_nothing_else_changes() -> None:
    body = PAIR.format("x", "s, u") + "a = Relu(x_d) " + PAIR.format("a", RIGHT) + "b = Relu(a_d) "
    model = parsed(body + PAIR.format("b", "s, zz") + PAIR.format("k", RIGHT) + "y = Add(b_d, k_d)")
    onnx_graph.infer_shapes(model)
    found = zero_points(model)
    assert next(each.inputs[2].dtype for each in model.graph if each.name == "b") == ir.DataType.INT8
    assert found == {"x": 7, "x_dq": 7, "a": 125, "a_dq": 125, "b": 133, "b_dq": 133, "k": -3, "k_dq": -3}
    types = {value.name: value.dtype for node in with_unsigned_activations(model).graph for value in node.outputs}
    assert types["a_q"] is None  # it had been told to be signed
    assert [each.inputs[2].name for each in model.graph if each.name == "a"] == ["z"]  # what was given stays


def test_a_graph_without_any_keeps_its_types() -> None:
    model = parsed(PAIR.format("x", "s, u") + "y = Relu(x_d)")
    onnx_graph.infer_shapes(model)
    made = with_unsigned_activations(model)
    assert next(value.dtype for node in made.graph for value in node.outputs) == ir.DataType.UINT8


@pytest.mark.parametrize(
    "body",
    [
        "[x] x_q = QuantizeLinear(x, s, z) [x_dq] x_d = DequantizeLinear(x_q, s, zz) y = Relu(x_d)",
        "[x] x_q = QuantizeLinear(x, s, z) [x_dq] x_d = DequantizeLinear(x_q, s) y = Relu(x_d)",
        PAIR.format("x", RIGHT) + "c = Cast<to=1>(x_q) y = Add(x_d, c)",
        "[x] x_q = QuantizeLinear(x, s, z) c = Clip(x_q, s, z) y = Cast<to=1>(c)",
        "[x] x_q = QuantizeLinear(x, s, z) n = Cast<to=3>(x) y = DequantizeLinear(n, s, x_q)",
        "[x] x_q = QuantizeLinear(x, s, z) y = Relu(x)",
    ],
)
def test_numbers_that_are_read_otherwise_stay_signed(body: str) -> None:
    assert zero_points(parsed(body))["x"] == -3


def test_numbers_that_leave_the_graph_stay_signed() -> None:
    assert zero_points(parsed(PAIR.format("x", RIGHT) + "y = Relu(x_d)", "float[4] y, int8[4] x_q"))["x"] == -3


def test_zero_points_that_are_not_known_stay() -> None:
    computed = parsed("t = Add(z, z) " + PAIR.format("x", "s, t") + "y = Relu(x_d)")
    assert [node.inputs[2].name for node in with_unsigned_activations(computed).graph if node.name == "x"] == ["t"]
    without = parsed(PAIR.format("x", "s") + "y = Relu(x_d)")
    assert [len(node.inputs) for node in with_unsigned_activations(without).graph] == [2, 2, 1]
