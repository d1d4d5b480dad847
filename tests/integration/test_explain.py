"""Explaining INT8 on the real libraries: a network that is spoilt in a known way, and the verb as users run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from command import json_of
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from protos import on_protos

from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs_set import SignsSet
from edgekit.quantize import explain as explaining
from edgekit.quantize.activations import NetworkInput
from edgekit.quantize.causes import input_causes
from edgekit.quantize.explain import Explanation
from edgekit.quantize.ptq import Pictures, normalised, quantize

HOW = Preprocessing(32, 1.0, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGES = SignsSet("calibration", 16)
SPOILT = 40.0

explain = on_protos(explaining.explain)


def _dice(seed: int) -> Callable[..., NDArray[np.float32]]:
    """Gives random weights of a shape, output channels first."""
    dice = np.random.Generator(np.random.PCG64(seed))
    return lambda *shape: dice.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)


def _model(nodes: list[NodeProto], weights: dict[str, NDArray[np.float32]]) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 8])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _network(spoilt: bool) -> ModelProto:
    """Four convolutions, pooling, a linear layer; where `spoilt`, two channels of `second` are 40 times as wide."""
    weight = _dice(5)
    weights = {"w1": weight(16, 3, 3, 3), "w2": weight(16, 16, 3, 3), "w3": weight(16, 16, 3, 3)}
    weights |= {"w4": weight(16, 16, 3, 3), "w5": weight(8, 16)}
    if spoilt:
        weights["w2"][[3, 9]] *= SPOILT
        weights["w3"][:, [3, 9]] /= SPOILT
    nodes, last = [], "x"
    for number, name in enumerate(("first", "second", "third", "fourth"), 1):
        nodes.append(helper.make_node("Conv", [last, f"w{number}"], [f"c{number}"], name, pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"], f"relu{number}"))
        last = f"r{number}"
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "w5"], ["logits"], "linear", transB=1),
    ]
    return _model(nodes, weights)


def _inputs() -> Iterator[NDArray[np.float32]]:
    for index in range(16):
        yield normalised(IMAGES.load(index, HOW)[None], HOW, "NCHW")


def _explained(
    core: ModelProto, folder: Path, told: Callable[[str, int, int], None], worst: int = 4, contrast: float = 1.0
) -> Explanation:
    """Calibrated with pictures that have `contrast` of theirs, and explained with them as they are."""
    before, after = folder / "core.onnx", folder / "quantized.onnx"
    onnx.save(core, str(before))
    pale = [(128 + contrast * (IMAGES.load(index, HOW)[None] - 128.0)).astype(np.uint8) for index in range(16)]
    quantize(before, after, Pictures(lambda: iter(pale), 16), HOW)
    return explain(core, onnx.load(str(after)), _inputs, HOW, worst=worst, on_progress=told)


def test_a_tensor_with_two_wide_channels_is_found_and_named(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    found = _explained(_network(spoilt=True), tmp_path, lambda *step: steps.append(step))
    said = [cause.text for each in found.worst[:3] for cause in each.causes if cause.code == "outlier-channels"]
    assert any("made by second, read by third" in text and "channel" in text for text in said)
    third = next(each for each in found.worst if each.name == "third")
    assert third.activation is not None
    assert third.activation.tensor == "r2"
    assert set(np.argsort(third.activation.channels)[-2:]) == {3, 9}
    assert sum(third.activation.histogram) == 16 * 16 * 32 * 32
    assert third.kl_won > 0
    assert ("images", 16, 16) in steps
    assert {step[0] for step in steps} == {"images", "suspects"}  # few operators: no parts are tried first
    assert found.as_dict()["images"] == 16


def test_the_same_network_unspoilt_has_no_outliers_there(tmp_path: Path) -> None:
    plain = _explained(_network(spoilt=False), tmp_path, lambda *step: None)
    assert all("made by second" not in cause.text for each in plain.worst for cause in each.causes)
    assert plain.causes == ()


def test_parts_are_tried_first_where_there_are_many_operators(tmp_path: Path) -> None:
    core, after = _network(spoilt=True), tmp_path / "quantized.onnx"
    onnx.save(core, str(tmp_path / "core.onnx"))
    given = Pictures(lambda: (IMAGES.load(i, HOW)[None] for i in range(8)), 8)
    quantize(tmp_path / "core.onnx", after, given, HOW)
    steps: list[str] = []
    found = explain(
        core, onnx.load(str(after)), _inputs, HOW, 2, 4, on_progress=lambda what, done, total: steps.append(what)
    )
    assert (steps.count("parts"), steps.count("suspects")) == (2, 2)
    assert len(found.worst) == 2
    assert sum(each.kl_won is not None for each in found.operators) == 2


def _joined(loud: float, heavy: float = 1.0) -> ModelProto:
    """A stem, a pool, two convolutions into a Concat, one that reads it; `left` is `loud` times as wide, and one weight
    of `reader` `heavy` times as large.
    """
    weight = _dice(6)
    weights = {"w0": weight(16, 3, 3, 3), "wa": weight(12, 16, 3, 3), "wb": weight(12, 16, 3, 3)}
    weights |= {"wr": weight(16, 24, 3, 3), "wl": weight(8, 16)}
    weights["wa"] *= loud
    weights["wr"][:, :12] /= loud
    weights["wr"][5, 20, 1, 1] *= heavy
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w0"], ["c0"], "stem", pads=[1, 1, 1, 1]),
        node("Relu", ["c0"], ["r0"], "relu0"),
        node("MaxPool", ["r0"], ["p0"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["p0", "wa"], ["ca"], "left", pads=[1, 1, 1, 1]),
        node("Relu", ["ca"], ["ra"], "relua"),
        node("Conv", ["p0", "wb"], ["cb"], "right", pads=[1, 1, 1, 1]),
        node("Relu", ["cb"], ["rb"], "relub"),
        node("Concat", ["ra", "rb"], ["cat"], "cat", axis=1),
        node("Conv", ["cat", "wr"], ["cr"], "reader", pads=[1, 1, 1, 1]),
        node("Relu", ["cr"], ["rr"], "relur"),
        node("GlobalAveragePool", ["rr"], ["g"], "mean"),
        node("Flatten", ["g"], ["f"], "flat"),
        node("Gemm", ["f", "wl"], ["logits"], "linear", transB=1),
    ]
    return _model(nodes, weights)


def _said(found: Explanation, code: str) -> dict[str, str]:
    return {each.name: cause.text for each in found.worst for cause in each.causes if cause.code == code}


def test_a_concat_of_unlike_inputs_is_named_with_both(tmp_path: Path) -> None:
    said = _said(_explained(_joined(30.0), tmp_path, lambda *step: None, worst=9), "unlike-concat")
    assert "what left makes" in said["reader"]
    assert "what right makes" in said["reader"]
    assert _said(_explained(_joined(1.0), tmp_path, lambda *step: None, worst=9), "unlike-concat") == {}


def test_values_beyond_the_quantizer_are_told_and_a_pool_that_keeps_them(tmp_path: Path) -> None:
    pale = _explained(_joined(1.0), tmp_path, lambda *step: None, worst=9, contrast=0.2)
    said = _said(pale, "saturating")
    assert "beyond the quantizer" in said["reader"]
    assert "a pooling reads them" in said["pool"]
    plain = _explained(_joined(1.0), tmp_path, lambda *step: None, worst=9)
    for name in ("reader", "pool"):
        shares = [next(each.activation for each in found.worst if each.name == name) for found in (plain, pale)]
        assert shares[0] is not None
        assert shares[1] is not None
        assert shares[0].saturating < 0.1 * shares[1].saturating


def test_a_weight_far_beyond_its_filter_is_told(tmp_path: Path) -> None:
    said = _said(_explained(_joined(1.0, heavy=400.0), tmp_path, lambda *step: None, worst=9), "outlier-weights")
    assert list(said) == ["reader"]
    assert "filter 5 of 16" in said["reader"]
    assert "so it is in 1 of them" in said["reader"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (NetworkInput(-1, 1, 0.1, 0.9), None),
        (NetworkInput(0, 255, 120, 1.0), "--mean 0.5 --std 0.5"),
        (NetworkInput(-9, -7, -8, 1.0), "far from what networks are trained with"),
        (NetworkInput(-0.1, 0.1, 0, 0.05), "13 of the 256 levels"),
    ],
)
def test_an_implausible_input_is_told_with_the_options_to_check(given: NetworkInput, said: str | None) -> None:
    causes = input_causes(given, HOW)
    assert (said is None) == (causes == [])
    assert said is None or said in causes[0].text


def test_the_verb_prints_json_and_writes_a_page(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    page = tmp_path / "why.html"
    arguments = ["--size", "32", "--mean", "0.5", "--std", "0.5", "--calibration", "signs", "--calibration-images", "8"]
    told = json_of(
        tmp_path / "store",
        "quantize",
        str(tiny_onnx()),
        *arguments,
        *("--out", str(tmp_path / "int8.onnx"), "--explain", "--explain-images", "6", "--plot", str(page)),
    )
    assert told["explain"]["images"] == 6
    assert {each["kind"] for each in told["explain"]["worst"]} >= {"Conv"}
    assert all(each["causes"] for each in told["explain"]["worst"])
    drawn = page.read_text(encoding="utf-8")
    assert "default-src 'none'" in drawn
    assert drawn.count("<svg") == 2 * sum(each["activation"] is not None for each in told["explain"]["worst"])
    assert "<script" not in drawn
