"""Cross-layer equalisation: a network's channels are scaled so that they share the levels of INT8 evenly.

A channel may be divided by a positive number where it is made and multiplied where it is read, and the network computes
the same, as long as what lies between is positively homogeneous: ReLU, pooling, concatenation (Nagel et al. 2019, arXiv
1906.04721). The number is the root of the channel's range over that of the weights that read it, which makes both as
wide as each other (Xiao et al. 2022, arXiv 2211.10438, with a strength of one half).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper, shape_inference

from edgekit.models.onnx_graph import integer_of

HOMOGENEOUS: Final = frozenset(
    {"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Identity", "Dropout"}
)
SPATIAL: Final = frozenset({"ReduceMean", "Flatten", "Reshape", "Squeeze"})
"""Operators that keep channels apart where the other dimensions are averaged, or are one pixel."""

WIDEST: Final = 1e3
"""Channels are scaled by no more than this from the middle one: a channel that is nearly dead has no range."""


@dataclass(frozen=True)
class Reader:
    """A layer that reads a producer's channels: its node, its weight, the axis of input channels, the first of them."""

    node: str
    weight: str
    axis: int
    first: int


@dataclass(frozen=True)
class Link:
    """One convolution whose channels can be scaled, the tensor that its range is seen at, and all that read it."""

    node: str
    weight: str
    bias: str | None
    seen: str
    readers: tuple[Reader, ...]


def links(core: ModelProto) -> list[Link]:
    """The convolutions of a float graph whose output channels can be scaled without changing what it computes."""
    graph = _Graph(core)
    found = []
    for node in graph.nodes:
        if node.op_type != "Conv" or not graph.owns(node, 1) or (len(node.input) > 2 and not graph.owns(node, 2)):
            continue
        readers = graph.readers_of(node.output[0], 0)
        if readers:
            bias = node.input[2] if len(node.input) > 2 else None
            found.append(Link(node.name, node.input[1], bias, graph.activated(node.output[0]), tuple(readers)))
    return found


def equalised(core: ModelProto, found: list[Link], ranges: Mapping[str, NDArray[np.float32]]) -> ModelProto:
    """The same network with its channels equalised.

    Args:
        found: what `links` told of it.
        ranges: lowest and highest value by channel, (2, C), of every link's `seen`.
    """
    out = ModelProto()
    out.CopyFrom(core)
    tensors = {tensor.name: tensor for tensor in out.graph.initializer}
    values = {name: np.array(numpy_helper.to_array(tensors[name])) for name in _touched(found)}
    for link in found:
        scale = _scales(link, np.abs(ranges[link.seen]).max(0), values)
        values[link.weight] /= scale.reshape(-1, *[1] * (values[link.weight].ndim - 1))
        if link.bias is not None:
            values[link.bias] /= scale
        for reader in link.readers:
            part = _part(values[reader.weight], reader, len(scale))
            part *= scale.reshape([-1 if axis == reader.axis else 1 for axis in range(part.ndim)])
    for name, value in values.items():
        tensors[name].CopyFrom(numpy_helper.from_array(value.astype(np.float32), name))
    return out


def _touched(found: list[Link]) -> set[str]:
    names = {link.weight for link in found} | {link.bias for link in found if link.bias is not None}
    return names | {reader.weight for link in found for reader in link.readers}


def _part(weight: NDArray[Any], reader: Reader, count: int) -> NDArray[Any]:
    """A view of the weights that read `count` channels."""
    place = [slice(None)] * weight.ndim
    place[reader.axis] = slice(reader.first, reader.first + count)
    return weight[tuple(place)]


def _scales(link: Link, reach: NDArray[np.float32], values: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """(C,) what each channel is divided by; 1 for channels that are never anything but zero."""
    widest = np.zeros(len(reach), np.float32)
    for reader in link.readers:
        part = np.moveaxis(_part(values[reader.weight], reader, len(reach)), reader.axis, 0)
        widest = np.maximum(widest, np.abs(part).reshape(len(reach), -1).max(1))
    alive = (reach > 0) & (widest > 0)
    if not alive.any():
        return np.ones(len(reach), np.float32)
    raw = np.ones(len(reach), np.float64)
    raw[alive] = np.sqrt(reach[alive].astype(np.float64) / widest[alive])
    middle = float(np.median(raw[alive]))
    clipped = np.clip(raw, middle / WIDEST, middle * WIDEST)
    return np.where(alive, clipped, 1.0).astype(np.float32)


class _Graph:
    """Lookups in a float graph whose shapes are inferred."""

    def __init__(self, core: ModelProto) -> None:
        model = shape_inference.infer_shapes(core)
        self.nodes = list(model.graph.node)
        self._constants = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        values = [*model.graph.value_info, *model.graph.output, *model.graph.input]
        self._shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        self._outputs = {value.name for value in model.graph.output}
        self._readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in set(node.input):
                self._readers[name].append(node)

    def owns(self, node: NodeProto, place: int) -> bool:
        """Whether an input is a constant that no other node reads."""
        name = node.input[place]
        return name in self._constants and len(self._readers[name]) == 1

    def activated(self, tensor: str) -> str:
        """The tensor behind the activation that alone reads another, or that other."""
        readers = self._readers[tensor]
        alone = len(readers) == 1 and readers[0].op_type in ("Relu", "LeakyRelu")
        return readers[0].output[0] if alone else tensor

    def readers_of(self, tensor: str, first: int) -> list[Reader] | None:
        """What reads the channels of a tensor, which begin there at `first`; None if not all of it can be scaled."""
        if tensor in self._outputs:
            return None
        found: list[Reader] = []
        for node in self._readers[tensor]:
            told = self._through(node, tensor, first)
            if told is None:
                return None
            found += told
        return found

    def _through(self, node: NodeProto, tensor: str, first: int) -> list[Reader] | None:
        if node.input[0] != tensor and node.op_type != "Concat":
            return None
        if node.op_type in HOMOGENEOUS or (node.op_type in SPATIAL and self._keeps_channels(node)):
            return self.readers_of(node.output[0], first)
        if node.op_type == "Concat" and integer_of(node, "axis", 1) % 4 == 1 and list(node.input).count(tensor) == 1:
            before = [self._shapes.get(name, ()) for name in node.input[: list(node.input).index(tensor)]]
            if all(len(shape) == 4 and shape[1] > 0 for shape in before):
                return self.readers_of(node.output[0], first + sum(shape[1] for shape in before))
            return None
        return self._layer(node, first)

    def _layer(self, node: NodeProto, first: int) -> list[Reader] | None:
        if node.op_type not in ("Conv", "Gemm", "MatMul") or not self.owns(node, 1):
            return None
        if node.op_type == "Conv":
            return [Reader(node.name, node.input[1], 1, first)] if integer_of(node, "group", 1) == 1 else None
        if integer_of(node, "transA", 0) or len(self._constants[node.input[1]]) != 2:
            return None
        return [Reader(node.name, node.input[1], 1 if integer_of(node, "transB", 0) else 0, first)]

    def _keeps_channels(self, node: NodeProto) -> bool:
        before, after = self._shapes.get(node.input[0], ()), self._shapes.get(node.output[0], ())
        if len(before) not in (2, 4) or len(after) not in (2, 4) or before[1] < 1 or before[1] != after[1]:
            return False
        averaged = node.op_type == "ReduceMean"
        return len(before) == 2 or before[2:] == (1, 1) or (averaged and (len(after) == 2 or after[2:] == (1, 1)))
