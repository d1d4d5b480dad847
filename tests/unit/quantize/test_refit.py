"""Layers fitted one after another: biases bring means back, roundings lower the error, and sums still fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import networks
import numpy as np
import onnx_ir as ir
import pytest
from depthwise import depthwise
from numpy.typing import NDArray
from onnx import ModelProto

from edgekit.models.onnx_graph import add_constant, array_of, name_of, to_proto
from edgekit.quantize.ptq import Pictures, PtqSettings, quantize
from edgekit.quantize.qdq import WEIGHTED
from edgekit.quantize.refit import refitted
from edgekit.quantize.sums import float_weights, int8_weight, saturating, with_sums_that_fit

NETWORKS = {"depthwise": depthwise, "branching": networks.branching}


@pytest.fixture(scope="module", params=NETWORKS)
def graphs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ir.Model, ir.Model]:
    """A float graph and NNCF's form of it."""
    core: ModelProto = NETWORKS[request.param]()
    made = networks.quantized_by_nncf(core, tmp_path_factory.mktemp(request.param))
    return ir.from_proto(core), ir.from_proto(made)


def passes() -> Iterator[NDArray[np.float32]]:
    return networks.inputs()


def far(core: ir.Model, quantized: ir.Model) -> tuple[float, float]:
    """Of all layers: how far the means of output channels are from the float ones, in the root of the mean square,
    and how far the outputs are; both as parts of the outputs' own."""
    layers = [node.name for node in quantized.graph if node.op_type in WEIGHTED]
    tensors = [name_of(node.outputs[0]) for node in core.graph if node.name in layers]
    plain, made = (networks.values(to_proto(each), tensors) for each in (core, quantized))
    means, errors = [], []
    for name in tensors:
        axes = tuple(axis for axis in range(plain[name].ndim) if axis != 1)
        power = np.square(plain[name]).mean()
        means.append(np.square((made[name] - plain[name]).mean(axes)).mean() / power)
        errors.append(np.square(made[name] - plain[name]).mean() / power)
    return float(np.mean(means) ** 0.5), float(np.mean(errors) ** 0.5)


def test_biases_bring_the_means_of_outputs_back(graphs: tuple[ir.Model, ir.Model]) -> None:
    core, quantized = graphs
    fitted, layers = refitted(core, quantized, passes, rounds=False)
    assert far(core, fitted)[0] < 0.5 * far(core, quantized)[0]
    assert all(each.changed == 0 and each.before == each.after for each in layers)


def test_roundings_lower_the_error_of_every_layer_by_steps_of_one(graphs: tuple[ir.Model, ir.Model]) -> None:
    core, quantized = graphs
    fitted, layers = refitted(core, quantized, passes, rounds=True)
    assert len(layers) == sum(node.op_type in WEIGHTED for node in quantized.graph)
    assert all(each.after <= each.before * (1 + 1e-9) for each in layers)
    assert sum(each.after for each in layers) < 0.97 * sum(each.before for each in layers)
    before, after = levels(quantized), levels(fitted)
    assert before.keys() == after.keys()
    for name, old in before.items():
        assert np.abs(after[name].astype(int) - old).max() <= 1
    changed = sum(int((after[name] != old).sum()) for name, old in before.items())
    assert changed == sum(each.changed for each in layers) > 0
    assert [node.op_type for node in fitted.graph] == [node.op_type for node in quantized.graph]
    scales = [array_of(node.inputs[1]).tolist() for node in fitted.graph if node.op_type == "DequantizeLinear"]
    assert scales == [
        array_of(node.inputs[1]).tolist() for node in quantized.graph if node.op_type == "DequantizeLinear"
    ]


def test_what_was_given_is_not_changed(graphs: tuple[ir.Model, ir.Model]) -> None:
    core, quantized = graphs
    before = to_proto(quantized).SerializeToString(deterministic=True)
    one, _ = refitted(core, quantized, passes, rounds=True)
    assert to_proto(quantized).SerializeToString(deterministic=True) == before
    again, _ = refitted(core, quantized, passes, rounds=True)
    assert to_proto(one).SerializeToString() == to_proto(again).SerializeToString()


def test_sums_that_fit_into_16_bits_fit_still(graphs: tuple[ir.Model, ir.Model]) -> None:
    core, quantized = graphs
    narrow, _ = with_sums_that_fit(quantized, float_weights(quantized, core), core)
    assert not saturating(narrow)
    fitted, layers = refitted(core, narrow, passes, rounds=True, sums="16-bit")
    assert not saturating(fitted)
    assert sum(each.changed for each in layers) > 0
    assert all(each.after <= each.before * (1 + 1e-9) for each in layers)


def test_progress_is_told(graphs: tuple[ir.Model, ir.Model]) -> None:
    core, quantized = graphs
    told = list[tuple[int, int]]()
    refitted(core, quantized, passes, rounds=False, on_progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert len(told) == told[0][1] <= sum(node.op_type in WEIGHTED for node in quantized.graph)


def test_nncfs_full_bias_correction_brings_means_back_where_it_works(tmp_path: Path) -> None:
    core = depthwise()
    (tmp_path / "core.onnx").write_bytes(core.SerializeToString())
    pictures = Pictures(lambda: (each[None] for each in networks._pictures()), networks.PICTURES)
    full = PtqSettings(biases="full")
    quantize(tmp_path / "core.onnx", tmp_path / "full.onnx", pictures, networks.PLAIN, False, full, "exact")
    plain, made = ir.from_proto(core), ir.load(tmp_path / "full.onnx")
    assert far(plain, made)[0] < far(plain, with_float_biases(plain, made))[0]


def with_float_biases(core: ir.Model, quantized: ir.Model) -> ir.Model:
    """The same Q/DQ graph without any correction of biases."""
    out, plain = quantized.clone(), {node.name: node for node in core.graph}
    for node in out.graph:
        if node.op_type in WEIGHTED:
            bias = array_of(plain[node.name].inputs[2])
            node.replace_input_with(2, add_constant(out.graph, f"{node.name}_float_bias", bias))
    return out


def levels(quantized: ir.Model) -> dict[str, NDArray[np.int8]]:
    """The INT8 weights of layers by their names."""
    found = ((node.name or "", int8_weight(node)) for node in quantized.graph)
    return {name: array_of(value) for name, value in found if value is not None}
