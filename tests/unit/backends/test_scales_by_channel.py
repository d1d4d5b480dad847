"""Graphs whose activations have a scale a channel: ONNX Runtime's integer convolutions take one scale alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.backends import Compiled, onnxruntime
from edgekit.models.onnx_graph import quantizes_by_channel
from edgekit.models.run_graph import run_graph, session_of

CHANNELS = 4


def depthwise(path: Path, scales: int) -> Path:
    """A quantized depthwise convolution and its ReLU, as NNCF writes them; its input has so many scales."""
    dice = np.random.Generator(np.random.PCG64(3))
    several = scales > 1
    arrays = {
        "in_scale": np.linspace(0.4, 1.6, scales).astype(np.float32) if several else np.float32(1),
        "in_zero": np.zeros(scales, np.uint8) if several else np.uint8(0),
        "numbers": dice.integers(-127, 128, (CHANNELS, 1, 3, 3), dtype=np.int8),
        "scale": np.full(CHANNELS, 0.01, np.float32),
        "zero": np.zeros(CHANNELS, np.int8),
        "out_scale": np.float32(2),
        "out_zero": np.uint8(0),
    }
    node = helper.make_node
    axis = {"axis": 1} if several else {}
    nodes = [
        node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT),
        node("QuantizeLinear", ["floats", "in_scale", "in_zero"], ["q"], **axis),
        node("DequantizeLinear", ["q", "in_scale", "in_zero"], ["d"], **axis),
        node("DequantizeLinear", ["numbers", "scale", "zero"], ["w"], axis=0),
        node("Conv", ["d", "w"], ["made"], group=CHANNELS, pads=[1, 1, 1, 1]),
        node("Relu", ["made"], ["positive"]),
        node("QuantizeLinear", ["positive", "out_scale", "out_zero"], ["q2"]),
        node("DequantizeLinear", ["q2", "out_scale", "out_zero"], ["y"]),
    ]
    shape = [1, CHANNELS, 8, 8]
    graph = helper.make_graph(
        nodes,
        "depthwise",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize("scales", [1, CHANNELS])
def test_a_depthwise_convolution_is_computed_as_it_is_written(tmp_path: Path, scales: int) -> None:
    path = depthwise(tmp_path / "graph.onnx", scales)
    assert quantizes_by_channel(path) is (scales > 1)
    shown = np.random.Generator(np.random.PCG64(4)).integers(0, 256, (1, CHANNELS, 8, 8), dtype=np.uint8)
    (wanted,) = run_graph(onnx.load(path), {"x": shown})
    assert len(np.unique(wanted)) > 10
    with onnxruntime.load(Compiled("onnxruntime", str(path), "int8", path.stat().st_size)) as session:
        assert np.abs(session.infer(shown) - wanted).max() <= 2, "a step of the output, where it was rounded"
    assert np.abs(session_of(path).run(None, {"x": shown})[0] - wanted).max() <= 2


def test_of_a_file_without_quantization_none_is_looked_for(tmp_path: Path) -> None:
    graph = helper.make_graph([], "empty", [], [])
    onnx.save(helper.make_model(graph), tmp_path / "plain.onnx")
    (tmp_path / "nothing.onnx").write_bytes(b"")
    assert not quantizes_by_channel(tmp_path / "plain.onnx")
    assert not quantizes_by_channel(tmp_path / "nothing.onnx")
