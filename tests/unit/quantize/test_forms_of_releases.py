"""For every release of TensorRT in the table: a small real network is written as that release takes it."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as rt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekit.backends import Compiled
from edgekit.backends.onnxruntime import load as reference
from edgekit.errors import InputError
from edgekit.models import onnx_graph
from edgekit.models.onnx_graph import opset_of, pixel_facts, takes_pixels
from edgekit.models.pixel_input import with_preprocessing
from edgekit.quantize.float_weights import with_float_weights
from edgekit.quantize.graph_format import format_for
from edgekit.quantize.graphs import write_dla, write_graph
from edgekit.quantize.rules import check, faults_of
from edgekit.targets import TARGETS
from edgekit.targets.releases import RULES, Release

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
    with reference(Compiled("onnxruntime", str(path), "int8", 0)) as session:
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
    assert pixel_facts(path).dtype == ("float32" if name in NO_UINT8 else "uint8")
    assert pixel_facts(path).for_tensorrt is (precision != "fp32" or name in NO_UINT8)


@pytest.mark.parametrize("newer", TENSORRT)
@pytest.mark.parametrize("older", TENSORRT)
def test_a_graph_for_a_newer_release_is_refused_where_an_older_one_cannot_take_it(
    older: str, newer: str, written: Path
) -> None:
    def form(name: str) -> tuple[bool, int, bool]:  # pixels; opset; weights and where precisions come from
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


def constants_dequantized(model: ir.Model) -> dict[str, ir.DataType | None]:
    """Type of every constant weight that is dequantized, by the weight's DequantizeLinear."""
    found = {}
    for node in model.graph:
        source = node.inputs[0] if node.op_type == "DequantizeLinear" else None
        before = None if source is None else source.producer()
        if before is not None and before.op_type == "QuantizeLinear":
            source = before.inputs[0]
        if source is not None and source.is_initializer():
            found[node.name or ""] = source.dtype
    return found


@pytest.mark.parametrize("name", RELEASES)
def test_weights_are_in_the_form_that_the_release_takes(name: str, written: Path) -> None:
    found = constants_dequantized(graph(written, name))
    assert len(found) == (5 if name == "1.7" else 3)  # of five convolutions; two have few channels
    assert set(found.values()) == {ir.DataType.FLOAT if name in UNTYPED else ir.DataType.INT8}
    onnx.checker.check_model(onnx.load(str(written / f"{name}-int8.onnx")), full_check=True)


@pytest.mark.parametrize("name", UNTYPED)
@pytest.mark.parametrize("optimised", [True, False])
def test_both_forms_of_weights_give_the_very_same_logits(
    name: str, optimised: bool, written: Path, tmp_path: Path
) -> None:
    form = format_for(RELEASES[name])
    other = replace(form, int8_weights=True)
    ends = (written / "core.onnx", written / "quantized.onnx", tmp_path / "int8.onnx")
    write_graph(*ends, "int8", networks.PLAIN, other)
    found = faults_of(onnx_graph.load(tmp_path / "int8.onnx"), form)
    assert [each.why for each in found] == ["it dequantizes an INT8 constant, which TensorRT takes from 10 on"] * 3
    ours, theirs = written / f"{name}-int8.onnx", tmp_path / "int8.onnx"
    np.testing.assert_array_equal(*(raw_logits(path, optimised) for path in (ours, theirs)))


def raw_logits(path: Path, optimised: bool) -> np.ndarray:
    """With ONNX Runtime's fusions, or with every operator by itself."""
    options = rt.SessionOptions()
    levels = rt.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
    session = rt.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    kind = np.float32 if session.get_inputs()[0].type == "tensor(float)" else np.uint8
    return np.concatenate([session.run(None, {"image": each[None].astype(kind)})[0] for each in PICTURES])


@given(
    numbers=arrays(np.int8, (4, 3, 2, 2)),
    exponents=st.lists(st.floats(-30, 6), min_size=4, max_size=4),
    per_channel=st.booleans(),
    has_zero=st.booleans(),
)
def test_a_float_weight_quantizes_to_its_number(
    numbers: np.ndarray, exponents: list[float], per_channel: bool, has_zero: bool
) -> None:
    """Whatever the scales, per channel or one, with a zero point or without."""
    scale = np.asarray([10.0**each for each in exponents], np.float32)
    scale = scale if per_channel else scale[0]
    value = ir.val("out", ir.DataType.FLOAT, numbers.shape)
    constants = [ir.val("q", const_value=ir.tensor(numbers)), ir.val("s", const_value=ir.tensor(np.asarray(scale)))]
    if has_zero:
        constants.append(ir.val("z", const_value=ir.tensor(np.zeros(np.shape(scale), np.int8))))
    node = ir.node("DequantizeLinear", constants, {"axis": 0} if per_channel else {}, outputs=[value], name="dq")
    before = ir.Model(
        ir.Graph([], [value], nodes=[node], initializers=constants, opset_imports={"": 13}, name="one"), ir_version=8
    )
    after = with_float_weights(before)
    assert [each.op_type for each in after.graph] == ["QuantizeLinear", "DequantizeLinear"]
    after.graph.outputs.append(after.graph[0].outputs[0])
    after.graph[0].outputs[0].type = ir.TensorType(ir.DataType.INT8)
    session = rt.InferenceSession(onnx_graph.to_proto(after).SerializeToString(), providers=["CPUExecutionProvider"])
    out, again = session.run(None, {})
    np.testing.assert_array_equal(again, numbers)
    shaped = scale.reshape(4, 1, 1, 1) if per_channel else scale
    np.testing.assert_array_equal(out, numbers.astype(np.float32) * shaped)


@pytest.mark.parametrize("name", [name for name, release in RELEASES.items() if release.dla])
def test_the_plain_graph_for_a_dla_takes_the_same_pixels(name: str, written: Path, tmp_path: Path) -> None:
    write_dla(written / "quantized.onnx", tmp_path, networks.PLAIN, format_for(RELEASES[name]))
    made = onnx_graph.load(tmp_path / "model.dla.onnx")
    assert made.graph.inputs[0].dtype == graph(written, name).graph.inputs[0].dtype
    assert not [node for node in made.graph if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert faults_of(made, format_for(RELEASES[name])) == []


def test_every_rule_of_the_table_has_its_source() -> None:
    facts = {"jetpack", "tensorrt", "cuda", "python"}
    assert {each.name for each in fields(Release)} == facts | set(RULES)
    assert all("github.com" in each or "TensorRT" in each or "NvInfer" in each for each in RULES.values())
    assert {release.placement.channels for name, release in RELEASES.items() if name != "1.7"} == {16}


def test_a_uint8_input_is_named_where_there_is_none(written: Path) -> None:
    found = faults_of(graph(written, "8.5", "fp32"), format_for(RELEASES["8.4"]))
    assert ("the input image", "it is UINT8, which TensorRT takes from 8.5 on") in [(e.node, e.why) for e in found]


def test_a_float_image_of_somebody_elses_is_no_pixels(written: Path, tmp_path: Path) -> None:
    model = onnx_graph.load(written / "core.onnx")
    model.graph.inputs[0].name = "image"
    onnx_graph.save(model, tmp_path / "theirs.onnx")
    assert not takes_pixels(tmp_path / "theirs.onnx")
