"""Quantization and compilation on the real libraries: what is in the graphs, and what they compute."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from edgekit.backends import Compiled, openvino
from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs_set import SignsSet
from edgekit.models import onnx_graph
from edgekit.models.onnx_graph import save, with_fixed_input
from edgekit.models.pixel_input import with_preprocessing
from edgekit.quantize.features import penultimate_features
from edgekit.quantize.graph_format import format_for
from edgekit.quantize.graphs import write_graph
from edgekit.quantize.ptq import Pictures, quantize
from edgekit.validate.evaluation import Views, evaluate
from edgekit.validate.fidelity import fidelity
from edgekit.validate.question import Question

HOW = Preprocessing(32, 1.0, "bicubic", (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
IMAGES = SignsSet("calibration", 24)


@pytest.fixture
def graph(tiny_onnx: Callable[..., Path], tmp_path: Path) -> Path:
    path = tmp_path / "fixed.onnx"
    save(with_fixed_input(onnx_graph.load(tiny_onnx()), (32, 32)), path)
    return path


@pytest.fixture
def int8(graph: Path, tmp_path: Path) -> Path:
    given: list[int] = []
    core, path = tmp_path / "core.onnx", tmp_path / "int8.onnx"
    quantize(graph, core, Pictures(lambda: (IMAGES.load(i, HOW)[None] for i in range(24)), 24, given.append), HOW)
    assert max(given) == 24
    write_graph(graph, core, path, "int8", HOW, format_for(None))
    return path


def test_weights_are_quantized_per_channel_and_activations_per_tensor(int8: Path) -> None:
    model = onnx.load(str(int8))
    scales = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    made_by = {name: node for node in model.graph.node for name in node.output}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) == 2
    for node in convolutions:
        data, weight = made_by[node.input[0]], made_by[node.input[1]]
        assert data.op_type == weight.op_type == "DequantizeLinear"
        assert scales[data.input[1]].size == 1
        assert scales[weight.input[1]].size == numpy_helper.to_array(_constant(model, weight, made_by)).shape[0]


def _constant(model: onnx.ModelProto, node: onnx.NodeProto, made_by: dict[str, onnx.NodeProto]) -> onnx.TensorProto:
    """The weight at the beginning of a Q/DQ pair."""
    name = node.input[0]
    while name in made_by:
        name = made_by[name].input[0]
    return next(t for t in model.graph.initializer if t.name == name)


def test_int8_stays_near_fp32_and_takes_raw_pixels(graph: Path, int8: Path, tmp_path: Path) -> None:
    save(with_preprocessing(onnx_graph.load(graph), HOW), tmp_path / "fp32.onnx")
    for name in ("fp32", "bf16", "int8"):
        (tmp_path / name).mkdir()
    variants = {
        name: openvino.compile(int8 if name == "int8" else tmp_path / "fp32.onnx", tmp_path / name, name)
        for name in ("fp32", "bf16", "int8")
    }
    with ExitStack() as stack:
        sessions = {name: stack.enter_context(openvino.load(each, "throughput")) for name, each in variants.items()}
        told, golden = evaluate(sessions, Views(IMAGES, range(24), HOW, False, Question()), 3)
    assert told.variants["fp32"].fidelity.cosine == pytest.approx(1.0)
    assert told.variants["int8"].fidelity.cosine > 0.99
    assert told.variants["int8"].accuracy is None
    assert golden["inputs"].shape == (3, 32, 32, 3)
    assert golden["logits-int8"].shape == (3, 4)


def test_a_session_gives_the_same_one_by_one_and_many_at_once(int8: Path, tmp_path: Path) -> None:
    compiled = openvino.compile(int8, tmp_path, "int8")
    pictures = np.stack([IMAGES.load(i, HOW) for i in range(7)])
    with openvino.load(compiled, "latency") as one, openvino.load(compiled, "throughput") as many:
        singly = np.concatenate([one.infer(pictures[i : i + 1]) for i in range(7)])
        np.testing.assert_allclose(many.infer_many(pictures), singly, atol=1e-5)
        np.testing.assert_allclose(many.infer_many(pictures[:1]), singly[:1], atol=1e-5)


def test_the_compiled_network_is_the_onnx_file(int8: Path, tmp_path: Path) -> None:
    """OpenVINO's INT8 kernels against another runtime's on the same Q/DQ graph."""
    pictures = np.stack([IMAGES.load(i, HOW) for i in range(24)])
    with openvino.load(openvino.compile(int8, tmp_path, "int8")) as loaded:
        made = loaded.infer_many(pictures)
    session = onnxruntime.InferenceSession(str(int8), providers=["CPUExecutionProvider"])
    other = np.concatenate([session.run(None, {"image": picture[None]})[0] for picture in pictures])
    assert fidelity(other, made).cosine > 0.995


def test_features_are_what_the_classifier_sees(graph: Path) -> None:
    features = penultimate_features(graph, IMAGES, HOW)
    assert features.shape == (24, 16)
    assert (features >= 0).all()  # after a ReLU and a mean
    assert len(np.unique(features.round(5), axis=0)) == 24


def test_layers_are_timed_slowest_first(int8: Path, tmp_path: Path) -> None:
    made = openvino.compile(int8, tmp_path, "int8")
    layers = openvino.profile(Compiled(made.backend, made.path, "int8", made.size_bytes), runs=3)
    assert layers
    assert [each.microseconds for each in layers] == sorted((each.microseconds for each in layers), reverse=True)
