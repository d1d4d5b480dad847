"""What comes after takes the canonical graph: OpenVINO, NNCF, exact INT8 in ONNX Runtime, TensorRT's older opsets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from written import CLASSES, SIZE, F, Graph, run

from edgekit.data.preprocessing import Preprocessing
from edgekit.models.answer import TOLD_NOTHING
from edgekit.models.canonical import canonical_of
from edgekit.models.onnx_graph import load, save
from edgekit.models.opset import lower
from edgekit.quantize.ptq import Pictures, normalised, quantize
from edgekit.quantize.signed import to_signed

HOW = Preprocessing(SIZE, 1.0, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "rgb")
PICTURES = np.random.Generator(np.random.PCG64(2)).integers(0, 256, (6, 1, SIZE, SIZE, 3)).astype(np.uint8)


def group_norm() -> onnx.ModelProto:
    g = Graph(21)
    x = g.op("GroupNormalization", g.stem(), g.keep(np.ones(8, F)), g.keep(np.zeros(8, F)), num_groups=4)
    model = g.model(**{g.head(g.op("Relu", x)): [1, CLASSES]})
    model.ir_version = 10
    return model


def called_twice() -> onnx.ModelProto:
    g = Graph()
    x, weight = g.stem(), g.op("Transpose", g.keep(g.floats(3, 3, 8, 8)), perm=[3, 2, 0, 1])
    for _ in range(2):
        x = g.op("Relu", g.op("Conv", x, weight, pads=[1] * 4))
    return g.model(**{g.head(x): [1, CLASSES]})


def two_classes() -> onnx.ModelProto:
    g = Graph(11)
    return g.model(**{g.op("Sigmoid", g.head(g.stem(), 1)): [1, 1]})


def newer_operators() -> onnx.ModelProto:
    g = Graph(20)
    x = g.op("Mish", g.op("Gelu", g.op("HardSwish", g.stem())))
    x = g.op("LayerNormalization", x, g.keep(np.ones(8, F)), axis=-1)
    return g.model(**{g.op("Softmax", g.head(g.op("Relu", x)), axis=-1): [1, CLASSES]})


@pytest.mark.parametrize("network", [group_norm, called_twice, two_classes, newer_operators])
def test_every_later_step_takes_it(network: object, tmp_path: Path) -> None:
    assert callable(network)
    core, quantized = tmp_path / "core.onnx", tmp_path / "quantized.onnx"
    made = canonical_of(network(), TOLD_NOTHING, (SIZE, SIZE), "net.onnx").model
    save(made, core)
    shown = [normalised(each, HOW, "NCHW") for each in PICTURES]
    right = np.concatenate([run(onnx.load(str(core)), each) for each in shown])
    form = openvino.Core().compile_model(str(core), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(np.concatenate([form(each)[0] for each in shown]), right, rtol=1e-3, atol=1e-4)
    for signed in (False, True):
        quantize(core, quantized, Pictures(lambda: iter(PICTURES), len(PICTURES)), HOW, signed)
        if signed:
            save(lower(to_signed(load(quantized)), 13), quantized)
        answers = np.concatenate([run(onnx.load(str(quantized)), each, exact=True) for each in shown])
        assert np.abs(answers - right).max() < 0.3 * np.abs(right).max()
