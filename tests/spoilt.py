"""Networks that are made hard to quantize: some channels far beyond the others, and the same function in float32."""

from __future__ import annotations

from collections import Counter

import numpy as np
from onnx import ModelProto, NodeProto, numpy_helper

FACTOR = 64.0
"""A power of two: not a bit of what float32 computes is another."""


def with_outliers(core: ModelProto, pairs: int, channels: int = 2) -> tuple[ModelProto, list[tuple[str, str]]]:
    """A copy in which the first convolutions that only one other reads, through a ReLU, have outlier channels.

    Returns:
        the network, and the names of the convolutions that make such channels with those that read them.
    """
    out = ModelProto()
    out.CopyFrom(core)
    tensors = {tensor.name: tensor for tensor in out.graph.initializer}
    chosen = _chains(out)[:pairs]
    for place, (maker, reader) in enumerate(chosen):
        first = np.array(numpy_helper.to_array(tensors[maker.input[1]]))
        which = np.random.Generator(np.random.PCG64(place)).permutation(len(first))[:channels]
        first[which] *= np.float32(FACTOR)
        second = np.array(numpy_helper.to_array(tensors[reader.input[1]]))
        second[:, which] /= np.float32(FACTOR)
        changed = {maker.input[1]: first, reader.input[1]: second}
        if len(maker.input) > 2:
            bias = np.array(numpy_helper.to_array(tensors[maker.input[2]]))
            bias[which] *= np.float32(FACTOR)
            changed[maker.input[2]] = bias
        for name, value in changed.items():
            tensors[name].CopyFrom(numpy_helper.from_array(value, name))
    return out, [(maker.name, reader.name) for maker, reader in chosen]


def _chains(model: ModelProto) -> list[tuple[NodeProto, NodeProto]]:
    """Convolutions and those that alone read them, one ReLU between, whose weights are theirs alone."""
    readers = Counter(name for node in model.graph.node for name in node.input)
    reader = {name: node for node in model.graph.node for name in node.input}
    found = []
    for maker in model.graph.node:
        if maker.op_type != "Conv" or readers[maker.output[0]] != 1 or readers[maker.input[1]] != 1:
            continue
        relu = reader[maker.output[0]]
        if relu.op_type != "Relu" or readers[relu.output[0]] != 1:
            continue
        last = reader[relu.output[0]]
        grouped = any(each.name == "group" and each.i != 1 for each in [*maker.attribute, *last.attribute])
        if last.op_type == "Conv" and readers[last.input[1]] == 1 and not grouped:
            found.append((maker, last))
    return found
