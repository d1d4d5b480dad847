"""Taking whole residual branches out of an ONNX graph, quantized or not: the graph that the pruned network gives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.branches import Layers, Step, Steps, located
from edgekit.models.onnx_graph import dims_of

PASSING: Final = frozenset({"QuantizeLinear", "DequantizeLinear"})


def bypass(model: ir.Model, wanted: Collection[Layers], layer_of: Callable[[ir.Node], str]) -> None:
    """Takes branches out, in place: their sums, all that led into these alone, and what then does the same twice.

    Args:
        model: whose shapes are inferred.
        wanted: the layers with weights of each branch; layer_of: the layer of a node, empty where it has none.
    Raises:
        InputError: there is no branch of just these layers.
    """
    nodes = list(model.graph)
    steps = _steps(model.graph, nodes, layer_of)
    for branch in located(steps, wanted, _missing).values():
        total, end = nodes[branch.total], nodes[branch.end]
        trunk = next(value for value in total.inputs if value is not None and value.producer() is not end)
        _replace(total.outputs[0], trunk)
        for node in [nodes[place] for place in sorted(branch.inside | {branch.total}, reverse=True)]:
            if node.graph is not None:  # else a branch before this one has left it out
                model.graph.remove(node, safe=True)
        _simplify(trunk)


def _missing(layers: Layers) -> InputError:
    return InputError(
        f"the exported graph has no branch of just the layers {', '.join(sorted(layers)[:3])}...",
        "Build it with --no-prune-blocks.",
    )


def _steps(graph: ir.Graph, nodes: Sequence[ir.Node], layer_of: Callable[[ir.Node], str]) -> Steps:
    """The same graph as edgekit.models.branches has it."""
    steps, place = Steps(), {node: number for number, node in enumerate(nodes)}
    for node in nodes:
        makers = [(value, maker) for value in node.inputs if value and (maker := value.producer()) is not None]
        inputs = tuple(dict.fromkeys(place[maker] for _, maker in makers))
        is_sum = node.op_type == "Add" and len(inputs) == 2
        shape = dims_of(node.outputs[0])
        trunks = tuple(place[maker] for value, maker in makers if is_sum and dims_of(value) == shape)
        steps.add(Step(inputs, layer_of(node), trunks))
    for value in graph.outputs:
        if (maker := value.producer()) is not None:
            steps.answers.add(place[maker])
    return steps


def _replace(value: ir.Value, other: ir.Value) -> None:
    for user, place in tuple(value.uses()):
        user.replace_input_with(place, other)


def _simplify(trunk: ir.Value) -> None:
    """Leaves out what is done to the trunk already: a second rounding, and a second ReLU where the exporter does so."""
    users = [user for user, _ in trunk.uses()]
    if len(users) == 1 and users[0].op_type == "Relu" and _is_rectified(trunk):
        _replace(users[0].outputs[0], trunk)
        _drop(users[0])
    if (maker := trunk.producer()) is None or maker.op_type != "DequantizeLinear":
        return
    for rounding in [user for user, _ in trunk.uses() if user.op_type == "QuantizeLinear"]:
        for back in [user for user, _ in rounding.outputs[0].uses() if user.op_type == "DequantizeLinear"]:
            _replace(back.outputs[0], trunk)
            _drop(back)
        _drop(rounding)


def _drop(node: ir.Node) -> None:
    """Takes a node out that nothing reads: it would count as a reader of what it is made of."""
    assert node.graph is not None
    if not any(value.uses() or value.is_graph_output() for value in node.outputs):
        node.graph.remove(node, safe=True)


def _is_rectified(value: ir.Value) -> bool:
    """Whether a tensor has no values below zero, by a ReLU before it."""
    maker = value.producer()
    while maker is not None and maker.op_type in PASSING and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    return maker is not None and maker.op_type == "Relu"
