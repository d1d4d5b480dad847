"""ONNX graphs written by hand for tests: the operators, constants and outputs that are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

SIZE, CHANNELS, CLASSES = 16, 8, 5
F = np.float32


class Graph:
    """A graph under construction: `op` gives the name of what an operator makes, `keep` that of a constant."""

    def __init__(self, opset: int = 17, seed: int = 0) -> None:
        self.opset, self.dice = opset, np.random.Generator(np.random.PCG64(seed))
        self.nodes: list[Any] = []
        self.constants: list[TensorProto] = []
        self.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIZE, SIZE])]

    def input(self, dims: list[int | str], kind: int = TensorProto.FLOAT, name: str = "x") -> str:
        self.inputs = [helper.make_tensor_value_info(name, kind, dims)]
        return name

    def keep(self, array: Any, name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def ints(self, *numbers: int) -> str:
        return self.keep(np.array(numbers, np.int64))

    def floats(self, *shape: int) -> NDArray[np.float32]:
        return self.dice.normal(0, 1 / max(1, np.prod(shape[1:])) ** 0.5, shape).astype(F)

    def op(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        out = out or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=f"n{len(self.nodes)}", **attributes))
        return out

    def stem(self, x: str = "x", channels: int = 3) -> str:
        weight = self.keep(self.floats(CHANNELS, channels, 3, 3))
        return self.op("Relu", self.op("Conv", x, weight, pads=[1] * 4, strides=[2, 2]))

    def head(self, x: str, classes: int = CLASSES, out: str = "") -> str:
        flat = self.op("Flatten", self.op("GlobalAveragePool", x))
        return self.op("Gemm", flat, self.keep(3 * self.floats(classes, CHANNELS)), out=out, transB=1)

    def model(self, **outputs: list[int | str] | None) -> ModelProto:
        made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()]
        graph = helper.make_graph(self.nodes, "written", self.inputs, made, self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def run(model: ModelProto, given: NDArray[Any], output: str | None = None) -> NDArray[Any]:
    """What ONNX Runtime makes of the one input that a graph has."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = None if output is None else [output]
    return np.asarray(session.run(names, {session.get_inputs()[0].name: given})[0])


def picture(*shape: int) -> NDArray[np.float32]:
    """Normal numbers, (1, 3, 16, 16) by default."""
    return np.random.Generator(np.random.PCG64(5)).normal(0, 1, shape or (1, 3, SIZE, SIZE)).astype(F)
