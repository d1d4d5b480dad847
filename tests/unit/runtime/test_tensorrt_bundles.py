"""Bundles for TensorRT, run elsewhere: the manifest's pixels are uint8, whatever type the graph takes them in."""

from __future__ import annotations

from pathlib import Path

import bundles
import numpy as np
import onnx
import pytest
from onnx import TensorProto

from edgekit.backends import Compiled
from edgekit.backends.onnxruntime import load, profile
from edgekit.runtime import Bundle

PICTURES = np.random.Generator(np.random.PCG64(6)).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def with_float_input(path: Path) -> bytes:
    """The graph of a bundle, its pixels float32."""
    model = onnx.load(str(path))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    assert model.graph.node[0].op_type == "Cast"
    del model.graph.node[0]
    model.graph.node[0].input[0] = "image"
    return model.SerializeToString()


@pytest.fixture
def both(tmp_path: Path) -> tuple[Path, Path]:
    """Two bundles of one network for TensorRT, which take uint8 and float32; golden outputs are of the first."""
    folders = [bundles.make_bundle(tmp_path / name, runtime="tensorrt") for name in ("uint8", "float32")]
    bundles.fit(folders[1], {"model.onnx": with_float_input(folders[0] / "model.onnx")})
    return folders[0], folders[1]


def test_a_graph_of_float32_pixels_is_run_and_checked_like_one_of_uint8(both: tuple[Path, Path]) -> None:
    with Bundle.open(both[0], runtime="onnxruntime") as plain, Bundle.open(both[1], runtime="onnxruntime") as floats:
        assert floats.check_golden() > 0.9999
        assert floats.manifest["input"]["dtype"] == "uint8"
        np.testing.assert_array_equal(floats.logits(PICTURES), plain.logits(PICTURES))


def test_the_reference_runs_it_too(both: tuple[Path, Path]) -> None:
    found = []
    for folder in both:
        compiled = Compiled("onnxruntime", str(folder / "model.onnx"), "fp32", 0)
        assert profile(compiled, 2)
        with load(compiled) as session:
            found.append(np.concatenate([session.infer(PICTURES[:1]), session.infer_many(PICTURES)]))
    np.testing.assert_array_equal(*found)
