"""For every release of TensorRT in the table: a small real network is written as that release takes it."""

from __future__ import annotations

from pathlib import Path

import networks
import numpy as np
import onnx_ir as ir
import pytest

from edgekit.backends import Compiled
from edgekit.backends.onnxruntime import load as onnxruntime
from edgekit.errors import InputError
from edgekit.models import onnx_graph
from edgekit.models.onnx_graph import opset_of, pixel_facts, takes_pixels
from edgekit.models.pixel_input import with_preprocessing
from edgekit.quantize.graph_format import format_for
from edgekit.quantize.graphs import write_graph
from edgekit.quantize.rules import check, faults_of
from edgekit.targets import TARGETS

RELEASES = {release.tensorrt: release for target in TARGETS.values() for release in target.releases}
TENSORRT = sorted((each for each in RELEASES if each != "1.7"), key=lambda each: tuple(map(int, each.split("."))))
NO_UINT8 = ("8.2", "8.4")
UNTYPED = ("8.2", "8.4", "8.5", "8.6")
DICE = np.random.Generator(np.random.PCG64(5))
PICTURES = DICE.integers(0, 256, (4, networks.SIZE, networks.SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with RELEASE-PRECISION.onnx of every release."""
    folder = tmp_path_factory.mktemp("forms")
    networks.quantized_by_nncf(networks.branching(), folder)
    for name, release in RELEASES.items():
        for precision in ("fp32", "fp16", "int8"):
            out = folder / f"{name}-{precision}.onnx"
            write_graph(
                folder / "core.onnx", folder / "quantized.onnx", out, precision, networks.PLAIN, format_for(release)
            )
    return folder


def graph(folder: Path, name: str, precision: str = "int8") -> ir.Model:
    return onnx_graph.load(folder / f"{name}-{precision}.onnx")


def logits(path: Path) -> np.ndarray:
    with onnxruntime(Compiled("onnxruntime", str(path), "int8", 0)) as session:
        return session.infer_many(PICTURES)


def test_the_table_has_the_releases_that_there_are() -> None:
    assert set(RELEASES) == {"8.2", "8.4", "8.5", "8.6", "10.3", "10.13", "10.16", "11.4", "1.7"}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("name", RELEASES)
def test_a_graph_keeps_the_rules_of_its_release(name: str, precision: str, written: Path) -> None:
    release, model = RELEASES[name], graph(written, name, precision)
    assert faults_of(model, format_for(release)) == []
    wanted = ir.DataType.FLOAT if name in NO_UINT8 else ir.DataType.UINT8
    assert [(value.name, value.dtype) for value in model.graph.inputs] == [("image", wanted)]
    assert opset_of(model) <= release.opset
    halves = {value.name for value in model.graph.initializers.values() if value.dtype == ir.DataType.FLOAT16}
    assert bool(halves) is (precision == "fp16" or (precision == "int8" and name not in UNTYPED))
    path = written / f"{name}-{precision}.onnx"
    assert takes_pixels(path)
    assert pixel_facts(path).for_tensorrt is (precision != "fp32" or name in NO_UINT8)


@pytest.mark.parametrize("newer", TENSORRT)
@pytest.mark.parametrize("older", TENSORRT)
def test_a_graph_for_a_newer_release_is_refused_where_an_older_one_cannot_take_it(
    older: str, newer: str, written: Path
) -> None:
    def form(name: str) -> tuple[bool, int, bool]:
        return name in NO_UINT8, RELEASES[name].opset, name in UNTYPED

    found = faults_of(graph(written, newer), format_for(RELEASES[older]))
    is_newer = TENSORRT.index(newer) > TENSORRT.index(older) and form(newer) != form(older)
    assert bool(found) is is_newer
    if is_newer:
        with pytest.raises(InputError, match="TensorRT would reject the graph at "):
            check(graph(written, newer), format_for(RELEASES[older]))


def test_float32_pixels_give_the_very_same_logits(written: Path, tmp_path: Path) -> None:
    core = onnx_graph.load(written / "core.onnx")
    for kind in (False, True):
        onnx_graph.save(with_preprocessing(core, networks.PLAIN, kind), tmp_path / f"{kind}.onnx")
    np.testing.assert_array_equal(logits(tmp_path / "False.onnx"), logits(tmp_path / "True.onnx"))


def test_a_uint8_input_is_named_where_there_is_none(written: Path) -> None:
    found = faults_of(graph(written, "8.5", "fp32"), format_for(RELEASES["8.4"]))
    assert ("the input image", "it is UINT8, which TensorRT takes from 8.5 on") in [(e.node, e.why) for e in found]


def test_a_float_image_of_somebody_elses_is_no_pixels(written: Path, tmp_path: Path) -> None:
    model = onnx_graph.load(written / "core.onnx")
    model.graph.inputs[0].name = "image"
    onnx_graph.save(model, tmp_path / "theirs.onnx")
    assert not takes_pixels(tmp_path / "theirs.onnx")
