"""Weights that fit sums of 16 bits: every pair does, what fits is left alone, and saturating sums are exact then."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import branching, inputs, quantized_by_nncf, values
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.models.onnx_graph import to_proto
from edgekit.quantize.biases import input_means, with_corrected_biases
from edgekit.quantize.graph_format import GraphFormat
from edgekit.quantize.graphs import write_graph
from edgekit.quantize.sums import (
    MOST,
    Pairing,
    fitting_scales,
    float_weights,
    largest_sums,
    pairing,
    rounded,
    saturating,
    told_of,
    with_sums_that_fit,
)
from edgekit.quantize.widened import Widened, read_widened, write_widened

Levels = NDArray[np.int64]


def meeting(levels: Levels, pairs: Pairing) -> list[tuple[Levels, Levels]]:
    """All pairs of weights that may be added first, one by one: levels are (outputs, inputs, places)."""
    if pairs == "neighbours":
        even = np.pad(levels, ((0, 0), (0, levels.shape[1] % 2), (0, 0)))
        return [
            (even[:, at, place], even[:, at + 1, place])
            for at in range(0, even.shape[1], 2)
            for place in range(even.shape[2])
        ]
    flat = levels.reshape(len(levels), -1)
    return [(flat[:, one], flat[:, other]) for one, other in combinations(range(flat.shape[1]), 2)]


def saturated(levels: Levels, activations: Levels) -> Levels:
    """What vpmaddubsw and what follows it make of one position: (outputs,); activations are (inputs, places)."""
    levels, activations = (
        np.pad(each, ((0, 0),) * (each.ndim - 2) + ((0, 1), (0, 0))) for each in (levels, activations)
    )
    count = activations.shape[0] // 2 * 2
    products = levels[:, :count] * activations[None, :count]
    return np.clip(products[:, 0::2] + products[:, 1::2], -32768, 32767).sum((1, 2))


@st.composite
def layers(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float32], Pairing]:
    """Weights (outputs, inputs, places), scales as NNCF chooses them, and which weights meet."""
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 9), st.sampled_from([1, 4, 9])))
    dice = np.random.Generator(np.random.PCG64(draw(st.integers(0, 1 << 30))))
    kind = draw(st.sampled_from(["normal", "one sign", "flat", "heavy"]))
    weights = {
        "normal": lambda: dice.normal(0, 1, shape),
        "one sign": lambda: np.abs(dice.normal(0, 1, shape)),
        "flat": lambda: np.full(shape, 0.7) * dice.choice([-1, 1], (shape[0], 1, 1)),
        "heavy": lambda: dice.standard_t(1.5, shape),
    }[kind]() * draw(st.sampled_from([1e-4, 1.0, 300.0]))
    scale = (np.abs(weights).max((1, 2)) / 127).astype(np.float32)
    return weights, scale, draw(st.sampled_from(["neighbours", "any"]))


@settings(max_examples=150, deadline=None)
@given(layers())
def test_every_pair_fits_with_the_least_scale(layer: tuple[NDArray[np.float64], NDArray[np.float32], Pairing]) -> None:
    weights, scale, pairs = layer
    wide = fitting_scales(weights, scale, pairs)
    levels = rounded(weights, wide).astype(np.int64)
    for one, other in meeting(levels, pairs):
        assert (np.maximum(one, 0) + np.maximum(other, 0) <= MOST).all()
        assert (np.minimum(one, 0) + np.minimum(other, 0) >= -MOST).all()
    factors = wide / scale
    assert ((factors >= 1) & (factors <= 2)).all()
    fitted = largest_sums(rounded(weights, scale), pairs) <= MOST
    assert (wide[fitted] == scale[fitted]).all()
    sums = largest_sums(weights, pairs) / wide  # what did not fit is at the limit
    assert (sums[~fitted] >= MOST - 1.5).all()


@settings(max_examples=60, deadline=None)
@given(layers(), st.integers(0, 1 << 30), st.sampled_from(["all", "none or all", "any"]))
def test_saturating_sums_are_exact(
    layer: tuple[NDArray[np.float64], NDArray[np.float32], Pairing], seed: int, kind: str
) -> None:
    weights, scale, _ = layer
    dice = np.random.Generator(np.random.PCG64(seed))
    shown = {"all": 255, "none or all": 255 * dice.integers(0, 2, weights.shape[1:])}.get(kind)
    activations = np.broadcast_to(
        dice.integers(0, 256, weights.shape[1:]) if shown is None else shown, weights.shape[1:]
    )
    levels = rounded(weights, fitting_scales(weights, scale, "neighbours")).astype(np.int64)
    assert (saturated(levels, activations) == (levels * activations).sum((1, 2))).all()


def test_sums_of_the_full_range_saturate() -> None:
    """What all this is for: without it, two weights of 127 lose half of what they say."""
    levels, activations = np.full((1, 2, 1), 127), np.full((2, 1), 255)
    assert saturated(levels, activations) == 32767
    assert (levels * activations).sum() == 64770


@pytest.mark.parametrize(
    ("kind", "shape", "groups", "wanted"),
    [
        ("Conv", (16, 8, 3, 3), 1, "neighbours"),
        ("Conv", (16, 3, 3, 3), 1, "neighbours"),
        ("Conv", (16, 1, 3, 3), 16, "none"),
        ("Conv", (32, 1, 3, 3), 16, "any"),
        ("Conv", (16, 1, 3, 3), 1, "any"),
        ("Conv", (1, 1, 3, 3), 1, "any"),
        ("Conv", (16, 4, 3, 3), 2, "neighbours"),
        ("Conv", (15, 5, 3, 3), 3, "any"),
        ("Gemm", (10, 7), 1, "neighbours"),
        ("MatMul", (7, 10), 1, "neighbours"),
    ],
)
def test_which_weights_meet(kind: str, shape: tuple[int, ...], groups: int, wanted: Pairing) -> None:
    attributes = {"group": groups} if kind.startswith("Conv") else {}
    assert pairing(ir.node(kind, [None, None], attributes), shape) == wanted


Q = tuple[onnx.ModelProto, onnx.ModelProto]


def quantized(kind: str, weight: NDArray[np.float32], x: tuple[int, ...], **attributes: int) -> Q:
    """One layer in float, and in Q/DQ with a scale for each output channel."""
    turned = kind in ("MatMul", "ConvTranspose") or (kind == "Gemm" and not attributes.get("transB"))
    axis = 1 if turned else 0
    others = tuple(place for place in range(weight.ndim) if place != axis)
    scale = (np.abs(weight).max(others) / 127).astype(np.float32)
    shape = [-1 if place == axis else 1 for place in range(weight.ndim)]
    levels = np.rint(weight / scale.reshape(shape)).astype(np.int8)
    data = [("w", levels), ("ws", scale), ("wz", np.zeros(len(scale), np.int8))]
    data += [("xs", np.float32(1 / 16)), ("xz", np.uint8(0))]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "xs", "xz"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wd"], axis=axis),
        helper.make_node(kind, ["xd", "wd"], ["y"], "layer", **attributes),
    ]
    plain = [helper.make_node(kind, ["x", "wf"], ["y"], "layer", **attributes)]
    given_, out = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", x), ("y", None))
    )
    made = []
    for some, constants in ((plain, [("wf", weight)]), (nodes, data)):
        arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants]
        graph = helper.make_graph(some, "one", [given_], [out], arrays)
        made.append(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
    return made[0], made[1]


def ran(model: onnx.ModelProto, x: NDArray[np.float32]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize(
    ("kind", "shape", "x", "attributes"),
    [
        ("Conv", (6, 7, 3, 3), (1, 7, 5, 5), {}),
        ("Conv", (6, 4, 1, 1), (1, 8, 3, 3), {"group": 2}),
        ("Gemm", (5, 9), (1, 9), {"transB": 1}),
        ("Gemm", (9, 5), (1, 9), {}),
        ("MatMul", (9, 5), (1, 9), {}),
    ],
)
def test_weights_are_rounded_once_from_the_float_ones(
    kind: str, shape: tuple[int, ...], x: tuple[int, ...], attributes: dict[str, int]
) -> None:
    dice = np.random.Generator(np.random.PCG64(5))
    weight = np.abs(dice.normal(1, 0.2, shape)).astype(np.float32)
    core, wide = quantized(kind, weight, x, **attributes)
    float_model, model = ir.from_proto(core), ir.from_proto(wide)
    floats = float_weights(model, float_model)
    assert list(floats) == ["w"]
    made, changes = with_sums_that_fit(model, floats, float_model)
    assert len(changes) == 1
    told = told_of(made)
    assert told.widened_channels == told.channels > 0
    assert 1.2 < told.largest_factor <= 2
    (dequantize,) = [
        node for node in made.graph if node.op_type == "DequantizeLinear" and "weight" in (node.name or "")
    ]
    levels, scale = (each.const_value.numpy() for each in dequantize.inputs[:2] if each and each.const_value)
    by = scale.reshape([-1 if place == dequantize.attributes.get_int("axis", 1) else 1 for place in range(weight.ndim)])
    assert (np.abs(levels * by - weight) <= by * 0.5001).all(), "half a step of the wider scale, and no more"
    shown = dice.uniform(0, 15, x).astype(np.float32)
    near = ran(to_proto(made), shown)
    assert np.abs(near - ran(core, shown)).max() < 0.05 * np.abs(near).max()
    again, none = with_sums_that_fit(made, {}, float_model)
    assert none == []
    assert to_proto(again).SerializeToString() == to_proto(made).SerializeToString()


def test_what_fits_stays_as_it_is() -> None:
    weight = np.tile(np.array([1, -1], np.float32), 8).reshape(2, 8, 1, 1)
    core, wide = quantized("Conv", weight, (1, 8, 2, 2))
    float_model, model = ir.from_proto(core), ir.from_proto(wide)
    made, changes = with_sums_that_fit(model, float_weights(model, float_model), float_model)
    assert changes == []
    assert to_proto(made).SerializeToString() == to_proto(model).SerializeToString()
    assert told_of(made) == Widened(1, 2, 0, 0, 1.0)


def test_channels_that_fit_keep_their_levels_beside_those_that_do_not() -> None:
    weight = np.ones((2, 4, 1, 1), np.float32)
    weight[1, ::2] = -0.5
    core, wide = quantized("Conv", weight, (1, 4, 2, 2))
    model = ir.from_proto(wide)
    made, _ = with_sums_that_fit(model, {"w": weight}, ir.from_proto(core))
    arrays = [each.const_value.numpy() for each in made.graph.initializers.values() if each.const_value is not None]
    (levels,) = [array for array in arrays if array.dtype == np.int8 and array.ndim == 4]
    assert levels[:, :, 0, 0].tolist() == [[64] * 4, [-64, 127, -64, 127]]


def test_weights_of_another_network_are_not_taken_for_its_own() -> None:
    """Equalised ones, say: then the INT8 weights are rounded again."""
    weight = np.ones((2, 4, 1, 1), np.float32)
    core, wide = quantized("Conv", weight, (1, 4, 2, 2))
    made, _ = with_sums_that_fit(ir.from_proto(wide), {"w": weight * 3}, ir.from_proto(core))
    shown = np.ones((1, 4, 2, 2), np.float32)
    assert np.allclose(ran(to_proto(made), shown), 4, atol=0.05)


def test_a_product_of_two_activations_goes_back_to_float() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Transpose", ["d"], ["t"], "turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["d", "t"], ["y"], "product"),
    ]
    plain = [
        helper.make_node("Transpose", ["x"], ["t"], "turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["x", "t"], ["y"], "product"),
    ]
    value = helper.make_tensor_value_info
    ends = ([value("x", TensorProto.FLOAT, [1, 3, 4])], [value("y", TensorProto.FLOAT, [1, 3, 3])])
    constants = [numpy_helper.from_array(np.float32(0.1), "s"), numpy_helper.from_array(np.uint8(0), "z")]
    core, wide = (
        helper.make_model(
            helper.make_graph(some, "product", *ends, data), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
        )
        for some, data in ((plain, []), (nodes, constants))
    )
    made, _ = with_sums_that_fit(ir.from_proto(wide), {}, ir.from_proto(core))
    assert [node.op_type for node in made.graph] == ["Transpose", "MatMul"]


def test_a_transposed_convolution_goes_back_to_float() -> None:
    weight = np.ones((4, 3, 2, 2), np.float32)
    core, wide = quantized("ConvTranspose", weight, (1, 4, 3, 3))
    model, float_model = ir.from_proto(wide), ir.from_proto(core)
    made, changes = with_sums_that_fit(model, float_weights(model, float_model), float_model)
    assert changes == []
    assert [node.op_type for node in made.graph] == ["ConvTranspose"]


def test_biases_keep_the_mean_of_what_a_layer_makes(tmp_path: Path) -> None:
    core = branching()
    float_model, model = ir.from_proto(core), ir.from_proto(quantized_by_nncf(core, tmp_path))
    made, changes = with_sums_that_fit(model, float_weights(model, float_model), float_model)
    names = [each.node for each in changes]
    assert "last" in names
    means = input_means(float_model, model, names, inputs())
    seen = values(core, ["sum"])["sum"]
    assert np.allclose(means["last"], seen.mean((0, 2, 3)), atol=1e-4)
    moved = with_corrected_biases(made, changes, means)
    wanted, before, after = (values(to_proto(each), ["last"])["last"].mean((0, 2, 3)) for each in (model, made, moved))
    assert np.abs(after - wanted).mean() < 0.7 * np.abs(before - wanted).mean()


def test_every_written_graph_fits(tmp_path: Path) -> None:
    """Also one that came from somewhere else than `quantize`."""
    from edgekit.data.preprocessing import Preprocessing

    core = branching()
    quantized_by_nncf(core, tmp_path)
    how = Preprocessing(32, 1.0, "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    for sums in ("exact", "16-bit"):
        form = GraphFormat(signed=False, typed=False, opset=None, sums=sums)
        out = tmp_path / f"{sums}.onnx"
        write_graph(tmp_path / "core.onnx", tmp_path / "quantized.onnx", out, "int8", how, form)
        told = read_widened(out)
        if sums == "exact":
            assert told is None
            continue
        assert told is not None
        assert told.widened_layers > 0
        assert told == told_of(ir.load(out))
        again, changes = with_sums_that_fit(ir.load(out), {}, ir.from_proto(core))
        assert (changes, told_of(again)) == ([], told)


def test_what_was_widened_is_read_as_it_was_written(tmp_path: Path) -> None:
    told = Widened(4, 64, 2, 20, 1.25)
    write_widened(told, tmp_path / "int8.onnx")
    assert read_widened(tmp_path / "int8.onnx") == told


def test_layers_that_may_saturate_are_named(tmp_path: Path) -> None:
    core = branching()
    model = ir.from_proto(quantized_by_nncf(core, tmp_path))
    assert set(saturating(model)) == {"left", "right", "mix", "last", "linear"}, "NNCF halves the first layer's range"
    fitting, _ = with_sums_that_fit(model, {}, ir.from_proto(core))
    assert saturating(fitting) == []
