"""A Q/DQ graph seen as operators that are quantized, any of which can be given back to floating point.

What a restored operator computes with comes from the float graph: its own weights, and its own bias too, since NNCF
moves biases to make up for what quantization does to a layer's mean.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from edgekit.models.onnx_graph import drop_unread_constants, integer_of

WEIGHTED: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
PASSING: Final = frozenset({"MaxPool", "Concat", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity"})
"""Operators that move values without changing them: they run in INT8 for the sake of what reads them."""


@dataclass(frozen=True)
class Quantized:
    """One operator that reads quantized tensors.

    Attributes:
        name: of its node, the same in the float graph; kind: its operator.
        sources: the float tensors that its activation quantizers read, by place among its inputs.
        weight: name of its float weight in the float graph, where it has one.
        output: the tensor that it makes.
    """

    name: str
    kind: str
    sources: Mapping[int, str]
    weight: str | None
    output: str


class _Links:
    """Who makes and who reads what in a graph."""

    def __init__(self, model: ModelProto) -> None:
        self.makers = {output: node for node in model.graph.node for output in node.output}
        self.constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self.readers: dict[str, list[NodeProto]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self.readers[name].append(node)

    def source(self, name: str) -> str | None:
        """The float tensor behind a Q/DQ pair of an activation; None where `name` is none."""
        quantize = quantizer_of(name, self.makers, self.constants)
        return None if quantize is None else str(quantize.input[0])

    def is_weight(self, name: str) -> bool:
        """Whether a tensor is a quantized constant."""
        maker = self.makers.get(name)
        return maker is not None and maker.op_type == "DequantizeLinear" and self.source(name) is None


def quantizer_of(name: str, makers: Mapping[str, NodeProto], constants: Collection[str]) -> NodeProto | None:
    """The QuantizeLinear of the Q/DQ pair that makes a tensor; None where none does, or where it is of a constant.

    Args:
        makers: of a graph's tensors; constants: names of its initializers.
    """
    dequantize = makers.get(name)
    if dequantize is None or dequantize.op_type != "DequantizeLinear":
        return None
    quantize = makers.get(dequantize.input[0])
    if quantize is None or quantize.op_type != "QuantizeLinear" or quantize.input[0] in constants:
        return None
    return quantize


def named_as(core: ModelProto, quantized: ModelProto) -> ModelProto:
    """The float graph with its nodes named as in the Q/DQ graph: NNCF gives names to nodes that have none."""
    names = {node.output[0]: node.name for node in quantized.graph.node}
    if all(names.get(node.output[0], node.name) == node.name for node in core.graph.node):
        return core
    out = ModelProto()
    out.CopyFrom(core)
    for node in out.graph.node:
        node.name = names.get(node.output[0], node.name)
    return out


def operators(quantized: ModelProto, core: ModelProto) -> list[Quantized]:
    """Every operator with a quantized input, in the order of the graph.

    Args:
        quantized: NNCF's Q/DQ form of `core`, which kept the names of nodes.
    """
    core, links = named_as(core, quantized), _Links(quantized)
    plain = {node.name: node for node in core.graph.node}
    found = []
    for node in quantized.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") or node.name not in plain:
            continue
        sources = {place: source for place, name in enumerate(node.input) if (source := links.source(name)) is not None}
        weighted = node.op_type in WEIGHTED and len(node.input) > 1 and links.is_weight(node.input[1])
        if sources or weighted:
            weight = plain[node.name].input[1] if weighted else None
            found.append(Quantized(node.name, node.op_type, sources, weight, node.output[0]))
    return found


def is_turned(node: NodeProto) -> bool:
    """Whether a linear layer has its weight as (inputs, outputs)."""
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and not integer_of(node, "transB", 0))


def restored(quantized: ModelProto, core: ModelProto, names: Collection[str]) -> ModelProto:
    """The Q/DQ graph with the named operators in floating point; quantizers that nothing reads any more are gone.

    An operator that only moves values goes with its readers, when all of them are in floating point.

    Args:
        quantized: a Q/DQ form of `core`; neither is changed.
        names: of nodes that `operators` tells.
    """
    out = ModelProto()
    out.CopyFrom(quantized)
    core, links = named_as(core, quantized), _Links(out)
    plain = {node.name: node for node in core.graph.node}
    weights = {tensor.name: tensor for tensor in core.graph.initializer}
    floats = _with_movers(out, links, frozenset(names))
    for node in out.graph.node:
        if node.name not in floats or node.name not in plain:
            continue
        for place, name in enumerate(node.input):
            source = links.source(name)
            if source is not None:
                node.input[place] = source
            elif links.is_weight(name) or (node.op_type in WEIGHTED and place == 2):
                node.input[place] = _constant(out, links, weights[plain[node.name].input[place]])
    _drop_unread(out)
    del out.graph.value_info[:]
    return out


def _with_movers(model: ModelProto, links: _Links, names: frozenset[str]) -> frozenset[str]:
    """The named nodes and the movers before them whose every reader is among them."""
    found = set(names)
    for node in reversed(model.graph.node):
        readers = [reader for output in node.output for reader in links.readers[output]]
        if node.op_type in PASSING and readers and all(reader.name in found for reader in readers):
            found.add(node.name)
    return frozenset(found)


def _constant(model: ModelProto, links: _Links, tensor: TensorProto) -> str:
    """Puts a constant of the float graph into a graph, and gives its name there."""
    name = tensor.name
    there = links.constants.get(name)
    if there is not None:
        if numpy_helper.to_array(there).tobytes() == numpy_helper.to_array(tensor).tobytes():
            return str(name)
        name = f"{name}_float"
    if name not in links.constants:
        model.graph.initializer.append(tensor)
        model.graph.initializer[-1].name = name
        links.constants[name] = model.graph.initializer[-1]
    return str(name)


def _drop_unread(model: ModelProto) -> None:
    """Takes out nodes and constants that lead nowhere."""
    wanted = {value.name for value in model.graph.output}
    kept: list[NodeProto] = []
    for node in reversed(model.graph.node):
        if any(output in wanted for output in node.output):
            kept.append(node)
            wanted.update(node.input)
    kept.reverse()
    del model.graph.node[:]
    model.graph.node.extend(kept)
    drop_unread_constants(model)
