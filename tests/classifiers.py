"""Small ONNX classifiers made by hand, and labelled pictures of which they are right by construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from PIL import Image

PLAIN = ("--mean", "0", "--std", "1", "--crop-fraction", "1")
"""The flags of the preprocessing that these networks are made for: pixels from 0 to 1, as they come."""

BIAS = "balance"


@dataclass
class Graph:
    """A graph that grows node by node; `node` and `constant` give the names of tensors."""

    size: tuple[int, int] = (32, 32)
    opset: int = 17
    batch: int | str = 1
    seed: int = 0
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = np.random.Generator(np.random.PCG64(self.seed))

    def constant(self, values: Any, kind: type = np.float32) -> str:
        """Numbers as an initializer."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def node(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """An operator with one output."""
        out = out or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [out], name=f"node_{len(self.nodes)}", **attributes))
        return out

    def convolution(self, source: str, inputs: int, outputs: int, side: int = 3, **attributes: Any) -> str:
        """A convolution with random weights and biases, and a ReLU after it."""
        groups = attributes.get("group", 1)
        scale = (2 * groups / (inputs * side * side)) ** 0.5
        weight = self.constant(self.dice.normal(0, scale, (outputs, inputs // groups, side, side)))
        bias = self.constant(self.dice.normal(0, 0.1, outputs))
        attributes.setdefault("pads", [side // 2] * 4)
        return self.node("Relu", self.node("Conv", source, weight, bias, **attributes))

    def head(self, source: str, channels: int, classes: int = 5, out: str = "logits") -> str:
        """Global average pool and a linear layer, whose bias `balanced` sets."""
        flat = self.node("Flatten", self.node("GlobalAveragePool", source))
        weight = self.constant(self.dice.normal(0, 3 / channels**0.5, (channels, classes)))
        self.constants.append(numpy_helper.from_array(np.zeros(classes, np.float32), BIAS))
        return self.node("Gemm", flat, weight, BIAS, out=out)

    def save(self, path: Path, outputs: Sequence[tuple[str, Sequence[int | str]]] = (("logits", (1, 5)),)) -> Path:
        """Writes the model, whose input is `x`, float32 (batch, 3, height, width)."""
        told = helper.make_tensor_value_info
        source = told("x", TensorProto.FLOAT, [self.batch, 3, *self.size])
        made = [told(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs]
        graph = helper.make_graph(self.nodes, "classifier", [source], made, self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
        return path


def patches(count: int, size: tuple[int, int] = (32, 32), seed: int = 0) -> NDArray[np.uint8]:
    """Pictures of coarse coloured patches, uint8 (count, height, width, 3)."""
    dice = np.random.Generator(np.random.PCG64(seed))
    coarse = dice.integers(0, 256, (count, 4, 4, 3))
    high, wide = size
    return coarse.repeat(-(-high // 4), 1).repeat(-(-wide // 4), 2)[:, :high, :wide].astype(np.uint8)


def answers(network: Path, pictures: NDArray[np.uint8], output: str | None = None) -> NDArray[np.float32]:
    """What the network says of pictures in ONNX Runtime, float32 (count, classes)."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(str(network), providers=["CPUExecutionProvider"])
    name, wanted = session.get_inputs()[0].name, None if output is None else [output]
    shown = (pictures / 255.0).astype(np.float32).transpose(0, 3, 1, 2)
    return np.stack([np.asarray(session.run(wanted, {name: each[None]})[0]).reshape(-1) for each in shown])


def balanced(network: Path, pictures: NDArray[np.uint8], output: str | None = None) -> Path:
    """Sets the bias of the last layer so that no class is answered to everything; gives the network again."""
    model = onnx.load(str(network))
    bias = next(each for each in model.graph.initializer if each.name == BIAS)
    bias.CopyFrom(numpy_helper.from_array(-answers(network, pictures, output).mean(0), BIAS))
    onnx.save(model, str(network))
    return network


def of_any_size(network: Path, out: Path) -> Path:
    """The same network with an input whose height and width are left open."""
    model = onnx.load(str(network))
    for place, name in ((2, "height"), (3, "width")):
        model.graph.input[0].type.tensor_type.shape.dim[place].dim_param = name
    onnx.save(model, str(out))
    return out


def labelled_by(network: Path, pictures: NDArray[np.uint8], folder: Path, output: str | None = None) -> Path:
    """Writes pictures and a table whose labels are the network's own answers in ONNX Runtime; gives the table."""
    folder.mkdir(parents=True)
    rows = ["path,label"]
    for place, answer in enumerate(answers(network, pictures, output)):
        Image.fromarray(pictures[place]).save(folder / f"{place}.png")
        rows.append(f"{place}.png,{int(answer.argmax())}")
    table = folder / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    return table
