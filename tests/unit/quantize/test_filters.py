"""What filters see: multiplied with their weights, rows give what the runtime gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.models.run_graph import run_graph
from edgekit.quantize.filters import as_in_graph, by_filter, filters_of

dice = np.random.Generator(np.random.PCG64(9))


@pytest.mark.parametrize(
    ("shape", "attributes"),
    [
        ((6, 4, 3, 3), {"pads": [1, 1, 1, 1]}),
        ((4, 1, 5, 5), {"group": 4, "strides": [2, 2], "pads": [2, 2, 2, 2]}),
        ((6, 2, 3, 2), {"group": 2, "dilations": [2, 1], "pads": [0, 1, 2, 0], "strides": [1, 2]}),
        ((5, 4, 1, 1), {"auto_pad": "NOTSET"}),
    ],
)
def test_a_convolution(shape: tuple[int, ...], attributes: dict[str, Any]) -> None:
    image, weight = dice.normal(0, 1, (1, 4, 9, 11)).astype(np.float32), dice.normal(0, 1, shape).astype(np.float32)
    made, node = computed("Conv", image, weight, attributes)
    filters = filters_of(node, weight)
    assert filters is not None
    assert filters.grid(image.shape) == made.shape[2:]
    places = np.arange(made.shape[2] * made.shape[3])[::3]
    rows = filters.rows(image, places)
    outputs = rows @ by_filter(node, weight, filters.groups).transpose(0, 2, 1)  # (G, places, O)
    seen = outputs.transpose(0, 2, 1).reshape(shape[0], -1)
    assert seen == pytest.approx(made[0].reshape(shape[0], -1)[:, places], abs=1e-4)
    assert (as_in_graph(node, by_filter(node, weight, filters.groups), shape) == weight).all()


@pytest.mark.parametrize(("kind", "attributes"), [("Gemm", {"transB": 1}), ("Gemm", {}), ("MatMul", {})])
def test_a_linear_layer(kind: str, attributes: dict[str, Any]) -> None:
    row = dice.normal(0, 1, (1, 7)).astype(np.float32)
    weight = dice.normal(0, 1, (3, 7) if attributes else (7, 3)).astype(np.float32)
    made, node = computed(kind, row, weight, attributes)
    filters = filters_of(node, weight)
    assert filters is not None
    flat = by_filter(node, weight, 1)
    assert filters.rows(row, np.zeros(1, np.int64))[0] @ flat[0].T == pytest.approx(made, abs=1e-5)
    assert (as_in_graph(node, flat, weight.shape) == weight).all()


@pytest.mark.parametrize(
    ("kind", "attributes"),
    [("Conv", {"auto_pad": "SAME_UPPER"}), ("Gemm", {"alpha": 0.5}), ("Gemm", {"transA": 1}), ("ConvTranspose", {})],
)
def test_what_is_not_known_is_left_alone(kind: str, attributes: dict[str, Any]) -> None:
    weight = np.ones((2, 2) if kind == "Gemm" else (2, 2, 3, 3), np.float32)
    node = ir.from_proto(helper.make_node(kind, ["x", "w"], ["y"], "n", **attributes))
    assert filters_of(node, weight) is None


def computed(kind: str, given: Any, weight: Any, attributes: dict[str, Any]) -> tuple[Any, ir.Node]:
    """What ONNX Runtime makes of an input, and the node."""
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", "w"], ["y"], "layer", **attributes)],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, given.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return run_graph(model, {"x": given})[0], next(iter(ir.from_proto(model).graph))
