"""Channels that are tied to each other, and channels that must stay: what following a network adds up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from edgekit.prune.channels import FIXED, ChannelGraph, Geometry, Group, Kind, Layer, Left, Units

ALWAYS: Final = ""
"""In place of an operation: channels that stay in every network, as those of the image and of the answers."""


@dataclass
class Traced:
    """A layer that was met.

    Attributes:
        inputs: of convolutions and linear layers, the channel that each input is; FIXED where it must stay.
        outputs: the channels that it makes; of a batch norm, those that go through it.
        norm: the batch norm that follows it alone; empty where there is none.
    """

    name: str
    kind: Kind
    inputs: Units | None
    outputs: Units
    geometry: Geometry | None
    norm: str = ""


@dataclass
class Joined:
    """Channels of all layers, joined where one cannot go without the other; a disjoint-set forest."""

    layers: dict[str, Traced] = field(default_factory=dict)
    _parent: list[int] = field(default_factory=list)
    _stays: dict[int, str] = field(default_factory=dict)

    def fresh(self, count: int) -> Units:
        """(count,) new channels."""
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return np.arange(first, first + count)

    def find(self, node: int) -> int:
        """The channel that stands for all that are joined with this one."""
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def roots(self, nodes: Units) -> Units:
        """What stands for each; FIXED stays what it is."""
        return np.array([node if node == FIXED else self.find(int(node)) for node in nodes], np.int64)

    def join(self, ones: Units, others: Units, why: str) -> None:
        """Joins channels pairwise; what meets a channel that must stay, stays because of `why`."""
        for one, other in zip(ones.tolist(), others.tolist(), strict=True):
            if FIXED in (one, other):
                self.hold(np.array([max(one, other)]), why)
                continue
            a, b = self.find(one), self.find(other)
            if a != b:
                self._parent[max(a, b)] = min(a, b)

    def hold(self, nodes: Units, why: str) -> None:
        """These channels must stay, because of an operation."""
        for node in nodes.tolist():
            if node != FIXED and not self._stays.get(node):
                self._stays[node] = why

    def graph(self) -> ChannelGraph:
        """The channels as units and groups."""
        stays: dict[int, str] = {}
        for node, why in self._stays.items():
            stays[self.find(node)] = stays.get(self.find(node)) or why
        made, read = self._uses(makers=True), self._uses(makers=False)
        families: dict[tuple[tuple[tuple[str, int], ...], ...], list[int]] = {}
        for root, makers in made.items():
            # what feeds nothing is no channel that anything is won by
            if root not in stays and root in read:
                families.setdefault((tuple(makers.items()), tuple(sorted(read[root].items()))), []).append(root)
        number: dict[int, int] = {}
        groups: list[Group] = []
        alone: list[Left] = []
        for (makers_of, _), roots in families.items():
            first, (name, channels) = len(number), makers_of[0]
            if len(roots) > 1:
                number.update({root: first + place for place, root in enumerate(roots)})
                groups.append(Group(_unique(name, groups), np.arange(first, first + len(roots)), channels))
            elif channels > 1:
                alone.append(Left(name, "", "its channels can only go all together"))
        layers = {name: self._layer(each, number) for name, each in self.layers.items()}
        return ChannelGraph(layers, tuple(groups), len(number), (*self._left(stays), *alone))

    def _uses(self, makers: bool) -> dict[int, dict[str, int]]:
        """Channel: the layers that make it, or that read it, and how often each does."""
        found: dict[int, dict[str, int]] = {}
        for layer in self.layers.values():
            nodes = layer.outputs if makers else layer.inputs
            if layer.kind == "norm" or nodes is None:
                continue
            for root in self.roots(nodes).tolist():
                if root != FIXED:
                    found.setdefault(root, {})
                    found[root][layer.name] = found[root].get(layer.name, 0) + 1
        return found

    def _left(self, stays: Mapping[int, str]) -> Iterable[Left]:
        for layer in self.layers.values():
            if layer.kind == "norm":
                continue
            reasons = [stays[root] for root in self.roots(layer.outputs).tolist() if stays.get(root)]
            if reasons:
                yield Left(layer.name, reasons[0])

    def _layer(self, traced: Traced, number: Mapping[int, int]) -> Layer:
        outputs = np.array([number.get(node, FIXED) for node in self.roots(traced.outputs).tolist()], np.int64)
        inputs = outputs
        if traced.inputs is not None:
            inputs = np.array([number.get(node, FIXED) for node in self.roots(traced.inputs).tolist()], np.int64)
        return Layer(traced.name, traced.kind, inputs, outputs, traced.geometry, traced.norm)


def _unique(name: str, before: Iterable[Group]) -> str:
    same = sum(group.name.partition("#")[0] == name for group in before)
    return name if same == 0 else f"{name}#{same + 1}"
