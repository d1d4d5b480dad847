"""Graphs that hold a network in float32 and in INT8 side by side, and give the powers of signals and of noise.

For each quantized operator there is a twin that reads the float network's values through its quantizers and computes
with its quantized weights: the difference of its output is the noise which this operator alone would cause.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import onnx_ir as ir

from edgekit.models.onnx_graph import add_constant, array_of, dims_of, forget_shapes, give_only, image_input, name_of
from edgekit.quantize.qdq import PASSING, Quantized

INT8: Final = "edgekit_int8/"
"""Begins the names of all that belongs to the INT8 network."""
TWIN: Final = "edgekit_twin/"
"""Begins the names of what twins make."""
ONE: Final = "edgekit_one"
"""Names the shape of a vector of one number."""

TWIN_WEIGHTS: Final = 24_000_000
"""Weights of twins in one graph, at most: with more, a network is looked at in several passes to save memory."""

Group = tuple[list[Quantized], Callable[[], ir.Model]]


def measuring_graphs(core: ir.Model, quantized: ir.Model, found: Sequence[Quantized]) -> list[Group]:
    """The operators in groups, each with a function that makes its graph, as that may be large.

    The outputs of a graph are the float logits, the INT8 logits, and a vector of three powers for each operator of its
    group: of the float output, of what its own quantization adds, and of all noise there in the INT8 network.
    """
    sizes = {name: math.prod(dims_of(value)) for name, value in core.graph.initializers.items()}
    groups: list[list[Quantized]] = [[]]
    weights = 0
    for operator in found:
        size = sizes.get(operator.weight or "", 0)
        if groups[-1] and weights + size > TWIN_WEIGHTS:
            groups.append([])
            weights = 0
        groups[-1].append(operator)
        weights += size

    def maker(group: list[Quantized]) -> Callable[[], ir.Model]:
        return lambda: _measuring(core, quantized, group)

    return [(group, maker(group)) for group in groups]


def _measuring(core: ir.Model, quantized: ir.Model, group: Sequence[Quantized]) -> ir.Model:
    model = core.clone()
    graph = model.graph
    floats = ir.convenience.create_value_mapping(graph)
    logits = [graph.outputs[0], _put_beside(model, quantized)]
    forget_shapes(graph)
    one = add_constant(graph, ONE, np.array([1], np.int64))
    int8 = ir.convenience.create_value_mapping(graph)
    twins = _Twins(graph, floats)
    powers = []
    for operator in group:
        plain, quantized_too = floats[operator.output], int8[INT8 + operator.output]
        for other in (None, twins.of(quantized_too), quantized_too):
            powers.append(_power(graph, plain, other, one))
    give_only(model, [*logits, _put(graph, "Concat", powers, "edgekit_powers", axis=0)])
    return model


def _put_beside(model: ir.Model, quantized: ir.Model) -> ir.Value:
    """Puts the INT8 network beside the float one, which reads the same image; its logits."""
    other = quantized.clone()
    image_input(other).replace_all_uses_with(image_input(model))
    nodes, logits = list(other.graph), other.graph.outputs[0]
    for name, value in other.graph.initializers.items():  # as new tensors: those of `quantized` keep their names
        value.replace_all_uses_with(add_constant(model.graph, INT8 + name, array_of(value)))
    other.graph.outputs.clear()
    other.graph.remove(nodes)
    for node in nodes:
        node.name = f"{INT8}{node.name}"
        for value in node.outputs:
            value.name = INT8 + name_of(value) if value.name else ""
    model.graph.extend(nodes)
    return logits


class _Twins:
    """Makes twins in a graph that holds both networks, each once."""

    def __init__(self, graph: ir.Graph, floats: Mapping[str, ir.Value]) -> None:
        self._graph, self._floats = graph, floats
        self._constants = set[ir.Value | None](graph.initializers.values())
        for node in graph:  # what is made of constants alone is one too, as dequantized weights are
            if all(value in self._constants for value in node.inputs if value is not None):
                self._constants.update(node.outputs)
        self._made: dict[ir.Value, ir.Value] = {}

    def of(self, output: ir.Value) -> ir.Value:
        """The twin's output of the operator that makes a tensor of the INT8 network."""
        node = output.producer()
        assert node is not None, output
        if output not in self._made:
            self._made[output] = self._copy(node, [self._read(value) for value in node.inputs])
        return self._made[output]

    def _read(self, value: ir.Value | None) -> ir.Value | None:
        """What a twin reads for a tensor of the INT8 network.

        A float tensor through the quantizer; through the operators that only move values too, which are quantized for
        the sake of this one; constants of the INT8 network; else the float tensor of the same name.
        """
        if value is None or value in self._constants:
            return value
        node = value.producer()
        if node is not None and node.op_type == "DequantizeLinear":
            return self._dequantized(node)
        if node is not None and node.op_type in PASSING and self._moves_quantized(node):
            return self.of(value)
        return self._float(value)

    def _float(self, value: ir.Value) -> ir.Value:
        """The float network's tensor in the place of one of the INT8 network; the image is in both."""
        return self._floats[name_of(value).removeprefix(INT8)]

    def _dequantized(self, dequantize: ir.Node) -> ir.Value:
        output, levels = dequantize.outputs[0], dequantize.inputs[0]
        if output not in self._made:
            quantize = None if levels is None else levels.producer()
            assert quantize is not None, dequantize
            assert quantize.inputs[0] is not None, quantize
            twin = self._copy(quantize, [self._float(quantize.inputs[0]), *quantize.inputs[1:]])
            self._made[output] = self._copy(dequantize, [twin, *dequantize.inputs[1:]])
        return self._made[output]

    def _moves_quantized(self, node: ir.Node) -> bool:
        others = [value for value in node.inputs if value is not None and value not in self._constants]
        return any(self._read(value) is not self._floats.get(name_of(value).removeprefix(INT8)) for value in others)

    def _copy(self, node: ir.Node, sources: Sequence[ir.Value | None]) -> ir.Value:
        outputs = [ir.Value(name=TWIN + name_of(value) if value.name else "") for value in node.outputs]
        copy = ir.Node(
            node.domain, node.op_type, sources, node.attributes.values(), outputs=outputs, name=f"{TWIN}{node.name}"
        )
        self._graph.append(copy)
        return copy.outputs[0]


def _power(graph: ir.Graph, value: ir.Value, other: ir.Value | None, one: ir.Value) -> ir.Value:
    """Puts the mean square of a tensor, or of its difference from another, into a graph; a vector of one."""
    start = f"edgekit_power/{len(graph)}"
    if other is not None:
        value = _put(graph, "Sub", [value, other], f"{start}/difference")
    square = _put(graph, "Mul", [value, value], f"{start}/square")
    mean = _put(graph, "ReduceMean", [square], f"{start}/mean", keepdims=0)
    return _put(graph, "Reshape", [mean, one], f"{start}/one")


def _put(graph: ir.Graph, kind: str, sources: Sequence[ir.Value], name: str, **attributes: int) -> ir.Value:
    node = ir.node(kind, sources, attributes, outputs=[ir.Value(name=name)], name=name)
    graph.append(node)
    return node.outputs[0]
