"""Operators of a Q/DQ graph, and giving them back to floating point, on a small network that NNCF quantized."""

from __future__ import annotations

from collections import Counter

import networks
import numpy as np
import onnx
import pytest
from onnx import ModelProto
from protos import on_protos

from edgekit.quantize import qdq

operators, restored = on_protos(qdq.operators), on_protos(qdq.restored)

Pair = tuple[ModelProto, ModelProto]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The network in float32 and in INT8."""
    core = networks.branching()
    return core, networks.quantized_by_nncf(core, tmp_path_factory.mktemp("pair"))


def _kinds(model: ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def _inputs_of(model: ModelProto, name: str) -> list[str]:
    return list(next(node for node in model.graph.node if node.name == name).input)


def _same(one: ModelProto, other: ModelProto) -> bool:
    return np.array_equal(*(networks.values(model, ["linear"])["linear"] for model in (one, other)))


def test_operators_in_the_order_of_the_graph(pair: Pair) -> None:
    core, quantized = pair
    found = {each.name: each for each in operators(quantized, core)}
    order = [node.name for node in core.graph.node if node.name in found]
    assert list(found) == order
    assert {"stem", "left", "right", "pool", "cat", "mix", "last", "linear"} <= set(found)
    assert not any(name.endswith("_relu") for name in found)
    assert found["stem"].sources == {0: "input"}
    assert found["cat"].sources[0] == "left_relu"
    assert found["sum"].sources == {0: "mix_relu", 1: "stem_relu"}
    assert (found["mix"].sources, found["mix"].weight) == ({}, "mix.w")  # its input is quantized before the Concat
    assert (found["pool"].kind, found["pool"].weight, found["pool"].output) == ("MaxPool", None, "pool")


def test_all_restored_computes_exactly_what_the_float_graph_does(pair: Pair) -> None:
    core, quantized = pair
    floats = restored(quantized, core, [each.name for each in operators(quantized, core)])
    onnx.checker.check_model(floats, full_check=True)
    assert _kinds(floats) == _kinds(core)
    assert _same(floats, core)


def test_none_restored_changes_nothing(pair: Pair) -> None:
    core, quantized = pair
    before = quantized.SerializeToString()
    for names in ([], ["no such node"], ["stem_relu"]):
        graph = restored(quantized, core, names)
        assert _kinds(graph) == _kinds(quantized)
        assert _same(graph, quantized)
    assert quantized.SerializeToString() == before


def test_one_restored_reads_floats_and_the_others_do_not(pair: Pair) -> None:
    core, quantized = pair
    before = core.SerializeToString(), quantized.SerializeToString()
    graph = restored(quantized, core, ["last"])
    onnx.checker.check_model(graph, full_check=True)
    kept = next(node for node in graph.graph.node if node.name == "last")
    weights = {tensor.name: tensor for tensor in graph.graph.initializer}
    originals = {tensor.name: tensor for tensor in core.graph.initializer}
    assert kept.input[0] == "sum"
    for place, name in ((1, "last.w"), (2, "last.b")):
        one, other = weights[kept.input[place]], originals[name]
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(one), onnx.numpy_helper.to_array(other))
    assert {each.name for each in operators(graph, core)} == {each.name for each in operators(quantized, core)} - {
        "last"
    }
    assert "sum" not in [node.input[0] for node in graph.graph.node if node.op_type == "QuantizeLinear"]
    assert (core.SerializeToString(), quantized.SerializeToString()) == before


def test_a_quantizer_that_another_operator_reads_stays(pair: Pair) -> None:
    core, quantized = pair
    graph = restored(quantized, core, ["left"])
    assert _inputs_of(graph, "left")[0] == "stem_relu"
    assert _inputs_of(graph, "right") == _inputs_of(quantized, "right")


def test_movers_go_with_their_readers(pair: Pair) -> None:
    core, quantized = pair
    graph = restored(quantized, core, ["mix"])
    assert _inputs_of(graph, "cat") == ["left_relu", "right_relu", "pool"]
    assert _inputs_of(graph, "pool") == ["stem_relu"]  # the pool goes with the Concat, which alone reads it
    assert not {"mix", "cat", "pool"} & {each.name for each in operators(graph, core)}
    assert "left" in {each.name for each in operators(graph, core)}


def test_a_mover_can_be_restored_without_its_reader(pair: Pair) -> None:
    core, quantized = pair
    graph = restored(quantized, core, ["cat"])
    assert _inputs_of(graph, "cat") == ["left_relu", "right_relu", "pool"]
    assert "mix" in {each.name for each in operators(graph, core)}  # with quantized weights


def test_restoring_twice_is_restoring_both(pair: Pair) -> None:
    core, quantized = pair
    both = restored(quantized, core, ["last", "linear"])
    one_by_one = restored(restored(quantized, core, ["last"]), core, ["linear"])
    assert _kinds(both) == _kinds(one_by_one)
    assert _same(both, one_by_one)
    assert not _same(both, quantized)
