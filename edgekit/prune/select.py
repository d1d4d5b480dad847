"""Choosing widths and blocks: the greatest importance kept under a latency, by a knapsack over groups of channels and
whole residual blocks.

In the spirit of HALP (Shen et al. 2022, arXiv 2110.10811), with the latency of a layer taken at its real numbers of
channels in and out: what a group's width saves is in its own layers and in all that read it. For a price of latency
each group takes the width with the best balance while the others stand still, until none moves; the price is found by
bisection. Steps of hardware, where sixteen channels fewer save nothing and the next sixteen all, are so passed over.
A block stands beside the widths within it, in the spirit of multi-dimensional pruning (Sun et al. 2025, MDP): it goes
where what it is worth is less than what its layers are, at the widths that they would have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.prune.blocks import without
from edgekit.prune.channels import ChannelGraph, Group, Keep
from edgekit.prune.chosen_blocks import Blocks, State
from edgekit.prune.layer_costs import LayerCosts
from edgekit.prune.table import LatencyTable

Importance = Mapping[str, NDArray[np.float64]]
"""Group name: (width,) what each unit is worth; sums over groups can be compared. Block name: (1,) what it is."""

SWEEPS: Final = 12
BISECTIONS: Final = 24
FLOOR: Final = 8
"""A group keeps at least this part, one in FLOOR, of its channels."""


@dataclass(frozen=True)
class Chosen:
    """Widths by group, 0 inside removed blocks, what they cost by the table, the share of importance that is kept, and
    the names of the blocks that are removed, also of those inside others.
    """

    widths: Mapping[str, int]
    cost: float
    importance: float
    removed: tuple[str, ...] = ()


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


def keep_best(
    graph: ChannelGraph, widths: Mapping[str, int], importance: Importance, removed: Sequence[str] = ()
) -> Keep:
    """(units,) the most important units of each group, as many as its width says; the first ones among equals.

    Args:
        removed: names of the blocks that do not stay, with all that is inside them.
    """
    keep = graph.everything()
    for group in graph.groups:
        order = np.argsort(-importance[group.name], kind="stable")
        keep[group.units[order[widths[group.name] :]]] = False
    return without(graph, keep, removed)


class Knapsack:
    """One network's groups, blocks, layers and importances, made ready to be asked for many budgets."""

    def __init__(
        self,
        graph: ChannelGraph,
        importance: Importance,
        table: LatencyTable,
        granularity: int,
        around_blocks: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """What blocks cost beside their layers, microseconds, is nothing unless it is told by their names."""
        self._names = [group.name for group in graph.groups]
        self._options = [options_of(group, granularity) for group in graph.groups]
        self._layers = LayerCosts(graph, table.microseconds, self._options)
        self._worth = [_worth(importance[group.name]) for group in graph.groups]
        self._worths = [worth[list(counts)] for worth, counts in zip(self._worth, self._options, strict=True)]
        self._whole = float(sum(worth[-1] for worth in self._worth)) or 1.0
        self._blocks = Blocks(graph, importance, around_blocks)
        self._ends = (
            State(tuple(counts[-1] for counts in self._options), frozenset()),
            State(tuple(counts[0] for counts in self._options), self._blocks.all),
        )
        self.dense, self.narrowest = (self._chosen(end) for end in self._ends)

    @property
    def without_blocks(self) -> Chosen | None:
        """Every width as it came, and no block; None where there is none that could go."""
        return self._chosen(State(self._ends[0].widths, self._blocks.all)) if self._blocks.all else None

    def beside_blocks(self, share: float) -> dict[str, float]:
        """What blocks cost beside their layers, microseconds by name: sums, joins and what else is between layers.

        Args:
            share: of the whole network's latency, what is left of it without blocks, as measured.
        """
        widths, blocks = self._ends[0].widths, sorted(self._blocks.outermost(self._blocks.all))
        costs = {self._blocks.names[each]: self._layers.of(self._layers.inside([each]), widths) for each in blocks}
        # so much that without the blocks, and it, the share is what was measured; the rest is taken to be layers alone
        whole = ((1 - share) * self._layers.total(widths) - sum(costs.values())) / max(share, 0.05)
        return {name: max(0.0, whole) * cost / sum(costs.values()) for name, cost in costs.items()}

    @property
    def dense_cost(self) -> float:
        """Microseconds of all layers as they came."""
        return self.dense.cost

    def within(self, budget: float) -> Chosen | None:
        """What keeps the most importance at a cost of at most `budget` microseconds; None if nothing does."""
        if self.dense_cost <= budget:
            return self.dense
        if self.narrowest.cost > budget:
            return None
        fitting = self._search(lambda found: found.cost <= budget)
        best = max([*fitting, self.narrowest], key=lambda each: each.importance)
        return self._filled(best, budget)

    def keeping(self, share: float) -> Chosen:
        """The cheapest that keeps this share of the importance."""
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
        ends = [self._chosen(self._settled(price, end)) for end in self._ends]
        return max(ends, key=lambda c: c.importance * self._whole - price * c.cost)

    def _settled(self, price: float, state: State) -> State:
        """Moves one group or block after another to where the balance is best, until none moves.

        What is inside a removed block is given the widths that it would have if the block stayed.
        """
        widths, out = list(state.widths), set(state.out)
        for _ in range(SWEEPS):
            moved, gone, dead = False, self._layers.inside(out), self._blocks.groups_of(out)
            for group, counts in enumerate(self._options):
                costs = self._layers.around(group, widths, () if group in dead else gone)
                best = counts[int((self._worths[group] - price * costs).argmax())]
                moved |= best != widths[group]
                widths[group] = best
            for block in self._blocks.all:
                won, more = self._of_block(block, State(tuple(widths), frozenset(out)))
                if (won > price * more) == (block in out):
                    moved = True
                    out ^= {block}
            if not moved:
                break
        return State(tuple(widths), frozenset(out))

    def _of_block(self, block: int, state: State) -> tuple[float, float]:
        """The importance that a block keeps with what is inside it, and what it costs, at the widths of a state."""
        nested = self._blocks.nested[block] & state.out
        gone, dead = self._layers.inside(nested), self._blocks.groups_of(nested)
        lost = sum(self._lost(group, state) for group in self._blocks.groups[block] if group not in dead)
        lost += self._blocks.lost(nested)
        more = self._layers.of(self._layers.inside([block]) - gone, state.widths)
        return self._blocks.worth[block] - lost, more + self._blocks.beside(
            {block, *self._blocks.nested[block]} - nested
        )

    def _lost(self, group: int, state: State) -> float:
        return float(self._worth[group][-1] - self._worth[group][state.widths[group]])

    def _filled(self, chosen: Chosen, budget: float) -> Chosen:
        """Spends what is left of the budget on the widenings, and the blocks, that give the most for it."""
        state, cost = self._state(chosen), chosen.cost
        while True:
            best, gain = None, 0.0
            for more, won, then in self._fillings(state):
                if cost + more <= budget and won / max(more, 1e-3) > gain:
                    best, gain = (more, then), won / max(more, 1e-3)
            if best is None:
                return self._chosen(state)
            cost, state = cost + best[0], best[1]()

    def _fillings(self, state: State) -> Iterator[tuple[float, float, Callable[[], State]]]:
        """Steps that cost more and keep more: how much of both, and what is then."""
        gone, dead = self._layers.inside(state.out), self._blocks.groups_of(state.out)
        for group, counts in enumerate(self._options):
            if group in dead:
                continue
            here = counts.index(state.widths[group])
            dearer = self._layers.around(group, state.widths, gone)[here:]
            worthier = self._worths[group][here:]
            mores, wons = (dearer - dearer[0]).tolist(), (worthier - worthier[0]).tolist()
            for count, more, won in zip(counts[here:], mores, wons, strict=True):
                yield more, won, partial(state.with_width, group, count)
        for block in self._blocks.outermost(state.out):
            out = state.out - {block} - self._blocks.nested[block]
            for end in self._ends:
                inside = self._blocks.groups[block]
                widths = (end.widths[g] if g in inside else width for g, width in enumerate(state.widths))
                back = (tuple(widths), out)
                won, more = self._of_block(block, State(*back))
                yield more, won, partial(State, *back)

    def _state(self, chosen: Chosen) -> State:
        out = frozenset(place for place in self._blocks.all if self._blocks.names[place] in chosen.removed)
        widths = (chosen.widths[name] or counts[0] for name, counts in zip(self._names, self._options, strict=True))
        return State(tuple(widths), out)

    def _chosen(self, state: State) -> Chosen:
        out = self._blocks.with_nested(state.out)
        dead, gone = self._blocks.groups_of(out), self._layers.inside(out)
        lost = sum(self._lost(group, state) for group in range(len(self._names)) if group not in dead)
        kept = self._whole - lost - self._blocks.lost(out)
        told = {name: 0 if g in dead else state.widths[g] for g, name in enumerate(self._names)}
        cost = self._layers.total(state.widths, gone) + self._blocks.beside(self._blocks.all - out)
        removed = tuple(self._blocks.names[place] for place in sorted(out))
        return Chosen(told, cost, float(kept / self._whole), removed)


def _worth(importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """(width + 1,) importance kept by the best k units."""
    return np.concatenate([[0.0], np.cumsum(-np.sort(-importance))])
