"""Ranges of least squared error: never worse than the widest, unsigned where that loses less, one where one is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import networks
import numpy as np
import onnx_ir as ir
import pytest
from depthwise import depthwise
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgekit.models.onnx_graph import array_of, name_of, to_proto
from edgekit.models.run_graph import run_graph
from edgekit.quantize.least_squares import least, squared_error, with_least_squares
from edgekit.quantize.rules import faults
from edgekit.quantize.signed import to_signed


def passes() -> Iterator[NDArray[np.float32]]:
    return networks.inputs()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    tail=st.floats(0.1, 4),
    low=st.floats(-1, 0),
    high=st.sampled_from([127, 255]),
    channels=st.integers(1, 4),
)
def test_no_more_squared_error_than_the_widest_range(
    seed: int, tail: float, low: float, high: int, channels: int
) -> None:
    dice = np.random.Generator(np.random.PCG64(seed))
    values = (dice.lognormal(0, tail, (channels, 500)) + low).astype(np.float32)
    found = least(values, "signed", 127)
    widest = np.abs(values).max(1).astype(np.float64) / 127
    assert (found.error <= squared_error(values, widest, -128, 127)).all()
    assert found.error == pytest.approx(squared_error(values, found.scales, -128, 127))
    found = least(np.maximum(values, 0) + 1e-3, "unsigned", high)
    positive = np.maximum(values, 0) + np.float32(1e-3)
    assert (found.error <= squared_error(positive, positive.max(1).astype(np.float64) / high, 0, high)).all()


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> tuple[ir.Model, ir.Model]:
    core = depthwise()
    return ir.from_proto(core), ir.from_proto(networks.quantized_by_nncf(core, tmp_path_factory.mktemp("ranges")))


def lost(core: ir.Model, quantized: ir.Model) -> dict[str, float]:
    """The mean squared error of every activation's quantizer on what the float network makes, by tensor."""
    found = {}
    for node in quantized.graph:
        if node.op_type != "QuantizeLinear" or node.inputs[0] is None or node.inputs[0].is_initializer():
            continue
        name = name_of(node.inputs[0])
        values = (
            np.concatenate(list(passes())) if name == "input" else networks.values(to_proto(core), [name])[name]
        ).astype(np.float32)
        scale, zero = array_of(node.inputs[1]).astype(np.float64).reshape(-1), array_of(node.inputs[2])
        low = -128 if zero.dtype == np.int8 else 0
        flat = np.moveaxis(values, 1, 0).reshape(scale.size, -1) if scale.size > 1 else values.reshape(1, -1)
        found[name] = float(squared_error(flat, scale, low, low + 255).mean())
    return found


def test_no_quantizer_of_a_network_loses_more(graphs: tuple[ir.Model, ir.Model]) -> None:
    core, quantized = graphs
    made = with_least_squares(core, quantized, passes, signed=False)
    before, after = lost(core, quantized), lost(core, made)
    assert before.keys() == after.keys()
    for name in before:
        assert after[name] <= before[name] * 1.02, name  # a part of the values is looked at
    assert sum(after.values()) < 0.9 * sum(before.values())
    assert [node.op_type for node in made.graph] == [node.op_type for node in quantized.graph]
    assert np.isfinite(networks.values(to_proto(made), ["linear"])["linear"]).all()


def swishing() -> tuple[ModelProto, ModelProto]:
    """A hard-swish and a layer that reads it: in float, and with a signed Q/DQ pair between them."""
    weight = numpy_helper.from_array(np.full((2, 3, 1, 1), 0.3, np.float32), "w")
    swish = helper.make_node("HardSwish", ["input"], ["swish"], "swish")
    ends = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 8, 8])]
    made = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 2, 8, 8])]
    pair = [
        helper.make_node("QuantizeLinear", ["swish", "scale", "zero"], ["levels"], "quantize"),
        helper.make_node("DequantizeLinear", ["levels", "scale", "zero"], ["values"], "dequantize"),
    ]
    grid = [numpy_helper.from_array(np.float32(1.5), "scale"), numpy_helper.from_array(np.int8(0), "zero")]
    models = []
    for nodes, read, constants in (([swish], "swish", [weight]), ([swish, *pair], "values", [weight, *grid])):
        layer = helper.make_node("Conv", [read, "w"], ["out"], "layer")
        graph = helper.make_graph([*nodes, layer], "swishing", ends, made, constants)
        models.append(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    return models[0], models[1]


@pytest.mark.parametrize("signed", [False, True])
def test_a_range_begins_at_zero_where_that_loses_less(signed: bool) -> None:
    dice = np.random.Generator(np.random.PCG64(4))
    images = [dice.normal(0, 40, (1, 3, 8, 8)).astype(np.float32) for _ in range(6)]
    core, quantized = swishing()
    made = with_least_squares(ir.from_proto(core), ir.from_proto(quantized), lambda: iter(images), signed)
    kinds = {node.inputs[2].dtype for node in made.graph if node.op_type != "Conv" and len(node.inputs) > 2}
    assert kinds == {ir.DataType.INT8 if signed else ir.DataType.UINT8}
    swish = np.concatenate([image * np.clip(image / 6 + 0.5, 0, 1) for image in images])
    (scale,) = {float(array_of(node.inputs[1])) for node in made.graph if node.op_type == "QuantizeLinear"}
    kept = np.clip(np.rint(swish / scale), -128 if signed else 0, 127 if signed else 255) * scale
    before = np.clip(np.rint(swish / 1.5), -128, 127) * 1.5
    assert np.square(kept - swish).mean() < (0.8 if signed else 0.3) * np.square(before - swish).mean()
    for image in images:
        assert np.isfinite(run_graph(to_proto(made), {"input": image})[0]).all()


def test_signed_targets_keep_their_rules(tmp_path: Path) -> None:
    core = networks.branching()
    pictures = networks.Pictures(lambda: (each[None] for each in networks._pictures()), networks.PICTURES)
    (tmp_path / "core.onnx").write_bytes(core.SerializeToString())
    networks.quantize(tmp_path / "core.onnx", tmp_path / "q.onnx", pictures, networks.PLAIN, signed=True)
    plain, quantized = ir.from_proto(core), ir.load(tmp_path / "q.onnx")
    made = with_least_squares(plain, quantized, passes, signed=True)
    assert not faults(to_signed(made))
    before, after = lost(plain, to_signed(quantized)), lost(plain, to_signed(made))
    for name in before:
        assert after[name] <= before[name] * 1.02, name
    joined = {  # what a concat joins has one scale still
        array_of(node.inputs[0].producer().inputs[1]).tobytes()
        for cat in made.graph
        if cat.op_type == "Concat"
        for node in (value.producer() for value in cat.inputs if value is not None)
        if node is not None and node.inputs[0] is not None and node.op_type == "DequantizeLinear"
    }
    assert len(joined) == 1
