"""What a network from outside may come to: a file of a few bytes can ask for more numbers than any memory holds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

import onnx
import onnx_ir as ir

from edgekit.errors import InputError
from edgekit.models.edit import all_values

MOST_NUMBERS: Final = 1 << 30
"""Of one tensor: 4 GB in float32. The largest tensor of a classifier of photographs has some ten million."""

MOST_NODES: Final = 1_000_000
"""Of a graph whose functions are written out."""

Called: TypeAlias = tuple[str, str]
"""A function by domain and name."""


def refuse_huge(model: ir.Model) -> None:
    """Refuses a model of which a tensor is known to have too many numbers, before any of them is computed.

    Raises:
        InputError: there is one; it is named.
    """
    for value in all_values(model):
        dims = () if value.shape is None else [dim for dim in value.shape if isinstance(dim, int)]
        if math.prod(dims) > MOST_NUMBERS:
            what = f"the tensor {value.name} of the network has {math.prod(dims)} numbers, more than memory holds"
            raise InputError(what, "Check its shapes, and export it again.")


def refuse_endless(proto: onnx.ModelProto) -> None:
    """Refuses a model whose functions call themselves, or come to too many nodes once they are written out.

    Raises:
        InputError: it does.
    """
    functions = {(each.domain, each.name): each for each in proto.functions}
    sizes: dict[Called, int] = {}
    under_way: list[Called] = []

    def size_of(nodes: Iterable[onnx.NodeProto]) -> int:
        total = 0
        for node in _all_nodes(nodes):
            called = (node.domain, node.op_type)
            if called in functions and called not in sizes:
                if called in under_way or len(under_way) >= len(functions):
                    what = f"the function {node.op_type} of the network calls itself"
                    raise InputError(what, "Export the network without it.")
                under_way.append(called)
                sizes[called] = size_of(functions[called].node)
                under_way.pop()
            total += sizes.get(called, 1)
        return total

    try:
        nodes = size_of(proto.graph.node)
    except RecursionError as error:
        raise InputError("the functions of the network call each other too deeply", "Export it again.") from error
    if nodes > MOST_NODES:
        raise InputError(f"the network has {nodes} nodes once its functions are written out", "Export it again.")


def _all_nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (*((attribute.g,) if attribute.HasField("g") else ()), *attribute.graphs):
                yield from _all_nodes(graph.node)
