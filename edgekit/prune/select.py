"""Choosing widths: the greatest importance kept under a latency, by a knapsack over groups of channels.

In the spirit of HALP (Shen et al. 2022, arXiv 2110.10811), with the latency of a layer taken at its real numbers of
channels in and out: what a group's width saves is in its own layers and in all that read it. For a price of latency
each group takes the width with the best balance while the others stand still, until none moves; the price is found by
bisection. Steps of hardware, where sixteen channels fewer save nothing and the next sixteen all, are so passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.prune.channels import FIXED, ChannelGraph, Geometry, Group, Keep
from edgekit.prune.table import LatencyTable

Importance = Mapping[str, NDArray[np.float64]]
"""Group name: (width,) what each unit is worth; sums over groups can be compared."""

SWEEPS: Final = 12
BISECTIONS: Final = 30
FLOOR: Final = 8
"""A group keeps at least this part, one in FLOOR, of its channels."""

Cost = Callable[[Geometry, int, int], float]
"""What a layer costs with so many channels in and out."""


@dataclass(frozen=True)
class Chosen:
    """Widths by group, what they cost by the table, and the share of importance that they keep."""

    widths: Mapping[str, int]
    cost: float
    importance: float


def options(width: int, granularity: int) -> tuple[int, ...]:
    """The widths that a group may have, its own last.

    Multiples of the target's granularity in groups of at least eight of these; of half of it in groups of at least
    four, and of a quarter in narrower ones, where whole steps would leave no choice.
    """
    part = 1 if width >= 8 * granularity else 2 if width >= 4 * granularity else 4
    step = max(1, granularity // part)
    floor = max(step, width // FLOOR)
    return (*(count for count in range(step, width, step) if count >= floor), width)


def ratio_widths(graph: ChannelGraph, ratio: float, granularity: int) -> dict[str, int]:
    """Every group narrowed by the same part, to the nearest width that it may have."""
    wanted = {group.name: group.width * (1 - ratio) for group in graph.groups}
    return {
        group.name: min(options(group.width, granularity), key=lambda count: (abs(count - wanted[group.name]), count))
        for group in graph.groups
    }


def keep_best(graph: ChannelGraph, widths: Mapping[str, int], importance: Importance) -> Keep:
    """(units,) the most important units of each group, as many as its width says; the first ones among equals."""
    keep = graph.everything()
    for group in graph.groups:
        order = np.argsort(-importance[group.name], kind="stable")
        keep[group.units[order[widths[group.name] :]]] = False
    return keep


class Knapsack:
    """One network's groups, layers and importances, made ready to be asked for many budgets."""

    def __init__(self, graph: ChannelGraph, importance: Importance, table: LatencyTable, granularity: int) -> None:
        self._layers = _Layers(graph, table.microseconds)
        self._options = {group.name: options(group.width, granularity) for group in graph.groups}
        self._worth = {group.name: _worth(importance[group.name]) for group in graph.groups}
        self._whole = sum(worth[-1] for worth in self._worth.values()) or 1.0
        self.dense = {group.name: group.width for group in graph.groups}
        self.dense_cost = self._layers.total(self.dense)

    def narrowest(self) -> Chosen:
        """Every group at its floor: the fastest that can be had."""
        return self._chosen({name: counts[0] for name, counts in self._options.items()})

    def within(self, budget: float) -> Chosen | None:
        """The widths that keep the most importance at a cost of at most `budget` microseconds; None if none do."""
        if self.dense_cost <= budget:
            return self._chosen(self.dense)
        best = self.narrowest()
        if best.cost > budget:
            return None
        low, high = 0.0, self._steep()
        widths: Mapping[str, int] = self.dense
        for _ in range(BISECTIONS):
            price = (low * high) ** 0.5 if low > 0 else high * 1e-8
            widths = self._settled(price, self.dense)
            found = self._chosen(widths)
            if found.cost > budget:
                low = price
            else:
                high = price
                best = max(best, found, key=lambda each: each.importance)
        return self._filled(best, budget)

    def _steep(self) -> float:
        """A price of latency at which nothing but latency counts."""
        return 1e6 * self._whole / self.dense_cost

    def _settled(self, price: float, start: Mapping[str, int]) -> dict[str, int]:
        widths = dict(start)
        for _ in range(SWEEPS):
            moved = False
            for name, counts in self._options.items():
                best = max(counts, key=lambda c: self._worth[name][c] - price * self._layers.around(name, c, widths))
                moved |= best != widths[name]
                widths[name] = best
            if not moved:
                break
        return widths

    def _filled(self, chosen: Chosen, budget: float) -> Chosen:
        """Spends what is left of the budget on the widenings that give the most for it."""
        widths, cost = dict(chosen.widths), chosen.cost
        while True:
            best, gain = None, 0.0
            for name, counts in self._options.items():
                for count in counts:
                    if count <= widths[name]:
                        continue
                    more = self._layers.around(name, count, widths) - self._layers.around(name, widths[name], widths)
                    won = self._worth[name][count] - self._worth[name][widths[name]]
                    if cost + more <= budget and won / max(more, 1e-3) > gain:
                        best, gain = (name, count, more), won / max(more, 1e-3)
            if best is None:
                return self._chosen(widths)
            widths[best[0]] = best[1]
            cost += best[2]

    def _chosen(self, widths: Mapping[str, int]) -> Chosen:
        kept = sum(self._worth[name][count] for name, count in widths.items())
        return Chosen(dict(widths), self._layers.total(widths), float(kept / self._whole))


def _worth(importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(width + 1,) importance kept by the best k units."""
    return np.concatenate([[0.0], np.cumsum(-np.sort(-importance))])


class _Layers:
    """What layers cost as functions of the groups' widths; look-ups are remembered."""

    def __init__(self, graph: ChannelGraph, cost: Cost) -> None:
        self._cost = cost
        self._known: dict[tuple[Geometry, int, int], float] = {}
        self._layers = [
            (layer.geometry, _shares(graph.groups, layer.inputs), _shares(graph.groups, layer.outputs))
            for layer in graph.layers.values()
            if layer.geometry is not None
        ]
        self._touched: dict[str, list[int]] = {group.name: [] for group in graph.groups}
        for place, (_, inputs, outputs) in enumerate(self._layers):
            for name in {*inputs[1], *outputs[1]}:
                self._touched[name].append(place)

    def total(self, widths: Mapping[str, int]) -> float:
        """The cost of all layers."""
        return sum(self._one(place, widths) for place in range(len(self._layers)))

    def around(self, name: str, count: int, widths: Mapping[str, int]) -> float:
        """The cost of the layers that a group is in, were it `count` wide."""
        there = {**widths, name: count} if widths[name] != count else widths
        return sum(self._one(place, there) for place in self._touched[name])

    def _one(self, place: int, widths: Mapping[str, int]) -> float:
        geometry, inputs, outputs = self._layers[place]
        key = (geometry, _count(inputs, widths), _count(outputs, widths))
        if key not in self._known:
            self._known[key] = self._cost(*key)
        return self._known[key]


Shares = tuple[int, dict[str, int]]
"""Channels that stay whatever is chosen, and how often each group is among the channels."""


def _shares(groups: tuple[Group, ...], units: NDArray[np.int64]) -> Shares:
    of_unit = {int(unit): group for group in groups for unit in group.units}
    counts: dict[str, int] = {}
    for unit in units[units != FIXED]:
        group = of_unit[int(unit)]
        counts[group.name] = counts.get(group.name, 0) + 1
    width = {group.name: group.width for group in groups}
    return int((units == FIXED).sum()), {name: count // width[name] for name, count in counts.items()}


def _count(shares: Shares, widths: Mapping[str, int]) -> int:
    return shares[0] + sum(times * widths[name] for name, times in shares[1].items())
