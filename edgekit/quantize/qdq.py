"""A Q/DQ graph seen as operators that are quantized, any of which can be given back to floating point.

What a restored operator computes with comes from the float graph: its own weights, and its own bias too, since NNCF
moves biases to make up for what quantization does to a layer's mean.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from edgekit.models.onnx_graph import add_constant, array_of, drop_unused, forget_shapes, name_of

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


def quantizer_of(value: ir.Value | None) -> ir.Node | None:
    """The QuantizeLinear of the Q/DQ pair that makes a tensor; None where none does, or where it is of a constant."""
    dequantize = None if value is None else value.producer()
    if dequantize is None or dequantize.op_type != "DequantizeLinear" or dequantize.inputs[0] is None:
        return None
    quantize = dequantize.inputs[0].producer()
    if quantize is None or quantize.op_type != "QuantizeLinear" or quantize.inputs[0] is None:
        return None
    return None if quantize.inputs[0].is_initializer() else quantize


def _source(value: ir.Value | None) -> ir.Value | None:
    """The float tensor behind a Q/DQ pair of an activation; None where there is no such pair."""
    quantize = quantizer_of(value)
    return None if quantize is None else quantize.inputs[0]


def _is_weight(value: ir.Value | None) -> bool:
    """Whether a tensor is a quantized constant."""
    node = None if value is None else value.producer()
    return node is not None and node.op_type == "DequantizeLinear" and quantizer_of(value) is None


def named_as(core: ir.Model, quantized: ir.Model) -> ir.Model:
    """The float graph with its nodes named as in the Q/DQ graph: NNCF gives names to nodes that have none."""
    names = {name_of(node.outputs[0]): node.name for node in quantized.graph}
    if all(names.get(name_of(node.outputs[0]), node.name) == node.name for node in core.graph):
        return core
    out = core.clone()
    for node in out.graph:
        node.name = names.get(name_of(node.outputs[0]), node.name)
    return out


def operators(quantized: ir.Model, core: ir.Model) -> list[Quantized]:
    """Every operator with a quantized input, in the order of the graph.

    Args:
        quantized: NNCF's Q/DQ form of `core`, which kept the names of nodes.
    """
    plain = {node.name: node for node in named_as(core, quantized).graph}
    found = []
    for node in quantized.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") or node.name is None or node.name not in plain:
            continue
        behind = [(place, _source(value)) for place, value in enumerate(node.inputs)]
        sources = {place: name_of(source) for place, source in behind if source is not None}
        weighted = node.op_type in WEIGHTED and len(node.inputs) > 1 and _is_weight(node.inputs[1])
        if sources or weighted:
            weight = plain[node.name].inputs[1] if weighted else None
            name = None if weight is None else name_of(weight)
            found.append(Quantized(node.name, node.op_type, sources, name, name_of(node.outputs[0])))
    return found


def is_turned(node: ir.Node) -> bool:
    """Whether a linear layer has its weight as (inputs, outputs)."""
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and not node.attributes.get_int("transB", 0))


def restored(quantized: ir.Model, core: ir.Model, names: Collection[str]) -> ir.Model:
    """The Q/DQ graph with the named operators in floating point; quantizers that nothing reads any more are gone.

    An operator that only moves values goes with its readers, when all of them are in floating point.

    Args:
        quantized: a Q/DQ form of `core`; neither is changed.
        names: of nodes that `operators` finds.
    """
    out = quantized.clone()
    plain = {node.name: node for node in named_as(core, quantized).graph}
    floats = _with_movers(out.graph, frozenset(names))
    for node in out.graph:
        if node.name not in floats or node.name not in plain:
            continue
        for place, value in enumerate(node.inputs):
            source = _source(value)
            if source is not None:
                node.replace_input_with(place, source)
            elif _is_weight(value) or (node.op_type in WEIGHTED and place == 2):
                node.replace_input_with(place, _float_constant(out.graph, plain[node.name].inputs[place]))
    drop_unused(out)
    forget_shapes(out.graph)
    return out


def _with_movers(graph: ir.Graph, names: frozenset[str]) -> frozenset[str | None]:
    """The named nodes and the movers before them whose every reader is among them."""
    found: set[str | None] = set(names)
    for node in reversed(graph):
        readers = [reader for output in node.outputs for reader in output.consumers()]
        if node.op_type in PASSING and readers and all(reader.name in found for reader in readers):
            found.add(node.name)
    return frozenset(found)


def _float_constant(graph: ir.Graph, original: ir.Value | None) -> ir.Value | None:
    """Puts a constant of the float graph into a graph, or finds it there."""
    if original is None:
        return None
    name, wanted = name_of(original), array_of(original)
    there = graph.initializers.get(name)
    if there is not None and array_of(there).tobytes() == wanted.tobytes():
        return there
    if there is not None:
        name = f"{name}_float"
    return graph.initializers[name] if name in graph.initializers else add_constant(graph, name, wanted)
