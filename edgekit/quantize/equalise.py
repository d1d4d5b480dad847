"""Cross-layer equalisation: a network's channels are scaled so that they share the levels of INT8 evenly.

A channel may be divided by a positive number where it is made and multiplied where it is read, and the network computes
the same, as long as what lies between is positively homogeneous: ReLU, pooling, concatenation (Nagel et al. 2019, arXiv
1906.04721). The number is the root of the channel's range over that of the weights that read it, which makes both as
wide as each other (Xiao et al. 2022, arXiv 2211.10438, with a strength of one half).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import array_of, dims_of, infer_shapes, name_of, set_constant

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


def links(core: ir.Model) -> list[Link]:
    """The convolutions of a float graph whose output channels can be scaled without changing what it computes."""
    model = core.clone()
    infer_shapes(model)
    found = []
    for node in model.graph:
        weight, bias = (node.inputs[place] if len(node.inputs) > place else None for place in (1, 2))
        if node.op_type != "Conv" or weight is None or not _is_own(weight) or (bias is not None and not _is_own(bias)):
            continue
        readers = _readers_of(node.outputs[0], 0)
        if readers:
            name = None if bias is None else name_of(bias)
            seen = name_of(_activated(node.outputs[0]))
            found.append(Link(node.name or "", name_of(weight), name, seen, tuple(readers)))
    return found


def equalised(core: ir.Model, found: list[Link], ranges: Mapping[str, NDArray[np.float32]]) -> ir.Model:
    """The same network with its channels equalised.

    Args:
        found: what `links` found in it.
        ranges: lowest and highest value by channel, (2, C), of every link's `seen`.
    """
    out = core.clone()
    constants = out.graph.initializers
    values = {name: np.array(array_of(constants[name])) for name in _touched(found)}
    for link in found:
        scale = _scales(link, np.abs(ranges[link.seen]).max(0), values)
        values[link.weight] /= scale.reshape(-1, *[1] * (values[link.weight].ndim - 1))
        if link.bias is not None:
            values[link.bias] /= scale
        for reader in link.readers:
            part = _part(values[reader.weight], reader, len(scale))
            part *= scale.reshape([-1 if axis == reader.axis else 1 for axis in range(part.ndim)])
    for name, value in values.items():
        set_constant(constants[name], value.astype(np.float32))
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


def _is_own(value: ir.Value | None) -> bool:
    """Whether a tensor is a constant that only one node reads."""
    return value is not None and value.is_initializer() and len(set(value.consumers())) == 1


def _activated(tensor: ir.Value) -> ir.Value:
    """The tensor behind the activation that alone reads another, or that other."""
    readers = set(tensor.consumers())
    alone = next(iter(readers)) if len(readers) == 1 else None
    return alone.outputs[0] if alone is not None and alone.op_type in ("Relu", "LeakyRelu") else tensor


def _readers_of(tensor: ir.Value, first: int) -> list[Reader] | None:
    """What reads the channels of a tensor, which begin there at `first`; None if not all of it can be scaled."""
    if tensor.is_graph_output():
        return None
    found: list[Reader] = []
    for node in dict.fromkeys(tensor.consumers()):
        behind = _through(node, tensor, first)
        if behind is None:
            return None
        found += behind
    return found


def _through(node: ir.Node, tensor: ir.Value, first: int) -> list[Reader] | None:
    if node.inputs[0] is not tensor and node.op_type != "Concat":
        return None
    if node.op_type in HOMOGENEOUS or (node.op_type in SPATIAL and _keeps_channels(node)):
        return _readers_of(node.outputs[0], first)
    if node.op_type == "Concat" and node.attributes.get_int("axis", 1) % 4 == 1 and node.inputs.count(tensor) == 1:
        before = [dims_of(value) for value in node.inputs[: node.inputs.index(tensor)]]
        if all(len(shape) == 4 and shape[1] > 0 for shape in before):
            return _readers_of(node.outputs[0], first + sum(shape[1] for shape in before))
        return None
    return _layer(node, first)


def _layer(node: ir.Node, first: int) -> list[Reader] | None:
    weight = node.inputs[1] if node.op_type in ("Conv", "Gemm", "MatMul") else None
    if weight is None or not _is_own(weight):
        return None
    name, get = node.name or "", node.attributes.get_int
    if node.op_type == "Conv":
        return [Reader(name, name_of(weight), 1, first)] if get("group", 1) == 1 else None
    if get("transA", 0) or len(dims_of(weight)) != 2:
        return None
    return [Reader(name, name_of(weight), 1 if get("transB", 0) else 0, first)]


def _keeps_channels(node: ir.Node) -> bool:
    before, after = dims_of(node.inputs[0]), dims_of(node.outputs[0])
    if len(before) not in (2, 4) or len(after) not in (2, 4) or before[1] < 1 or before[1] != after[1]:
        return False
    averaged = node.op_type == "ReduceMean"
    return len(before) == 2 or before[2:] == (1, 1) or (averaged and (len(after) == 2 or after[2:] == (1, 1)))
