"""Factors that convolutions take in: the same numbers, in float32 and with quantized weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as rt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from edgekit.models.onnx_graph import to_proto
from edgekit.quantize.folded import with_folded_scales

DICE = np.random.Generator(np.random.PCG64(2))
CHANNELS = 4


def network(kind: str, factor: np.ndarray, numbers: np.ndarray | None = None, **how: Any) -> ir.Model:
    """A convolution of four channels, its output scaled and added to its input.

    Args:
        numbers: of an INT8 weight; how: `bias`, `factor_first`, `per_channel` scales, `also_read` beside the factor.
    """
    weight = DICE.normal(0, 1, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
    constants = [numpy_helper.from_array(factor, "factor")]
    nodes, inputs = [], ["x", "w"]
    if numbers is None:
        constants.append(numpy_helper.from_array(weight, "w"))
    else:
        scale = np.float32([0.01, 0.5, 3, 0.2]) if how.get("per_channel") else np.array(0.25, np.float32)
        kept = {"w.q": numbers, "w.s": scale, "w.z": np.zeros(scale.shape, np.int8)}
        constants += [numpy_helper.from_array(value, name) for name, value in kept.items()]
        axis = {"axis": 0} if scale.ndim else {}
        nodes.append(helper.make_node("DequantizeLinear", [*kept], ["w"], "dq", **axis))
    if how.get("bias"):
        constants.append(numpy_helper.from_array(DICE.normal(0, 1, CHANNELS).astype(np.float32), "b"))
        inputs.append("b")
    nodes.append(helper.make_node("Conv", inputs, ["c"], "conv", pads=[1] * 4))
    ends = ["factor", "c"] if how.get("factor_first") else ["c", "factor"]
    nodes.append(helper.make_node(kind, ends, ["scaled"], "scale"))
    nodes.append(helper.make_node("Add", ["scaled", "c" if how.get("also_read") else "x"], ["y"], "sum"))
    shape = [1, CHANNELS, 5, 5]
    ends_told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "scaled", ends_told[:1], ends_told[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return ir.from_proto(model)


def run(model: ir.Model) -> np.ndarray:
    options = rt.SessionOptions()
    options.graph_optimization_level = rt.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = to_proto(model).SerializeToString()
    session = rt.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    picture = np.random.Generator(np.random.PCG64(3)).normal(0, 1, (1, CHANNELS, 5, 5)).astype(np.float32)
    out: np.ndarray = session.run(None, {"x": picture})[0]
    return out


def kinds(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@pytest.mark.parametrize("quantized", ["float", "one scale", "scales by channel"])
@given(
    kind=st.sampled_from(["Mul", "Div"]),
    bias=st.booleans(),
    factor_first=st.booleans(),
    numbers=st.lists(st.floats(0.01, 10) | st.floats(-10, -0.01), min_size=CHANNELS, max_size=CHANNELS),
    shape=st.sampled_from([(), (1,), (1, 1, 1, 1), (CHANNELS, 1, 1), (1, CHANNELS, 1, 1)]),
)
def test_the_same_numbers_without_the_factor(
    quantized: str, kind: str, bias: bool, factor_first: bool, numbers: list[float], shape: tuple[int, ...]
) -> None:
    count = int(np.prod(shape))
    factor = np.asarray(numbers[:count], np.float32).reshape(shape)
    weight = None if quantized == "float" else DICE.integers(-127, 128, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
    how = {"bias": bias, "factor_first": factor_first and kind == "Mul", "per_channel": quantized.endswith("channel")}
    before = network(kind, factor, weight, **how)
    after = with_folded_scales(before)
    assert kinds(after) == [*(["DequantizeLinear"] if weight is not None else []), "Conv", "Add"]
    expected = run(before)
    np.testing.assert_allclose(run(after), expected, rtol=1e-4, atol=1e-4 * float(np.abs(expected).max()))
    onnx.checker.check_model(to_proto(after), full_check=True)


@pytest.mark.parametrize(
    ("factor", "how"),
    [
        (np.zeros((), np.float32), {}),
        (np.array(np.nan, np.float32), {}),
        (np.float32([1, 2, 0, 4]).reshape(4, 1, 1), {}),
        (np.ones((5,), np.float32), {}),  # along the width
        (np.array(2, np.float32), {"also_read": True}),
    ],
    ids=["zero", "not a number", "a channel of zero", "along the width", "read twice"],
)
def test_what_cannot_be_folded_stays(factor: np.ndarray, how: dict[str, Any]) -> None:
    model = network("Mul", factor, **how)
    assert kinds(with_folded_scales(model)) == ["Conv", "Mul", "Add"]


def test_a_factor_that_divides_is_none_of_a_convolution() -> None:
    model = network("Div", np.array(2, np.float32), factor_first=True)
    assert kinds(with_folded_scales(model)) == ["Conv", "Div", "Add"]


def test_minus_128_has_no_opposite() -> None:
    numbers = np.full((CHANNELS, CHANNELS, 3, 3), -128, np.int8)
    model = network("Mul", np.array(-1, np.float32), numbers)
    assert kinds(with_folded_scales(model)) == ["DequantizeLinear", "Conv", "Mul", "Add"]
    assert "Mul" not in kinds(with_folded_scales(network("Mul", np.array(2, np.float32), numbers)))
