"""Blocks beside widths in a choice: which are out, what is inside them, and what that loses. All are told by place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.prune.blocks import groups_inside
from edgekit.prune.channels import ChannelGraph

Out = frozenset[int]
"""Blocks that are removed."""


@dataclass(frozen=True)
class State:
    """A choice under way: a width for each group, also of such as are inside a removed block, and the blocks out."""

    widths: tuple[int, ...]
    out: Out

    def with_width(self, group: int, width: int) -> State:
        """The same with one group of another width."""
        return State((*self.widths[:group], width, *self.widths[group + 1 :]), self.out)


class Blocks:
    """The blocks of a network of which it is known what they are worth.

    Attributes:
        worth: what is lost with each, in the units of channels: never less than is lost with all that is inside it.
        groups: that are inside; nested: blocks that are.
    """

    def __init__(
        self, graph: ChannelGraph, importance: Mapping[str, NDArray[np.float64]], beside: Mapping[str, float]
    ) -> None:
        """`beside` is what blocks cost beside their layers, microseconds by their names."""
        told, inside = graph.blocks, groups_inside(graph)
        place = {group.name: number for number, group in enumerate(graph.groups)}
        self.names = [block.name for block in told]
        self.all: Out = frozenset(number for number, block in enumerate(told) if block.name in importance)
        self.groups = [frozenset(place[group.name] for group in inside[name]) for name in self.names]
        layers = [set(block.layers) for block in told]
        self.nested = [frozenset(n for n in self.all if layers[n] < whole) for whole in layers]
        self.worth = [float(importance[name][0]) if name in importance else 0.0 for name in self.names]
        for block in sorted(self.all, key=lambda each: len(self.nested[each])):  # what is inside others first
            own = self.groups[block] - self.groups_of(self.nested[block])
            channels = sum(float(importance[graph.groups[group].name].sum()) for group in own)
            self.worth[block] = max(self.worth[block], channels + self.lost(self.nested[block]))
        self._beside = [beside.get(name, 0.0) for name in self.names]

    def with_nested(self, out: Collection[int]) -> Out:
        """These blocks and all that are inside them."""
        return frozenset(out).union(*(self.nested[block] for block in out))

    def outermost(self, out: Collection[int]) -> Out:
        """Those of them that are inside no other one of them."""
        return frozenset(out).difference(*(self.nested[block] for block in out))

    def groups_of(self, out: Collection[int]) -> frozenset[int]:
        """The groups that go with them."""
        return frozenset[int]().union(*(self.groups[block] for block in out))

    def lost(self, out: Collection[int]) -> float:
        """Importance that goes with them."""
        return sum(self.worth[block] for block in self.outermost(out))

    def beside(self, blocks: Collection[int]) -> float:
        """What they cost beside their layers, microseconds."""
        return sum(self._beside[block] for block in blocks)
