"""TensorRT where there is no GPU, and what its parser says: a package that does as the real one does without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.backends.tensorrt_builder import _require_gpu
from edgekit.backends.tensorrt_library import installed
from edgekit.errors import UnavailableError
from edgekit.runtime.tensorrt_build import parser_errors

RTX = pytest.mark.skipif(installed("tensorrt-rtx") is None, reason="TensorRT for RTX is not installed")

WITHOUT_GPU = """
class Logger:
    ERROR = 1
    def __init__(self, level): pass

class Builder:
    def __init__(self, logger):
        raise TypeError("pybind11::init(): factory function returned nullptr")
"""
"""As TensorRT's issues 308, 635 and 2913 tell it."""

CHECKED = """
import sys
from pathlib import Path
from edgekit.backends import CompileSettings
from edgekit.backends.tensorrt_library import installed
from edgekit.backends.tensorrt_on_device import compile
from edgekit.errors import InputError
assert installed("tensorrt") == "10.3.0"
try:
    print(compile(Path(sys.argv[1]), Path(sys.argv[2]), "fp32", CompileSettings(typed=True)).checked_by)
except InputError as error:
    print(error.what)
"""


def graph(path: Path, *operators: str) -> Path:
    """A float graph of operators in a row; those that ONNX does not know are of com.example."""
    names = ["x", *(f"t{place}" for place in range(len(operators)))]
    nodes = [
        helper.make_node(each, [names[place]], [names[place + 1]], f"node_{place}", domain=_domain(each))
        for place, each in enumerate(operators)
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in (names[0], names[-1])]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.example", 1)]
    made = helper.make_graph(nodes, "row", ends[:1], ends[1:])
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=8), str(path))
    return path


def _domain(operator: str) -> str:
    return "" if onnx.defs.has(operator) else "com.example"


def checked(tmp_path: Path, *operators: str) -> str:
    """What a build for a device says of a graph in a process that sees such a TensorRT."""
    site = tmp_path / "site"
    (site / "tensorrt").mkdir(parents=True)
    (site / "tensorrt" / "__init__.py").write_text(WITHOUT_GPU)
    (site / "tensorrt-10.3.0.dist-info").mkdir()
    (site / "tensorrt-10.3.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tensorrt\nVersion: 10.3.0\n"
    )
    (tmp_path / "out").mkdir()
    path = os.pathsep.join([str(site), *filter(None, sys.path)])
    command = [sys.executable, "-c", CHECKED, str(graph(tmp_path / "graph.onnx", *operators)), str(tmp_path / "out")]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@RTX
@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU")
def test_a_graph_for_a_device_is_read_by_the_parser_that_needs_no_gpu(tmp_path: Path) -> None:
    assert checked(tmp_path, "Relu", "Relu") == f"tensorrt-rtx {installed('tensorrt-rtx')}"


@RTX
@pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="there is a GPU")
def test_all_that_the_parser_refuses_is_told_with_node_and_operator(tmp_path: Path) -> None:
    told = checked(tmp_path, "NoSuchThing", "Relu", "NorThis")
    assert "graph.onnx" in told
    assert "node_0 (NoSuchThing): " in told
    assert "node_2 (NorThis): " in told


def test_a_builder_that_is_none_is_told_as_no_gpu() -> None:
    module: dict[str, type] = {}
    exec(WITHOUT_GPU, module)
    with pytest.raises(UnavailableError, match="no NVIDIA GPU"):
        _require_gpu(type("Module", (), module))


class Error(NamedTuple):
    place: int
    words: str

    def node(self) -> int:
        return self.place

    def desc(self) -> str:
        return self.words


class NewError(Error):
    """Of TensorRT 10."""

    def node_name(self) -> str:
        return f"conv_{self.place}" if self.place >= 0 else ""

    def node_operator(self) -> str:
        return "Conv" if self.place >= 0 else ""


class Parser(NamedTuple):
    errors: list[Error]

    @property
    def num_errors(self) -> int:
        return len(self.errors)

    def get_error(self, place: int) -> Error:
        return self.errors[place]


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ([NewError(1, "no\nkernel"), NewError(-1, "no")], "conv_1 (Conv): no kernel; the graph: no"),
        ([Error(3, "bad"), Error(5, "worse")], "node 3: bad; node 5: worse"),
        ([], "it gives no reason"),
    ],
)
def test_a_parsers_errors_are_one_line(errors: list[Error], told: str) -> None:
    assert parser_errors(Parser(errors)) == told


@RTX
def test_the_builder_tells_the_layers_of_an_engine_without_a_gpu(tmp_path: Path) -> None:
    from edgekit.backends import CompileSettings
    from edgekit.backends.tensorrt_builder import build

    made = build(graph(tmp_path / "g.onnx", "Relu"), tmp_path, "fp32", "tensorrt-rtx", CompileSettings(("8.6",)))
    assert made.layers
    assert all(layer.name and layer.kind and "Float" in layer.output for layer in made.layers)


@RTX
def test_which_tensorrt_a_process_uses_is_asked_of_polygraphy_and_not_of_the_environment() -> None:
    """The variable is read once, when Polygraphy is imported: what happens to it later decides nothing."""
    program = """
import os
from edgekit.backends.tensorrt_library import load_library
from edgekit.errors import UnavailableError
first = load_library("tensorrt-rtx")
del os.environ["POLYGRAPHY_USE_TENSORRT_RTX"]
assert load_library("tensorrt-rtx") is first
try:
    load_library("tensorrt")
except UnavailableError as error:
    print(error.what)
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert told.stdout == "tensorrt cannot be used in a process that has used the other TensorRT\n", told.stderr
