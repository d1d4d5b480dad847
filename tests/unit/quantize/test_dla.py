"""Scales for a deep-learning accelerator: one for tensors that must share it, and what it leaves to the GPU."""

from __future__ import annotations

from pathlib import Path

import networks
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper

from edgekit.build.plan import planned
from edgekit.errors import InputError
from edgekit.models.onnx_graph import name_of
from edgekit.quantize.dla import plain, scales, shared, unpadded_means
from edgekit.quantize.signed import to_signed
from edgekit.recipe import merged
from edgekit.store import Store
from edgekit.targets import TARGETS, dla_leaves_means, find


def graph(nodes: list[onnx.NodeProto]) -> ir.Graph:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]) for name in ("a", "b")]
    model = helper.make_model(helper.make_graph(nodes, "g", ends, []), opset_imports=[helper.make_opsetid("", 17)])
    found: ir.Model = ir.from_proto(model)
    return found.graph


def test_pools_and_sums_share_a_scale(tmp_path: Path) -> None:
    model = to_signed(ir.from_proto(networks.quantized_by_nncf(networks.branching(), tmp_path)))
    told, shared = scales(model), dict[str, int]()
    for node in plain(model).graph:
        names = [name_of(value) for value in node.inputs if value is not None and value.const_value is None]
        if node.op_type in ("MaxPool", "GlobalAveragePool", "Concat"):
            shared[node.op_type] = len({told[name] for name in (*names, name_of(node.outputs[0]))})
        if node.op_type == "Add":
            shared[node.op_type] = len({told[name] for name in names})
    assert shared == {"MaxPool": 1, "GlobalAveragePool": 1, "Concat": 1, "Add": 1}


def test_a_shared_scale_is_the_widest_that_was_measured(tmp_path: Path) -> None:
    model = to_signed(ir.from_proto(networks.quantized_by_nncf(networks.branching(), tmp_path)))
    measured = {
        name_of(node.inputs[0]): float(node.inputs[1].const_value.numpy())
        for node in model.graph
        if node.op_type == "QuantizeLinear" and not node.inputs[0].is_initializer()
    }
    told = scales(model)
    groups = shared(list(plain(model).graph))
    assert groups
    for name, scale in measured.items():
        group = next((each for each in groups if name in each), {name})
        assert told[name] == max(measured[each] for each in group if each in measured)
        assert told[name] >= scale


def test_groups_have_no_tensor_in_common() -> None:
    nodes = [
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"]),
        helper.make_node("MaxPool", ["b"], ["e"], kernel_shape=[2, 2]),
        helper.make_node("Relu", ["d"], ["f"]),
    ]
    assert sorted(map(sorted, shared(list(graph(nodes))))) == [["a", "b", "e"], ["c", "d"]]


@pytest.mark.parametrize(
    ("attributes", "left"),
    [
        ({"pads": [1, 1, 1, 1]}, True),
        ({"pads": [1, 1, 1, 1], "count_include_pad": 1}, False),
        ({}, False),
        ({"pads": [0, 0, 0, 0]}, False),
        ({"auto_pad": "SAME_UPPER"}, True),
        ({"auto_pad": "VALID"}, False),
    ],
)
def test_means_that_leave_padding_out_are_named(attributes: dict[str, object], left: bool) -> None:
    node = helper.make_node("AveragePool", ["a"], ["m"], "mean", kernel_shape=[3, 3], **attributes)
    assert unpadded_means(graph([node])) == (["mean"] if left else [])


def test_which_accelerators_leave_them() -> None:
    found = {
        (name, release.tensorrt)
        for name, target in TARGETS.items()
        for release in target.releases
        if target.dla_cores and release.dla and dla_leaves_means(target, release)
    }
    assert found == {(f"jetson-{name}", each) for name in ("xavier-nx", "agx-xavier") for each in ("8.2", "8.4", "8.5")}


def test_a_core_that_a_target_has_not_is_refused(tmp_path: Path) -> None:
    def plan(core: int) -> None:
        asked = {"dla": True, "dla_core": core}
        planned(merged({}, {"model": "inception_v4", "target": "jetson-orin-nx", "tensorrt": asked}), Store(tmp_path))

    plan(find("jetson-orin-nx").dla_cores - 1)
    with pytest.raises(InputError, match="no DLA core 2"):
        plan(2)
