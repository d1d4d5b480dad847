"""Choosing widths: the greatest importance kept under a latency, by a knapsack over groups of channels.

In the spirit of HALP (Shen et al. 2022, arXiv 2110.10811), with the latency of a layer taken at its real numbers of
channels in and out: what a group's width saves is in its own layers and in all that read it. For a price of latency
each group takes the width with the best balance while the others stand still, until none moves; the price is found by
bisection. Steps of hardware, where sixteen channels fewer save nothing and the next sixteen all, are so passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.prune.channels import ChannelGraph, Geometry, Group, Keep
from edgekit.prune.table import LatencyTable

Importance = Mapping[str, NDArray[np.float64]]
"""Group name: (width,) what each unit is worth; sums over groups can be compared."""

SWEEPS: Final = 12
BISECTIONS: Final = 24
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


def options_of(group: Group, granularity: int) -> tuple[int, ...]:
    """The widths that a group may have, in units, each of which may be several channels."""
    return options(group.width, max(1, granularity // group.channels))


def ratio_widths(graph: ChannelGraph, ratio: float, granularity: int) -> dict[str, int]:
    """Every group narrowed by the same part, to the nearest width that it may have."""
    wanted = {group.name: group.width * (1 - ratio) for group in graph.groups}
    return {
        group.name: min(options_of(group, granularity), key=lambda count: (abs(count - wanted[group.name]), count))
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
        self._names = [group.name for group in graph.groups]
        self._options = [options_of(group, granularity) for group in graph.groups]
        self._layers = _Layers(graph, table.microseconds, self._options)
        self._worth = [_worth(importance[group.name]) for group in graph.groups]
        self._worths = [worth[list(counts)] for worth, counts in zip(self._worth, self._options, strict=True)]
        self._whole = float(sum(worth[-1] for worth in self._worth)) or 1.0
        self.dense = self._chosen([group.width for group in graph.groups])
        self.narrowest = self._chosen([counts[0] for counts in self._options])

    @property
    def dense_cost(self) -> float:
        """Microseconds of all layers as they came."""
        return self.dense.cost

    def within(self, budget: float) -> Chosen | None:
        """The widths that keep the most importance at a cost of at most `budget` microseconds; None if none do."""
        if self.dense_cost <= budget:
            return self.dense
        if self.narrowest.cost > budget:
            return None
        fitting = self._search(lambda found: found.cost <= budget)
        best = max([*fitting, self.narrowest], key=lambda each: each.importance)
        return self._filled(best, budget)

    def keeping(self, share: float) -> Chosen:
        """The cheapest widths that keep this share of the importance."""
        enough = self._search(lambda found: found.importance < share, met=False)
        return min([*enough, self.dense], key=lambda each: each.cost)

    def _search(self, stop: Callable[[Chosen], bool], met: bool = True) -> list[Chosen]:
        """Bisects the price of latency for where `stop` begins to hold; all choices for which it is `met`."""
        low, high, found = 0.0, 1e6 * self._whole / self.dense_cost, []
        for _ in range(BISECTIONS):
            price = (low * high) ** 0.5 if low > 0 else high * 1e-8
            made = self._best_at(price)
            if stop(made):
                high = price
            else:
                low = price
            if stop(made) == met:
                found.append(made)
        return found

    def _best_at(self, price: float) -> Chosen:
        """The best balance of importance and latency at a price, from both ends."""
        ends = (self._settled(price, list(each.widths.values())) for each in (self.dense, self.narrowest))
        return max((self._chosen(w) for w in ends), key=lambda c: c.importance * self._whole - price * c.cost)

    def _settled(self, price: float, widths: list[int]) -> list[int]:
        for _ in range(SWEEPS):
            moved = False
            for group, counts in enumerate(self._options):
                balance = self._worths[group] - price * self._layers.around(group, widths)
                best = counts[int(balance.argmax())]
                moved |= best != widths[group]
                widths[group] = best
            if not moved:
                break
        return widths

    def _filled(self, chosen: Chosen, budget: float) -> Chosen:
        """Spends what is left of the budget on the widenings that give the most for it."""
        widths, cost = list(chosen.widths.values()), chosen.cost
        while True:
            best, gain = (0, 0, 0.0), 0.0
            for group, counts in enumerate(self._options):
                here = counts.index(widths[group])
                dearer = self._layers.around(group, widths)[here:]
                worthier = self._worths[group][here:]
                mores, wons = (dearer - dearer[0]).tolist(), (worthier - worthier[0]).tolist()
                for count, more, won in zip(counts[here:], mores, wons, strict=True):
                    if cost + more <= budget and won / max(more, 1e-3) > gain:
                        best, gain = (group, count, more), won / max(more, 1e-3)
            if gain == 0.0:
                return self._chosen(widths)
            widths[best[0]] = best[1]
            cost += best[2]

    def _chosen(self, widths: list[int]) -> Chosen:
        kept = sum(worth[count] for worth, count in zip(self._worth, widths, strict=True))
        told = dict(zip(self._names, widths, strict=True))
        return Chosen(told, self._layers.total(widths), float(kept / self._whole))


def _worth(importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(width + 1,) importance kept by the best k units."""
    return np.concatenate([[0.0], np.cumsum(-np.sort(-importance))])


@dataclass(frozen=True)
class _Side:
    """One side of a layer: channels that stay whatever is chosen, and how often each group is among the others."""

    fixed: int
    times: Mapping[int, int]

    def count(self, widths: list[int], but: int | None = None) -> int:
        """Channels at some widths, one group's left out."""
        return self.fixed + sum(times * widths[group] for group, times in self.times.items() if group != but)


class _Layers:
    """What layers cost as functions of the groups' widths; what was computed is remembered."""

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

    def total(self, widths: list[int]) -> float:
        """The cost of all layers."""
        return sum(self._one(geometry, i.count(widths), o.count(widths)) for geometry, i, o in self._layers)

    def around(self, group: int, widths: list[int]) -> NDArray[np.float64]:
        """For each width that a group may have, the cost of the layers that it is in; the other groups stand still."""
        costs = np.zeros(len(self._options[group]))
        for place in self._touched[group]:
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
