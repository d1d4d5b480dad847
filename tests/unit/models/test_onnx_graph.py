"""Graphs as onnx_ir models: what edits leave as it was, what is written, what files say of themselves."""

from __future__ import annotations

import random
from pathlib import Path

import networks
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models.onnx_file import read_onnx
from edgekit.models.onnx_graph import (
    PixelFacts,
    add_constant,
    array_of,
    drop_unused,
    facts,
    load,
    opset_of,
    pixel_facts,
    save,
    set_constant,
    takes_pixels,
    to_proto,
    with_features,
    with_fixed_input,
)
from edgekit.models.opset import lower
from edgekit.models.pixel_input import with_preprocessing

HOW = Preprocessing(networks.SIZE, 1.0, "bicubic", (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), "bgr")


def graph(opset: int = 17) -> ir.Model:
    model: ir.Model = ir.from_proto(networks.branching(opset=opset))
    return model


def logits(model: ir.Model | ModelProto) -> NDArray[np.float64]:
    proto = to_proto(model) if isinstance(model, ir.Model) else model
    return networks.values(proto, ["linear"])["linear"]


@settings(deadline=None, max_examples=15)
@given(st.randoms(use_true_random=False))
def test_a_shuffled_graph_sorted_is_the_same_graph(dice: random.Random) -> None:
    proto = networks.branching()
    nodes = list(proto.graph.node)
    dice.shuffle(nodes)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    model: ir.Model = ir.from_proto(proto)
    model.graph.sort()
    made = to_proto(model)
    onnx.checker.check_model(made, full_check=True)
    assert sorted(node.name for node in made.graph.node) == sorted(node.name for node in nodes)
    np.testing.assert_array_equal(logits(made), logits(networks.branching()))
    again = [node.name for node in model.graph]
    model.graph.sort()
    assert [node.name for node in model.graph] == again


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["Relu", "Abs", "Add"])), max_size=6))
def test_what_leads_nowhere_can_go_and_nothing_else(dead: list[tuple[int, str]]) -> None:
    model = graph()
    before = to_proto(model).SerializeToString()
    for number, (place, kind) in enumerate(dead):
        known = [value for node in model.graph for value in node.outputs]  # of other dead nodes too
        source, more = known[place % len(known)], []
        if kind == "Add":
            more = [add_constant(model.graph, f"dead_{number}_by", np.ones(1, np.float32))]
        node = ir.node(kind, [source, *more], outputs=[ir.Value(name=f"dead_{number}")], name=f"dead_{number}")
        model.graph.append(node)
    assert (to_proto(model).SerializeToString() != before) == bool(dead)
    drop_unused(model)
    assert to_proto(model).SerializeToString() == before


def test_files_are_the_same_each_time_and_say_no_shape_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save(with_preprocessing(graph(), HOW), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    save(load(tmp_path / "one"), tmp_path / "three")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "three").read_bytes()
    made = onnx.load(str(tmp_path / "one")).graph
    assert not {info.name for info in made.value_info} & {tensor.name for tensor in made.initializer}


def test_a_copy_can_be_changed_alone() -> None:
    model = graph()
    before = to_proto(model).SerializeToString()
    other = model.clone()
    set_constant(other.graph.initializers["linear.b"], np.zeros(networks.CLASSES, np.float16))
    assert other.graph.initializers["linear.b"].dtype == ir.DataType.FLOAT16
    assert array_of(model.graph.initializers["linear.b"]).any()
    for made in (
        with_fixed_input(model, (networks.SIZE, networks.SIZE)),
        with_preprocessing(model, HOW),
        with_features(model),
    ):
        assert made is not model
    assert to_proto(model).SerializeToString() == before


def test_shapes_are_inferred_and_constants_stay_in_their_order() -> None:
    proto = networks.branching()
    for place, name in ((0, "batch"), (2, "height"), (3, "width")):
        proto.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    model = with_fixed_input(ir.from_proto(proto), (16, 16))
    assert list(model.graph.initializers) == [tensor.name for tensor in proto.graph.initializer]
    made = to_proto(model)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in made.graph.value_info
    }
    assert shapes["cat"] == [1, 24, 16, 16]
    assert shapes["pooled"] == [1, 16, 1, 1]
    found = facts(model)
    assert (found.layout, found.height, found.width, found.classes) == ("NCHW", 16, 16, networks.CLASSES)
    assert found.params == sum(int(np.prod(tensor.dims)) for tensor in proto.graph.initializer)
    assert found.macs == 16 * 16 * (8 * 27 + 8 * 72 + 8 * 8 + 8 * 24 + 16 * 72) + 16 * networks.CLASSES
    with pytest.raises(InputError, match="16 pixels, not 20"):
        with_fixed_input(model, (20, 20))


def test_features_are_what_the_last_layer_reads() -> None:
    made = with_features(graph())
    assert [value.name for value in made.graph.outputs] == ["flat"]
    assert "linear" not in [node.name for node in made.graph]
    np.testing.assert_array_equal(
        networks.values(to_proto(made), ["flat"])["flat"], networks.values(networks.branching(), ["flat"])["flat"]
    )


@pytest.mark.parametrize("opset", [13, 15])
def test_an_older_opset_computes_the_same(opset: int) -> None:
    proto = networks.branching(opset=18)
    mean = next(node for node in proto.graph.node if node.op_type == "GlobalAveragePool")
    mean.op_type = "ReduceMean"
    mean.input.append("space")
    proto.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "space"))
    made = lower(ir.from_proto(proto), opset)
    assert opset_of(made) == opset
    assert "space" not in made.graph.initializers
    np.testing.assert_array_equal(logits(made), logits(proto))
    assert lower(made, 20) is made


def test_what_takes_pixels_says_so(tmp_path: Path) -> None:
    save(graph(), tmp_path / "plain.onnx")
    save(with_preprocessing(graph(), HOW), tmp_path / "pixels.onnx")
    assert not takes_pixels(tmp_path / "plain.onnx")
    assert takes_pixels(tmp_path / "pixels.onnx")
    assert pixel_facts(tmp_path / "pixels.onnx") == PixelFacts(
        (networks.SIZE, networks.SIZE), networks.CLASSES, False, False
    )


def test_an_attribute_that_no_graph_here_can_have_is_refused(tmp_path: Path) -> None:
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("i", TensorProto.INT64, [1], [0]),
        [4],
    )
    node = helper.make_node("Constant", [], ["y"], sparse_value=sparse)
    made = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "sparse.onnx"))
    with pytest.raises(InputError, match=r"is no ONNX network: .*Sparse"):
        read_onnx(tmp_path / "sparse.onnx")
