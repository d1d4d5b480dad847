"""Preprocessing inside the graph: the numbers that the network is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models.onnx_graph import to_proto
from edgekit.models.pixel_input import with_preprocessing
from edgekit.quantize.ptq import normalised

SHAPES = {"NCHW": lambda channels: [1, channels, 8, 12], "NHWC": lambda channels: [1, 8, 12, channels]}


def identity(layout: str, channels: int) -> ir.Model:
    """A network that gives back what it is given."""
    shape = SHAPES[layout](channels)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"], "same")],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def given(model: ir.Model, pictures: Any) -> Any:
    proto = to_proto(model)
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": pictures})[0]


@pytest.mark.parametrize("layout", list(SHAPES))
@pytest.mark.parametrize("color", ["rgb", "bgr", "grey"])
@pytest.mark.parametrize("float_input", [False, True])
def test_the_graph_gives_the_network_what_calibration_gives_it(layout: str, color: str, float_input: bool) -> None:
    told = Preprocessing((8, 12), mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3), color=color)
    pictures = np.random.default_rng(0).integers(0, 256, (1, 8, 12, 3), dtype=np.uint8)
    model = with_preprocessing(identity(layout, told.channels), told, float_input)
    made = given(model, pictures.astype(np.float32) if float_input else pictures)
    wanted = normalised(pictures, told, layout)
    assert made.shape == wanted.shape
    np.testing.assert_allclose(made, wanted, atol=2e-6)


def test_grey_is_pillows_luma_to_the_last_bit() -> None:
    from PIL import Image

    told = Preprocessing((8, 12), mean=(0.0,), std=(1 / 255,), color="grey")
    model = with_preprocessing(identity("NHWC", 1), told)
    dice = np.random.default_rng(1)
    for _ in range(200):
        pictures = dice.integers(0, 256, (1, 8, 12, 3), dtype=np.uint8)
        luma = np.asarray(Image.fromarray(pictures[0]).convert("L"))
        np.testing.assert_array_equal(given(model, pictures)[0, ..., 0], luma)


@pytest.mark.parametrize(("channels", "color"), [(1, "rgb"), (1, "bgr"), (3, "grey")])
def test_a_colour_of_other_channels_than_the_networks_is_refused(channels: int, color: str) -> None:
    with pytest.raises(InputError, match=f"takes {channels} channel") as caught:
        with_preprocessing(identity("NCHW", channels), Preprocessing((8, 12), color=color))
    assert "--color grey" in caught.value.hint
