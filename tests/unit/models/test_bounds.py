"""ONNX files of a few bytes that ask for more than any machine has, or for files that are not theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import InputError
from edgekit.models.answer import TOLD_NOTHING
from edgekit.models.bounds import refuse_endless
from edgekit.models.canonical import canonical
from edgekit.models.external_data import external_files
from edgekit.models.graph_input import peek
from edgekit.models.onnx_file import read_proto


def saved(path: Path, nodes: list[Any], given: dict[str, Any], shape: list[Any] | None = None, **more: Any) -> Path:
    """A graph from `x`, pictures of 8 by 8 unless told otherwise, to `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape or [1, 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in given.items()],
    )
    opsets = [helper.make_opsetid("", 17), *more.pop("opsets", [])]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8, **more).SerializeToString())
    return path


HUGE = np.array([1 << 20, 1 << 20])


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "given"),
    [
        ("ConstantOfShape", ["n"], {}, {"n": HUGE}),
        ("Expand", ["one", "n"], {}, {"one": np.ones((1, 1), np.float32), "n": HUGE}),
        ("Tile", ["one", "n"], {}, {"one": np.ones((1, 1), np.float32), "n": HUGE}),
        ("Range", ["a", "b", "c"], {}, {"a": np.array(0.0), "b": np.array(1e12), "c": np.array(1.0)}),
        ("Pad", ["x", "n"], {}, {"n": np.array([0, 0, 0, 0, 0, 0, 1 << 20, 1 << 20])}),
        ("Conv", ["x", "w"], {"pads": [1 << 19] * 4}, {"w": np.ones((4, 3, 1, 1), np.float32)}),
        ("Resize", ["x", "", "", "n"], {}, {"n": np.array([1, 3, 1 << 20, 1 << 20])}),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_tensor_that_no_memory_holds_is_not_made(
    tmp_path: Path, kind: str, inputs: list[str], attributes: dict[str, Any], given: dict[str, Any]
) -> None:
    nodes = [
        helper.make_node(kind, inputs, ["huge"], **attributes),
        helper.make_node("ReduceMax", ["huge"], ["h"], keepdims=0),
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Add", ["f", "h"], ["y"]),
    ]
    if kind == "Range":
        given = {key: value.astype(np.float32) for key, value in given.items()}
    path = saved(tmp_path / "it.onnx", nodes, given)
    assert path.stat().st_size < 1000
    with pytest.raises(InputError, match="more than memory holds"):
        canonical(path, TOLD_NOTHING, (8, 8))


@pytest.mark.parametrize("shape", [[1, 3, 1 << 20, 1 << 20], [1 << 30, 3, 224, 224], [1, 3, 1 << 40, 1]])
def test_an_input_that_no_memory_holds_is_refused(tmp_path: Path, shape: list[int]) -> None:
    path = saved(tmp_path / "it.onnx", [helper.make_node("Flatten", ["x"], ["y"])], {}, shape)
    with pytest.raises(InputError, match="more pixels than fit into memory"):
        peek(path, TOLD_NOTHING)


def test_an_initializer_whose_numbers_are_not_there(tmp_path: Path) -> None:
    path = saved(tmp_path / "it.onnx", [helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.ones(1, np.float32)})
    model = onnx.load(str(path))
    model.graph.initializer[0].dims[:] = [1 << 40]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError):
        canonical(path, TOLD_NOTHING, (8, 8))


def doubling(levels: int, last: str) -> list[onnx.FunctionProto]:
    """Functions that each call the one before twice; the first calls `last`."""
    made = []
    for level in range(levels):
        called, domain = (f"f{level - 1}", "own") if level else (last, "own" if last.startswith("f") else "")
        nodes = [helper.make_node(called, [a], [b], domain=domain) for a, b in (("a", "b"), ("b", "c"))]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        made.append(helper.make_function("own", f"f{level}", ["a"], ["c"], nodes, opsets))
    return made


@pytest.mark.parametrize(
    ("functions", "words"),
    [(doubling(60, "Relu"), "nodes once its functions are written out"), (doubling(3, "f2"), "calls itself")],
    ids=["doubling", "circle"],
)
def test_functions_that_have_no_end_are_not_written_out(tmp_path: Path, functions: Any, words: str) -> None:
    nodes = [
        helper.make_node(functions[-1].name, ["x"], ["h"], domain="own"),
        helper.make_node("Flatten", ["h"], ["y"]),
    ]
    more = {"functions": functions, "opsets": [helper.make_opsetid("own", 1)]}
    path = saved(tmp_path / "it.onnx", nodes, {}, **more)
    with pytest.raises(InputError, match=words):
        canonical(path, TOLD_NOTHING, (8, 8))


def test_a_few_functions_are_written_out(tmp_path: Path) -> None:
    functions = doubling(3, "Relu")
    nodes = [helper.make_node("f2", ["x"], ["h"], domain="own"), helper.make_node("Flatten", ["h"], ["y"])]
    path = saved(tmp_path / "it.onnx", nodes, {}, functions=functions, opsets=[helper.make_opsetid("own", 1)])
    refuse_endless(onnx.load(str(path)))
    assert canonical(path, TOLD_NOTHING, (8, 8)).facts.classes == 192


@pytest.fixture
def beside(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a network that keeps a weight in a file of some name."""
    (tmp_path / "secret").write_bytes(b"\0" * 768)
    folder = tmp_path / "model"
    folder.mkdir()

    def make(location: str, **more: object) -> Path:
        given = {"w": np.zeros((1, 3, 8, 8), np.float32)}
        path = saved(folder / "it.onnx", [helper.make_node("Add", ["x", "w"], ["y"])], given)
        model = onnx.load(str(path))
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **more}.items():
            tensor.external_data.add(key=key, value=str(value))
        path.write_bytes(model.SerializeToString())
        return path

    return make


@pytest.mark.parametrize(
    "name", ["../secret", "{}/secret", "link", "folder/link", "pipe", "a\0b", "x" * 5000, "circle", "."]
)
def test_weights_elsewhere_are_not_read(beside: Callable[..., Path], tmp_path: Path, name: str) -> None:
    import os

    folder = tmp_path / "model"
    (folder / "folder").mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "folder" / "link").symlink_to(tmp_path / "secret")
    (folder / "circle").symlink_to(folder / "circle")
    os.mkfifo(folder / "pipe")
    path = beside(name.format(tmp_path))
    assert external_files(path) == []
    with pytest.raises(InputError, match="cannot be read"):
        read_proto(path)


@pytest.mark.parametrize(
    "more", [{"length": 1 << 60}, {"offset": 1 << 60}, {"offset": -1}, {"length": -5}, {"length": "x"}]
)
def test_places_in_a_file_that_it_has_not(beside: Callable[..., Path], tmp_path: Path, more: dict[str, object]) -> None:
    (tmp_path / "model" / "w.bin").write_bytes(b"\0" * 768)
    with pytest.raises(InputError):
        canonical(beside("w.bin", **more), TOLD_NOTHING, (8, 8))
