"""Graphs that hold a network in float32 and in INT8 side by side, and give the powers of signals and of noise.

For each quantized operator there is a twin that reads the float network's values through its quantizers and computes
with its quantized weights: the difference of its output is the noise which this operator alone would cause.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgekit.quantize.qdq import PASSING, Quantized

INT8: Final = "edgekit_int8/"
"""Begins the names of all that belongs to the INT8 network."""
TWIN: Final = "edgekit_twin/"
"""Begins the names of what twins make."""
ONE: Final = "edgekit_one"
"""Names the shape of a vector of one number."""

TWIN_WEIGHTS: Final = 24_000_000
"""Weights of twins in one graph, at most: with more, a network is looked at in several passes to save memory."""

Group = tuple[list[Quantized], Callable[[], ModelProto]]


def measuring_graphs(core: ModelProto, quantized: ModelProto, found: Sequence[Quantized]) -> list[Group]:
    """The operators in groups, each with a function that makes its graph, as that may be large.

    The outputs of a graph are the float logits, the INT8 logits, and a vector of three powers for each operator of its
    group: of the float output, of what its own quantization adds, and of all noise there in the INT8 network.
    """
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in core.graph.initializer}
    groups: list[list[Quantized]] = [[]]
    weights = 0
    for operator in found:
        size = sizes.get(operator.weight or "", 0)
        if groups[-1] and weights + size > TWIN_WEIGHTS:
            groups.append([])
            weights = 0
        groups[-1].append(operator)
        weights += size

    def maker(group: list[Quantized]) -> Callable[[], ModelProto]:
        return lambda: _measuring(core, quantized, group)

    return [(group, maker(group)) for group in groups]


def _measuring(core: ModelProto, quantized: ModelProto, group: Sequence[Quantized]) -> ModelProto:
    model = ModelProto()
    model.CopyFrom(core)
    image = {value.name for value in core.graph.input} - {tensor.name for tensor in core.graph.initializer}
    _put_beside(model, quantized, image)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), ONE))
    twins = _Twins(model, quantized)
    answers = [core.graph.output[0].name, INT8 + quantized.graph.output[0].name]
    powers = [
        _power(model, operator.output, other)
        for operator in group
        for other in (None, twins.of(operator.output), INT8 + operator.output)
    ]
    _node(model, "Concat", powers, "edgekit_powers", axis=0)
    del model.graph.output[:]
    for name in [*answers, "edgekit_powers"]:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    del model.graph.value_info[:]
    return model


def _put_beside(model: ModelProto, quantized: ModelProto, image: set[str]) -> None:
    """Puts the INT8 network beside the float one, which reads the same image."""
    for tensor in quantized.graph.initializer:
        model.graph.initializer.append(tensor)
        model.graph.initializer[-1].name = INT8 + tensor.name
    for node in quantized.graph.node:
        copy = model.graph.node.add()
        copy.CopyFrom(node)
        copy.name = INT8 + node.name
        copy.input[:] = [name if name in image or not name else INT8 + name for name in node.input]
        copy.output[:] = [INT8 + name if name else "" for name in node.output]


class _Twins:
    """Makes twins in a graph that holds both networks, each once."""

    def __init__(self, model: ModelProto, quantized: ModelProto) -> None:
        self._model = model
        self._makers = {output: node for node in quantized.graph.node for output in node.output}
        self._constants = {tensor.name for tensor in quantized.graph.initializer}
        for node in quantized.graph.node:  # what is made of constants alone is one too, as dequantized weights are
            if all(name in self._constants for name in node.input if name):
                self._constants.update(node.output)
        self._made: dict[str, str] = {}

    def of(self, output: str) -> str:
        """The twin's output of the operator that makes a tensor of the INT8 network."""
        if output not in self._made:
            node = self._makers[output]
            self._made[output] = self._copy(node, [self._value(name) for name in node.input])
        return self._made[output]

    def _value(self, name: str) -> str:
        """What a twin reads for a tensor of the INT8 network.

        A float tensor through the quantizer; through the operators that only move values too, which are quantized for
        the sake of this one; constants of the INT8 network; else the float tensor of the same name.
        """
        if not name:
            return ""
        if name in self._constants:
            return INT8 + name
        maker = self._makers.get(name)
        if maker is None:
            return name
        if maker.op_type == "DequantizeLinear":
            return self._dequantized(maker)
        return self.of(name) if maker.op_type in PASSING and self._moves_quantized(maker) else name

    def _dequantized(self, dequantize: NodeProto) -> str:
        output = dequantize.output[0]
        if output not in self._made:
            quantize = self._makers[dequantize.input[0]]
            levels = self._copy(quantize, [quantize.input[0], *(INT8 + name for name in quantize.input[1:])])
            self._made[output] = self._copy(dequantize, [levels, *(INT8 + name for name in dequantize.input[1:])])
        return self._made[output]

    def _moves_quantized(self, node: NodeProto) -> bool:
        return any(self._value(name) not in (name, INT8 + name, "") for name in node.input)

    def _copy(self, node: NodeProto, sources: Sequence[str]) -> str:
        copy = self._model.graph.node.add()
        copy.CopyFrom(node)
        copy.name = TWIN + node.name
        copy.input[:] = sources
        copy.output[:] = [TWIN + name if name else "" for name in node.output]
        return str(copy.output[0])


def _power(model: ModelProto, tensor: str, other: str | None) -> str:
    """Puts the mean square of a tensor, or of its difference from another, into a graph; a vector of one; its name."""
    start = f"edgekit_power/{len(model.graph.node)}"
    value = tensor
    if other is not None:
        value = _node(model, "Sub", [tensor, other], f"{start}/difference")
    square = _node(model, "Mul", [value, value], f"{start}/square")
    mean = _node(model, "ReduceMean", [square], f"{start}/mean", keepdims=0)
    return _node(model, "Reshape", [mean, ONE], f"{start}/one")


def _node(model: ModelProto, kind: str, sources: Sequence[str], out: str, **attributes: int) -> str:
    model.graph.node.append(helper.make_node(kind, sources, [out], out, **attributes))
    return out
