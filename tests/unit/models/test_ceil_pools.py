"""Pools that round up, and the same windows without."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgekit.models.ceil_pools import round_down
from edgekit.models.onnx_graph import to_proto


def pool(kind: str, side: int, kernel: int, stride: int, begin: int, end: int, dilation: int, counted: int) -> ir.Model:
    more = {"dilations": [dilation] * 2} if kind == "MaxPool" else {"count_include_pad": counted}
    node = helper.make_node(
        kind, ["x"], ["y"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[begin, begin, end, end],
        ceil_mode=1, **more,
    )  # fmt: skip
    told = helper.make_tensor_value_info
    graph = helper.make_graph(
        [node], "pool", [told("x", TensorProto.FLOAT, [1, 2, side, side + 3])],
        [told("y", TensorProto.FLOAT, [1, 2, "h", "w"])],
    )  # fmt: skip
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=8))


def run(proto: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["MaxPool", "AveragePool"]), st.integers(5, 20), st.integers(1, 4), st.integers(1, 4),
    st.integers(0, 3), st.integers(0, 3), st.integers(1, 2), st.integers(0, 1),
)  # fmt: skip
def test_the_same_windows(
    kind: str, side: int, kernel: int, stride: int, begin: int, end: int, dilation: int, counted: int
) -> None:
    reach = (kernel - 1) * dilation + 1 if kind == "MaxPool" else kernel
    assume(max(begin, end) < kernel)
    assume(reach <= side + begin + end)  # ONNX Runtime refuses the others
    model = pool(kind, side, kernel, stride, begin, end, dilation, counted)
    x = np.random.default_rng(side).normal(0, 1, (1, 2, side, side + 3)).astype(np.float32)
    before = run(to_proto(model), x)
    left = round_down(model)
    after = run(to_proto(model), x)
    np.testing.assert_array_equal(after, before)
    assert ("ceil_mode" in model.graph[0].attributes) == bool(left)


def test_a_pool_of_an_unknown_size_is_left_and_named() -> None:
    model = pool("MaxPool", 17, 2, 2, 1, 1, 1, 0)
    model.graph.inputs[0].shape = ir.Shape([1, 2, "h", "w"])
    assert [each.split()[0] for each in round_down(model)] == ["MaxPool"]
