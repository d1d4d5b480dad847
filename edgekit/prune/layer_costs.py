"""What layers cost as functions of the widths of groups and of the blocks that stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.prune.channels import ChannelGraph, Geometry

Cost = Callable[[Geometry, int, int], float]
"""What a layer costs with so many channels in and out."""


@dataclass(frozen=True)
class _Side:
    """One side of a layer: channels that stay whatever is chosen, and how often each group is among the others."""

    fixed: int
    times: Mapping[int, int]

    def count(self, widths: Sequence[int], but: int | None = None) -> int:
        """Channels at some widths, one group's left out."""
        return self.fixed + sum(times * widths[group] for group, times in self.times.items() if group != but)


class LayerCosts:
    """What layers cost at some widths; what was computed is remembered. Layers, groups and blocks are told by place."""

    def __init__(self, graph: ChannelGraph, cost: Cost, options: Sequence[tuple[int, ...]]) -> None:
        self._cost, self._options = cost, options
        self._known: dict[tuple[int, int, int], float] = {}
        self._lines: dict[tuple[int, int, int, int], NDArray[np.float64]] = {}
        of_unit = {int(unit): place for place, group in enumerate(graph.groups) for unit in group.units}
        group_widths = [group.width for group in graph.groups]
        self._geometries = list({layer.geometry for layer in graph.layers.values() if layer.geometry is not None})
        numbers = {geometry: number for number, geometry in enumerate(self._geometries)}
        self._layers = [
            (
                numbers[layer.geometry],
                _side(layer.inputs, of_unit, group_widths),
                _side(layer.outputs, of_unit, group_widths),
            )
            for layer in graph.layers.values()
            if layer.geometry is not None
        ]
        self._touched: list[list[int]] = [[] for _ in graph.groups]
        for place, (_, inputs, outputs) in enumerate(self._layers):
            for group in {*inputs.times, *outputs.times}:
                self._touched[group].append(place)
        names = [layer.name for layer in graph.layers.values() if layer.geometry is not None]
        self._inside = [frozenset(p for p, name in enumerate(names) if name in block.layers) for block in graph.blocks]

    def inside(self, blocks: Collection[int]) -> frozenset[int]:
        """The layers of some blocks."""
        return frozenset(place for block in blocks for place in self._inside[block])

    def total(self, widths: Sequence[int], gone: Collection[int] = ()) -> float:
        """The cost of all layers but those that are gone."""
        return self.of([place for place in range(len(self._layers)) if place not in gone], widths)

    def of(self, places: Collection[int], widths: Sequence[int]) -> float:
        """The cost of some layers."""
        layers = (self._layers[place] for place in places)
        return sum(self._one(geometry, i.count(widths), o.count(widths)) for geometry, i, o in layers)

    def around(self, group: int, widths: Sequence[int], gone: Collection[int] = ()) -> NDArray[np.float64]:
        """For each width that a group may have, the cost of the layers that it is in and that are not gone; the other
        groups stand still.
        """
        costs = np.zeros(len(self._options[group]))
        for place in self._touched[group]:
            if place in gone:
                continue
            _, inputs, outputs = self._layers[place]
            costs += self._line(place, group, inputs.count(widths, group), outputs.count(widths, group))
        return costs

    def _line(self, place: int, group: int, taken: int, given: int) -> NDArray[np.float64]:
        """The cost of one layer for each width of a group, beside so many channels in and out of other groups."""
        key = (place, group, taken, given)
        if key not in self._lines:
            geometry, inputs, outputs = self._layers[place]
            into, out = inputs.times.get(group, 0), outputs.times.get(group, 0)
            self._lines[key] = np.array(
                [self._one(geometry, taken + into * count, given + out * count) for count in self._options[group]]
            )
        return self._lines[key]

    def _one(self, geometry: int, inputs: int, outputs: int) -> float:
        key = (geometry, inputs, outputs)
        if key not in self._known:
            self._known[key] = self._cost(self._geometries[geometry], inputs, outputs)
        return self._known[key]


def _side(units: NDArray[np.int64], of_unit: Mapping[int, int], group_widths: Sequence[int]) -> _Side:
    counts: dict[int, int] = {}
    for unit in units.tolist():
        group = of_unit.get(unit)  # None: it stays
        if group is not None:
            counts[group] = counts.get(group, 0) + 1
    times = {group: count // group_widths[group] for group, count in counts.items()}
    return _Side(len(units) - sum(counts.values()), times)
