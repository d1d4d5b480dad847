"""Mends Torch-Pruning's concats: it leaves their offsets out where it cannot tell how wide their inputs are.

It infers widths backwards from any layer that is near, which fails where a concat's input is read before it is joined,
as in DenseNet; then all inputs of the concat seem to be the same channels. The widths are followed forwards here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgekit.prune.channels import cannot_be_pruned

Mapping = Callable[[Sequence[Any]], list[Any]]
"""From the library's pairs of an index and the root's index to those on the other side of a dependency."""


def mend_concats(graph: Any) -> None:
    """Gives every concat of a Torch-Pruning dependency graph the offsets of its inputs.

    Raises:
        InputError: a concat is along another dimension than that of channels, or of what no layer makes.
    """
    known: dict[Any, int | None] = {}
    for node in list(graph.module2node.values()):
        if type(node.module).__name__ != "_ConcatOp":
            continue
        if getattr(node.grad_fn, "_saved_dim", 1) != 1:
            raise cannot_be_pruned("it joins tensors along another dimension than channels (Cat)")
        if any(made is None for made, _ in node.grad_fn.next_functions):  # no node of the library's
            raise cannot_be_pruned("it joins channels that no layer makes, as the image's, to those of layers (Cat)")
        counts = [_channels(graph, each, known) for each in node.inputs]
        if all(count is not None for count in counts):
            _map(node, [count or 0 for count in counts])


def _channels(graph: Any, node: Any, known: dict[Any, int | None]) -> int | None:
    """Channels that a node gives: its layer's, the sum of a concat's inputs, or those that go through it."""
    if node not in known:
        known[node] = None  # a network has no cycles, but be sure to end
        pruner = graph.get_pruner_of_module(node.module)
        count = pruner.get_out_channels(node.module) if hasattr(node.module, "weight") else None
        if count is None:
            counts = [_channels(graph, each, known) for each in node.inputs]
            found = [each for each in counts if each is not None]
            if type(node.module).__name__ == "_ConcatOp":
                count = sum(found) if found and len(found) == len(counts) else None
            else:
                count = max(found, default=None)
        known[node] = count
    return known[node]


def _map(node: Any, counts: list[int]) -> None:
    """Writes the offsets into the dependencies on both sides of a concat, one for each of its inputs in turn."""
    first = 0
    done: list[Any] = []
    for source, count in zip(node.inputs, counts, strict=True):
        for dependencies, target, mapping in (
            (node.dependencies, source, _from_concat(first, count)),
            (source.dependencies, node, _to_concat(first)),
        ):
            fresh = [d for d in dependencies if d.target is target and not any(d is each for each in done)]
            if fresh:
                fresh[0].index_mapping[1] = mapping
                done.append(fresh[0])
        first += count


def _to_concat(first: int) -> Mapping:
    return lambda pairs: [pair._replace(idx=pair.idx + first) for pair in pairs]


def _from_concat(first: int, count: int) -> Mapping:
    return lambda pairs: [pair._replace(idx=pair.idx - first) for pair in pairs if first <= pair.idx < first + count]
