"""Graphs for several pictures at once: the same numbers, refused where a batch of one is written in."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import onnx_ir as ir
import onnxruntime as rt
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.backends import CompileSettings
from edgekit.backends.tensorrt_builder import build
from edgekit.backends.tensorrt_library import installed
from edgekit.errors import InputError
from edgekit.models.onnx_graph import load, pixel_facts, save, takes_pixels
from edgekit.quantize.graph_format import GraphFormat, format_for
from edgekit.quantize.graphs import write_graph
from edgekit.quantize.open_batch import check_batches, with_open_batch
from edgekit.targets import find

RTX = pytest.mark.skipif(installed("tensorrt-rtx") is None, reason="TensorRT for RTX is not installed")
PICTURES = np.random.Generator(np.random.PCG64(5)).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def form(target: str, open_batch: bool = True) -> GraphFormat:
    made = format_for(find(target).releases[0])
    return GraphFormat(**{**made.__dict__, "open_batch": open_batch})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch")
    networks.quantized_by_nncf(networks.branching(), folder)
    return folder


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("target", ["rtx", "jetson-nano", "jetson-orin-nx"])
def test_a_batch_gives_what_single_pictures_give(target: str, precision: str, source: Path, tmp_path: Path) -> None:
    ends = (source / "core.onnx", source / "quantized.onnx")
    for name, opened in (("one", False), ("any", True)):
        write_graph(*ends, tmp_path / f"{name}.onnx", precision, networks.PLAIN, form(target, opened))
    one, many = (rt.InferenceSession(str(tmp_path / f"{name}.onnx")) for name in ("one", "any"))
    assert many.get_inputs()[0].shape == ["batch", 32, 32, 3]
    pixels = PICTURES if many.get_inputs()[0].type == "tensor(uint8)" else PICTURES.astype(np.float32)
    alone = np.concatenate([one.run(None, {"image": each[None]})[0] for each in pixels])
    np.testing.assert_allclose(many.run(None, {"image": pixels})[0], alone, rtol=0.02, atol=0.02)
    assert takes_pixels(tmp_path / "any.onnx")
    assert pixel_facts(tmp_path / "any.onnx").size == (32, 32)


def reshaping(shape: list[int], output: list[int | str], allow_zero: int = 0) -> ir.Model:
    """Pixels, their means, and a Reshape of these."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], "mean", axes=[1, 2], keepdims=1),
        helper.make_node("Reshape", ["mean", "shape"], ["out"], "reshape", allowzero=allow_zero),
    ]
    graph = helper.make_graph(
        nodes,
        "reshaping",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 4, 4, 3])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, output)],
        [numpy_helper.from_array(np.array(shape, np.int64), "shape")],
    )
    return ir.from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


@pytest.mark.parametrize("allow_zero", [0, 1], ids=["zero copies", "zero is zero"])  # torch writes the second
@pytest.mark.parametrize("shape", [[1, 3], [1, -1], [-1, 3]])
def test_a_batch_that_a_reshape_says_is_opened(shape: list[int], allow_zero: int, tmp_path: Path) -> None:
    save(with_open_batch(reshaping(shape, [1, 3], allow_zero)), tmp_path / "open.onnx")
    check_batches(tmp_path / "open.onnx")
    assert load(tmp_path / "open.onnx").graph.outputs[0].shape == ir.Shape(["batch", 3])


def test_pictures_that_are_mixed_or_lost_are_refused(tmp_path: Path) -> None:
    save(with_open_batch(reshaping([3], [3])), tmp_path / "flat.onnx")
    with pytest.raises(InputError, match="cannot take several pictures at once"):
        check_batches(tmp_path / "flat.onnx")
    save(with_open_batch(reshaping([3, -1], [3, 1])), tmp_path / "turned.onnx")
    with pytest.raises(InputError, match="gives \\[3, 2\\] for two pictures"):
        check_batches(tmp_path / "turned.onnx")


@RTX
def test_a_real_engine_has_a_profile_for_each_batch(source: Path, tmp_path: Path) -> None:
    write_graph(
        source / "core.onnx", source / "quantized.onnx", tmp_path / "g.onnx", "int8", networks.PLAIN, form("rtx")
    )
    sizes = []
    for batches in ((1,), (1, 8)):
        settings = CompileSettings(("8.6",), batches=batches)
        made = build(tmp_path / "g.onnx", tmp_path, "int8", "tensorrt-rtx", settings)
        sizes.append((made.size_bytes, len(made.layers)))
    assert sizes[1][0] > sizes[0][0]
    assert sizes[1][1] > 1.5 * sizes[0][1]  # each profile has kernels of its own


def test_the_devices_own_builder_makes_them_too(source: Path, tmp_path: Path) -> None:
    if installed("tensorrt-rtx") is None:
        pytest.skip("TensorRT for RTX is not installed")
    from edgekit.backends.tensorrt_library import load_library
    from edgekit.runtime import tensorrt_build
    from edgekit.runtime.settings import Settings

    write_graph(
        source / "core.onnx", source / "quantized.onnx", tmp_path / "g.onnx", "int8", networks.PLAIN, form("rtx")
    )
    settings = Settings(typed=True, compute_capabilities=("SM86",), batches=(1, 8))
    made = tensorrt_build.build(load_library("tensorrt-rtx"), str(tmp_path / "g.onnx"), "int8", settings)
    one = tensorrt_build.build(
        load_library("tensorrt-rtx"), str(tmp_path / "g.onnx"), "int8", settings._replace(batches=(1,))
    )
    assert len(made.content) > len(one.content)
