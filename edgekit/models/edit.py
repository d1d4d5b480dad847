"""Edits of a graph: new nodes and constants under names that nothing else has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import constant

Attribute = int | float | str | list[int] | list[float]


class Edit:
    """A model that is edited in place. Names are looked up once, so make one of these for many edits."""

    def __init__(self, model: ir.Model) -> None:
        self.model, self.graph = model, model.graph
        self._taken = {value.name for value in all_values(model)} | {node.name for node in model.graph.all_nodes()}

    def name(self, base: str) -> str:
        """A name that begins with `base` and is not taken."""
        name, number = base, 0
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name

    def constant(self, base: str, array: NDArray[Any]) -> ir.Value:
        """A new initializer of the main graph, which the graphs inside it see too."""
        name = self.name(base)
        value = ir.val(name, const_value=ir.tensor(np.ascontiguousarray(array).reshape(array.shape), name=name))
        self.graph.initializers.add(value)
        return value

    def ints(self, base: str, *numbers: int) -> ir.Value:
        """A new int64 constant of one dimension."""
        return self.constant(base, np.array(numbers, np.int64))

    def before(self, node: ir.Node, kind: str, inputs: list[ir.Value | None], **attributes: Attribute) -> ir.Value:
        """Puts a new node in front of another one, in its graph; gives its output."""
        name = self.name(f"{node.name or node.op_type}_{kind.lower()}")
        made = ir.node(kind, inputs, attributes, outputs=[ir.Value(name=self.name(f"{name}_out"))], name=name)
        assert node.graph is not None
        node.graph.insert_before(node, [made])
        return made.outputs[0]

    def at_end(self, kind: str, inputs: list[ir.Value | None], **attributes: Attribute) -> ir.Value:
        """Puts a new node at the end of the graph; gives its output."""
        name = self.name(kind.lower())
        made = ir.node(kind, inputs, attributes, outputs=[ir.Value(name=self.name(f"{name}_out"))], name=name)
        self.graph.append(made)
        return made.outputs[0]

    def replace(self, node: ir.Node, value: ir.Value) -> None:
        """Takes a node out; whatever read its first output reads `value`."""
        if value.shape is None:
            value.shape, value.type = node.outputs[0].shape, node.outputs[0].type
        node.outputs[0].replace_all_uses_with(value, replace_graph_outputs=True)
        assert node.graph is not None
        node.graph.remove(node, safe=True)


def all_values(model: ir.Model) -> Iterator[ir.Value]:
    """All tensors of a model, those of the graphs inside it too."""
    for graph in (model.graph, *model.graph.subgraphs()):
        yield from graph.inputs
        yield from graph.initializers.values()
    for node in model.graph.all_nodes():
        yield from node.outputs


def integer(node: ir.Node, name: str, otherwise: int) -> int:
    """An integer attribute of a node."""
    attribute = node.attributes.get(name)
    return otherwise if attribute is None else attribute.as_int()


def floating(node: ir.Node, name: str, otherwise: float) -> float:
    """A float attribute of a node."""
    attribute = node.attributes.get(name)
    return otherwise if attribute is None else attribute.as_float()


def words(node: ir.Node, name: str, otherwise: str) -> str:
    """A text attribute of a node."""
    attribute = node.attributes.get(name)
    return otherwise if attribute is None else attribute.as_string()


def integers(node: ir.Node, name: str, place: int | None = None) -> list[int] | None:
    """Integers that are an attribute, or the constant input at `place`; None where they are neither."""
    attribute = node.attributes.get(name)
    if attribute is not None:
        return [int(each) for each in attribute.as_ints()]
    if place is None or place >= len(node.inputs):
        return None
    array = constant(node.inputs[place])
    return None if array is None else [int(each) for each in array.reshape(-1)]


def called(node: ir.Node) -> str:
    """An operator as people name it, and its node."""
    kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    return f"{kind} ({node.name})" if node.name else kind
