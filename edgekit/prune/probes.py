"""ONNX graphs of single layers, many beside each other, for timing layers as they run inside an INT8 network.

Each layer gets a quantized input of its own and gives a quantized output, as between the layers of a network. The
input is the picture's mean, spread out to the layer's shape, so that nothing is constant and nothing is folded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgekit.prune.channels import Geometry

OPSET = 20
IR_VERSION = 10
PICTURE = (1, 4, 4, 3)


@dataclass(frozen=True)
class Probe:
    """One layer to time: its geometry and its channels."""

    geometry: Geometry
    inputs: int
    outputs: int

    def key(self) -> str:
        """A text that names the layer and nothing else."""
        return f"{self.geometry.name()}:{self.inputs}:{self.outputs}"


REFERENCE: Final = tuple(
    Probe(Geometry(kernel, (1, 1), padding, (1, 1), side, side), channels, channels)
    for kernel, padding, side, channels in (
        ((3, 3), (1, 1), 35, 64),
        ((1, 1), (0, 0), 17, 256),
        ((3, 3), (1, 1), 17, 128),
    )
)
"""Layers that are timed beside all others, whatever the network: how fast the machine is at the moment."""


def node_name(place: int) -> str:
    """Of the convolution of the probe at `place`; runtimes keep it in the names of what they execute."""
    return f"probe_{place}_conv"


def relu_name(place: int) -> str:
    """Of what follows that convolution."""
    return f"probe_{place}_relu"


def write_probes(probes: Sequence[Probe], path: Path, quantized: bool) -> None:
    """Writes one graph that holds the probes side by side: uint8 pixels in, one number a probe out."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], name="pixels", to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes_all"], ["level"], name="level", keepdims=1),
        helper.make_node("Reshape", ["level", "one"], ["seed"], name="seed"),
    ]
    constants: dict[str, NDArray[Any]] = {
        "axes_all": np.array([0, 1, 2, 3], np.int64),
        "axes_space": np.array([1, 2, 3], np.int64),
        "one": np.array([1, 1, 1, 1], np.int64),
        "scale": np.array(0.5, np.float32),
        "zero": np.array(0, np.uint8),
    }
    graph = _Writer(nodes, constants, quantized)
    outputs = [graph.probe(place, probe) for place, probe in enumerate(probes)]
    nodes.append(helper.make_node("Concat", outputs, ["logits"], name="logits", axis=1))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "probes",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, list(PICTURE))],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(probes)])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    model.ir_version = IR_VERSION
    onnx.save(model, str(path))


class _Writer:
    """Adds nodes and constants to a graph under way."""

    def __init__(self, nodes: list[onnx.NodeProto], constants: dict[str, NDArray[Any]], quantized: bool) -> None:
        self._nodes, self._constants, self._quantized = nodes, constants, quantized
        self._dice = np.random.Generator(np.random.PCG64(0))

    def probe(self, place: int, probe: Probe) -> str:
        """Adds a layer with what is before and after it; the name of its number."""
        name, shape = f"probe_{place}", (1, probe.inputs, probe.geometry.height, probe.geometry.width)
        self._constants[f"{name}_shape"] = np.array(shape, np.int64)
        self._add("Expand", ["seed", f"{name}_shape"], f"{name}_in")
        taken = self._between(f"{name}_in")
        made = self._add("Conv", [taken, self._weight(name, probe), self._bias(name, probe)], node_name(place), probe)
        made = self._between(self._add("Relu", [made], relu_name(place)))
        made = self._add("ReduceMean", [made, "axes_space"], f"{name}_mean", keepdims=0)
        self._constants.setdefault("row", np.array([1, 1], np.int64))
        return self._add("Reshape", [made, "row"], f"{name}_out")

    def _add(self, kind: str, inputs: list[str], name: str, probe: Probe | None = None, **attributes: int) -> str:
        told: dict[str, object] = dict(attributes)
        if probe is not None:
            told = _convolution(probe.geometry, _groups(probe))
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **told))
        return name

    def _between(self, tensor: str) -> str:
        if not self._quantized:
            return tensor
        self._add("QuantizeLinear", [tensor, "scale", "zero"], f"{tensor}_q")
        return self._add("DequantizeLinear", [f"{tensor}_q", "scale", "zero"], f"{tensor}_dq")

    def _weight(self, name: str, probe: Probe) -> str:
        inputs = probe.inputs // _groups(probe)
        shape = (probe.outputs, inputs, *probe.geometry.kernel)
        if not self._quantized:
            self._constants[f"{name}_weight"] = self._dice.standard_normal(shape, np.float32) * np.float32(0.05)
            return f"{name}_weight"
        self._constants[f"{name}_weight_q"] = self._dice.integers(-127, 128, shape, np.int8)
        self._constants[f"{name}_scale"] = np.full(probe.outputs, 0.001, np.float32)
        self._constants[f"{name}_zero"] = np.zeros(probe.outputs, np.int8)
        parts = [f"{name}_weight_q", f"{name}_scale", f"{name}_zero"]
        self._nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}_weight"], f"{name}_weight", axis=0))
        return f"{name}_weight"

    def _bias(self, name: str, probe: Probe) -> str:
        self._constants[f"{name}_bias"] = np.full(probe.outputs, 0.1, np.float32)
        return f"{name}_bias"


def _groups(probe: Probe) -> int:
    return 1 if probe.geometry.per_group is None else probe.inputs // probe.geometry.per_group[0]


def _convolution(geometry: Geometry, groups: int) -> dict[str, object]:
    return {
        "kernel_shape": list(geometry.kernel),
        "strides": list(geometry.stride),
        "pads": [*geometry.padding, *geometry.padding],
        "dilations": list(geometry.dilation),
        "group": groups,
    }
