"""Torch networks from ONNX graphs: the same function, pruning, refusals that tell the operator."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn
from torch_networks import (
    NETWORKS,
    SIZE,
    Arrays,
    Dense,
    exported,
    floats,
    graph_of,
    images,
    made,
    some,
)

from edgekit.errors import InputError
from edgekit.models import from_onnx
from edgekit.models.from_onnx import to_torch
from edgekit.prune.surgery import silenced, slimmed
from edgekit.prune.tracing import trace


def network_of(model: onnx.ModelProto) -> nn.Module:
    return to_torch(ir.from_proto(model))


def by_onnxruntime(model: onnx.ModelProto, x: Tensor) -> Tensor:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {session.get_inputs()[0].name: x.numpy()})[0])


def agree(a: Tensor, b: Tensor, within: float = 1e-5) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() < within)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_same_function_and_the_same_names_come_back(kind: Callable[[], nn.Module]) -> None:
    network = made(kind)
    back: Any = network_of(exported(network))
    with torch.no_grad():
        assert agree(back(images()), network(images()))
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert back.constant_names == {name: f"{name}.weight" for name in layers}
    assert copy.deepcopy(back).constant_names == back.constant_names


def test_batch_norms_come_back_where_the_exporter_leaves_them() -> None:
    network = made(Dense)
    back = network_of(exported(network))
    state = back.state_dict()
    assert sum(isinstance(module, nn.BatchNorm2d) for module in back.modules()) == 4
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_comes_back_can_be_pruned_and_exported_again(kind: Callable[[], nn.Module]) -> None:
    back = network_of(exported(made(kind)))
    graph = trace(back, (SIZE, SIZE))
    assert graph.units > 0
    keep = some(graph)
    small = slimmed(back, graph, keep).eval()
    with torch.no_grad():
        assert agree(small(images()), silenced(back, graph, keep)(images()), 1e-4)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in back.parameters())
    again = exported(small)
    assert agree(by_onnxruntime(again, images(1)), small(images(1)).detach(), 1e-4)
    assert agree(network_of(again)(images()).detach(), small(images()).detach(), 1e-4)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_comes_back_can_be_trained(kind: Callable[[], nn.Module]) -> None:
    back = network_of(exported(made(kind))).train()
    back(images()).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in back.parameters())


def hand_made(shape: tuple[int | str, ...] = ("batch", 3, SIZE, SIZE)) -> onnx.ModelProto:
    constants = {"w": floats(8, 3, 3, 3), "scale": floats(8) + 1, "shift": floats(8), "mean": floats(8),
                 "variance": floats(8) ** 2 + 0.5, "low": np.array(-0.2, np.float32), "high": np.array(0.4, np.float32),
                 "fc.weight": floats(8, 7), "b": floats(7), "m": floats(7, 5), "n": floats(5),
                 "two": floats(2, 8, 1, 1)}  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], "first/Conv", strides=[2, 2], auto_pad="SAME_UPPER"),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["d"], epsilon=1e-3),
        helper.make_node("Clip", ["d", "low", "high"], ["e"]),
        helper.make_node("AveragePool", ["e"], ["f"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
        helper.make_node("AveragePool", ["f"], ["g"], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"),
        helper.make_node("MaxPool", ["g"], ["h"], kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 0, 0]),
        helper.make_node("GlobalAveragePool", ["h"], ["i"]),
        helper.make_node("Flatten", ["i"], ["j"]),
        helper.make_node("Gemm", ["j", "fc.weight", "b"], ["k"], "gemm"),
        helper.make_node("MatMul", ["k", "m"], ["l"]),
        helper.make_node("Add", ["l", "n"], ["out"]),
        helper.make_node("Conv", ["d", "two"], ["nobody's"]),
    ]
    return graph_of(nodes, constants, shape)


def test_a_graph_made_by_hand() -> None:
    model = hand_made()
    back: Any = network_of(model)
    assert agree(back(images()).detach(), by_onnxruntime(model, images()))
    assert back.constant_names == {"first_Conv": "w", "fc": "fc.weight", "l": "m", "nobody_s": "two"}
    assert {type(module) for module in back.children()} == {nn.Conv2d, nn.BatchNorm2d, nn.Linear}
    graph = trace(back, (SIZE, SIZE))
    assert {group.name: group.width for group in graph.groups} == {"first_Conv": 8, "fc": 7}
    keep = some(graph)
    silent = silenced(back, graph, keep)
    assert agree(slimmed(back, graph, keep)(images()), silent(images()), 1e-4)
    assert exported(slimmed(back, graph, keep)).graph.node


def test_a_constant_for_each_channel_keeps_the_channels_that_it_meets() -> None:
    nodes = [
        helper.make_node("Sub", ["image", "mean"], ["a"]),
        helper.make_node("Conv", ["a", "one.weight"], ["b"]),
        helper.make_node("Conv", ["b", "two.weight"], ["c"]),
        helper.make_node("Mul", ["c", "channels"], ["d"]),
        helper.make_node("Concat", ["b", "d"], ["e"], axis=1),
        helper.make_node("Conv", ["e", "three.weight"], ["f"]),
        helper.make_node("ReduceMean", ["f", "hw"], ["out"], keepdims=0),
    ]
    constants = {"mean": floats(3, 1, 1), "one.weight": floats(4, 3, 1, 1), "two.weight": floats(6, 4, 1, 1),
                 "channels": floats(6, 1, 1), "three.weight": floats(5, 10, 1, 1), "hw": np.array([2, 3])}  # fmt: skip
    model = graph_of(nodes, constants)
    back = network_of(model)
    assert agree(back(images(1)).detach(), by_onnxruntime(model, images(1)))
    graph = trace(back, (SIZE, SIZE))
    assert [(group.name, group.width) for group in graph.groups] == [("one", 4)]
    keep = some(graph)
    assert agree(slimmed(back, graph, keep)(images()), silenced(back, graph, keep)(images()), 1e-4)


@pytest.mark.parametrize("to", [(-1, 1, 1, 8), (1, 1, 8), (1, 8, 1, 1)])
def test_one_pixel_may_be_turned_before_it_is_flattened(to: tuple[int, ...]) -> None:
    """As networks from TensorFlow have it, whose classifier takes NHWC."""
    nodes = [
        helper.make_node("Conv", ["image", "one.weight"], ["a"]),
        helper.make_node("GlobalAveragePool", ["a"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "to"], ["turned"]),
        helper.make_node("Reshape", ["turned", "flat"], ["features"]),
        helper.make_node("Gemm", ["features", "two.weight"], ["out"]),
    ]
    constants = {
        "one.weight": floats(8, 3, 1, 1),
        "two.weight": floats(8, 5),
        "to": np.array(to),
        "flat": np.array([-1, 8]),
    }
    model = graph_of(nodes, constants)
    back = network_of(model)
    assert agree(back(images(1)).detach(), by_onnxruntime(model, images(1)))
    graph = trace(back, (SIZE, SIZE))
    assert [(group.name, group.width) for group in graph.groups] == [("one", 8)]


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes"),
    [
        ("Relu", ["image"], {}), ("LeakyRelu", ["image"], {}), ("Sigmoid", ["image"], {}), ("Tanh", ["image"], {}),
        ("Elu", ["image"], {"alpha": 0.7}), ("HardSwish", ["image"], {}), ("HardSigmoid", ["image"], {}),
        ("HardSigmoid", ["image"], {"alpha": 1 / 6}), ("Softmax", ["image"], {"axis": 1}), ("Dropout", ["image"], {}),
        ("Identity", ["image"], {}), ("Cast", ["image"], {"to": TensorProto.FLOAT}), ("GlobalMaxPool", ["image"], {}),
        ("Clip", ["image", "zero", "six"], {}), ("Clip", ["image", "", "zero"], {}), ("Add", ["image", "image"], {}),
        ("Add", ["zero", "image"], {}), ("Sub", ["six", "image"], {}), ("Mul", ["channels", "image"], {}),
        ("Div", ["image", "six"], {}), ("Concat", ["image", "image"], {"axis": -3}), ("Pad", ["image", "around"], {}),
        ("Reshape", ["image", "flat"], {}), ("ReduceMean", ["image", "space"], {}),
        ("MaxPool", ["image"], {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
        ("AveragePool", ["image"], {"kernel_shape": [3, 2], "strides": [2, 1], "ceil_mode": 1}),
        ("AveragePool", ["image"], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [0, 0, 1, 1]}),
        ("Conv", ["image", "weight"], {"group": 3, "pads": [0, 1, 2, 1], "dilations": [2, 1]}),
    ],
)  # fmt: skip
def test_each_operator_computes_what_onnx_says(kind: str, inputs: list[str], attributes: dict[str, Any]) -> None:
    constants = {"zero": np.array(0, np.float32), "six": np.array([6], np.float32), "channels": floats(3, 1, 1),
                 "around": np.array([0, 0, 1, 2, 0, 0, 3, 0]), "flat": np.array([0, -1]), "space": np.array([-1, 2]),
                 "weight": floats(6, 1, 3, 2)}  # fmt: skip
    used = {name: value for name, value in constants.items() if name in inputs}
    model = graph_of([helper.make_node(kind, inputs, ["out"], **attributes)], used)
    back = network_of(model)
    assert agree(back(images(1)).detach(), by_onnxruntime(model, images(1)))
    assert back(images(3)).shape[0] == 3


def test_constants_may_come_from_nodes() -> None:
    weight, classes = floats(4, 3, 1, 1), floats(5, 4)
    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(weight)),
        helper.make_node("Conv", ["image", "w"], ["a"], "conv"),
        helper.make_node("GlobalAveragePool", ["a"], ["b"]),
        helper.make_node("Squeeze", ["b", "last"], ["c"]),
        helper.make_node("Squeeze", ["c", "last"], ["d"]),
        helper.make_node("Transpose", ["head.weight"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["d", "turned"], ["out"], "head/MatMul"),
    ]
    model = graph_of(nodes, {"head.weight": classes, "last": np.array([-1])})
    back: Any = network_of(model)
    assert agree(back(images(1)).detach(), by_onnxruntime(model, images(1)))
    assert back.constant_names == {"conv": "w", "head": "head.weight"}


def test_an_nhwc_graph_becomes_a_network_that_takes_nchw() -> None:
    nodes = [
        helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["turned", "w"], ["out"]),
    ]
    model = graph_of(nodes, {"w": floats(4, 3, 1, 1)}, (1, SIZE, SIZE, 3))
    wanted = by_onnxruntime(model, images(1).permute(0, 2, 3, 1).contiguous())
    assert agree(network_of(model)(images(1)).detach(), wanted)


@pytest.mark.parametrize(
    "name",
    [
        "__import__('pathlib').Path('{}').touch()", "a');__import__('pathlib').Path('{}').touch();('",
        "a\n    import pathlib; pathlib.Path('{}').touch()\n", '0"]; x', "class", "forward", "..", "", "a..b",
        "first", "first.below", "\u00fc.\u5377",
    ],
)  # fmt: skip
def test_names_are_only_names(name: str, tmp_path: Path) -> None:
    name = name.replace("{}", str(tmp_path / "touched"))
    nodes = [
        helper.make_node("Conv", ["image", "first.weight"], ["a"], name),
        helper.make_node("Conv", ["a", f"{name}.weight"], ["b"], name),
        helper.make_node("Mul", ["b", f"{name}.scale"], ["c"], name),
        helper.make_node("Conv", ["c", f"{name}.bias"], ["out"], name),
    ]
    constants = {"first.weight": floats(4, 3, 1, 1), f"{name}.weight": floats(5, 4, 1, 1)}
    if name == "first":
        constants = {"first.weight": floats(4, 3, 1, 1), "second.weight": floats(5, 4, 1, 1)}
        nodes[1].input[1] = "second.weight"
    model = graph_of(nodes, {**constants, f"{name}.scale": floats(5, 1, 1), f"{name}.bias": floats(2, 5, 1, 1)})
    back: Any = network_of(model)
    wanted = ReferenceEvaluator(model).run(None, {"image": images(1).numpy()})[0]  # onnxruntime wants unlike names
    assert agree(back(images(1)).detach(), torch.from_numpy(wanted))
    assert agree(copy.deepcopy(back)(images(1)).detach(), back(images(1)).detach())
    assert list(back.constant_names.values()) == [node.input[1] for node in nodes if node.op_type == "Conv"]
    assert all(part.replace("_", "a").isalnum() for path in back.constant_names for part in path.split("."))
    assert not (tmp_path / "touched").exists()


CONV = {"w": floats(3, 3, 1, 1)}
NOTHING = helper.make_graph([], "nothing", [], [])


@pytest.mark.parametrize(
    ("nodes", "constants", "said"),
    [
        ([("Gelu", ["image"], {})], {}, "operator Gelu (node here)"),
        ([("Conv", ["image", "w"], {"domain": "other"})], CONV, "operator other.Conv (node here)"),
        ([("If", ["yes"], {"then_branch": NOTHING, "else_branch": NOTHING})], {"yes": np.array(True)}, "operator If"),
        ([("Shape", ["image"], {})], {}, "operator Shape"),
        ([("Relu", ["image"], {}), ("Conv", ["image", "t0"], {})], {}, "operator Conv (node here): its input 1 is not"),
        ([("Conv", ["image", "w"], {}), ("Conv", ["t0", "w"], {})], CONV, "operator Conv (node here): another layer"),
        ([("Conv", ["image", "d"], {})], {"d": floats(3, 3, 1, 1).astype(np.float64)}, "is float64, not float32"),
        ([("Conv", ["image", "w"], {"group": 2})], {"w": floats(3, 2, 1, 1)}, "divisible by groups"),
        ([("Transpose", ["image"], {"perm": [0, 2, 3, 1]})], {}, "operator Transpose"),
        ([("Reshape", ["image", "s"], {})], {"s": np.array([1, 3, -1])}, "operator Reshape (node here): it does not"),
        ([("Softmax", ["image"], {}), ("Cast", ["t0"], {"to": TensorProto.FLOAT16})], {}, "operator Cast"),
        ([("Pad", ["image", "p"], {"mode": "reflect"})], {"p": np.array([0, 0, 1, 1] * 2)}, "operator Pad"),
        ([("ReduceMean", ["image", "a"], {})], {"a": np.array([1])}, "operator ReduceMean (node here): it is not over"),
        ([("Concat", ["image", "image"], {"axis": 2})], {}, "operator Concat (node here): it is not along"),
        ([("Div", ["one", "image"], {})], {"one": np.array(1, np.float32)}, "operator Div"),
        ([("Clip", ["image"], {})], {}, "operator Clip"),
        ([("Flatten", ["image"], {}), ("Gemm", ["t0", "g"], {"alpha": 0.5})], {"g": floats(1728, 2)}, "operator Gemm"),
        ([("AveragePool", ["image"], {"kernel_shape": [2, 2], "pads": [0, 0, 1, 1], "count_include_pad": 1})], {},
         "operator AveragePool"),
        ([("MaxPool", ["image"], {"kernel_shape": [3, 3], "pads": [2, 2, 0, 0]})], {}, "operator MaxPool"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_by_name(nodes: list[Any], constants: Arrays, said: str) -> None:
    made_nodes = [
        helper.make_node(kind, inputs, ["out" if n == len(nodes) - 1 else f"t{n}"], "here", **attributes)
        for n, (kind, inputs, attributes) in enumerate(nodes)
    ]
    with pytest.raises(InputError) as caught:
        network_of(graph_of(made_nodes, constants))
    assert caught.value.what.startswith("the ONNX graph cannot be turned into a torch network: operator ")
    assert said in caught.value.what
    assert caught.value.hint == "Build it with --prune none."


def test_what_is_open_or_old_or_constant_is_refused() -> None:
    relu = [helper.make_node("Relu", ["image"], ["out"])]
    with pytest.raises(InputError, match="size of its input is open"):
        network_of(graph_of(relu, shape=(1, 3, "height", "width")))
    old = graph_of(relu)
    old.opset_import[0].version = 12
    with pytest.raises(InputError, match="opset is older than 13"):
        network_of(old)
    constant = [helper.make_node("Identity", ["w"], ["out"])]
    with pytest.raises(InputError, match="one output that depends on the image"):
        network_of(graph_of(constant, CONV))


def test_an_open_size_is_taken_from_what_is_told() -> None:
    model = graph_of([helper.make_node("Conv", ["image", "w"], ["out"])], CONV, (1, 3, "height", "width"))
    back = to_torch(ir.from_proto(model), (SIZE, SIZE), checked=True)
    assert agree(back(images(1)).detach(), by_onnxruntime(model, images(1)))


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_comes_back_is_compared_with_onnxruntime(kind: Callable[[], nn.Module]) -> None:
    pytest.importorskip("onnxruntime")
    to_torch(ir.from_proto(exported(made(kind))), checked=True)


def test_another_function_is_refused_by_the_name_of_its_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setitem(from_onnx.OPERATORS, "Tanh", lambda op: op.call(torch.sigmoid, op.x()))
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["a"], "first"),
        helper.make_node("Relu", ["a"], ["b"], "second"),
        helper.make_node("Tanh", ["b"], ["c"], "third"),
        helper.make_node("Relu", ["c"], ["out"], "fourth"),
    ]
    with pytest.raises(InputError, match=r"operator Tanh \(node third\): it computes something else in torch"):
        to_torch(ir.from_proto(graph_of(nodes, CONV)), checked=True)


def test_a_graph_that_onnxruntime_does_not_run_is_refused() -> None:
    pytest.importorskip("onnxruntime")
    nodes = [helper.make_node("Conv", ["image", "w"], ["a"]), helper.make_node("Dropout", ["a"], ["out"])]
    model = graph_of(nodes, CONV)
    model.ir_version = 99
    with pytest.raises(InputError, match="ONNX Runtime does not run it"):
        to_torch(ir.from_proto(model), checked=True)
