"""ONNX Runtime computes what a Q/DQ graph says, whatever the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.backends import Compiled
from edgekit.backends.onnxruntime import load
from edgekit.runtime import engines

INPUTS, SIDE, KERNEL = 16, 6, 3
SUM = INPUTS * KERNEL * KERNEL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A convolution whose weights and inputs are all the largest INT8 there is: 16 bits do not hold two products."""
    level = np.float32(1 / 127)
    constants = {
        "level": level,
        "zero": np.int8(0),
        "weights": np.full((8, INPUTS, KERNEL, KERNEL), 127, np.int8),
        "levels": np.full(8, level, np.float32),
        "zeros": np.zeros(8, np.int8),
        "wide": np.float32(SUM / 127),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "level", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "level", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["weights", "levels", "zeros"], ["w"], axis=0),
        helper.make_node("Conv", ["d", "w"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "wide", "zero"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "wide", "zero"], ["y"]),
    ]
    value, left = helper.make_tensor_value_info, SIDE - KERNEL + 1
    graph = helper.make_graph(
        nodes,
        "loud",
        [value("x", TensorProto.FLOAT, [1, INPUTS, SIDE, SIDE])],
        [value("y", TensorProto.FLOAT, [1, 8, left, left])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "model.onnx"))
    return tmp_path


def test_large_sums_do_not_saturate(folder: Path) -> None:
    loud = np.ones((1, INPUTS, SIDE, SIDE), np.float32)
    with load(Compiled("onnxruntime", str(folder / "model.onnx"), "int8", 0)) as session:
        np.testing.assert_allclose(session.infer(loud), SUM, rtol=0.01)  # type: ignore[arg-type]
    np.testing.assert_allclose(engines.load("onnxruntime", str(folder), "int8")(loud), SUM, rtol=0.01)
