"""From a budget in milliseconds to widths: the table predicts, the whole network is measured and corrects it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from edgekit.errors import BudgetError
from edgekit.prune.choice import LatencyStep
from edgekit.prune.select import Chosen, Knapsack

Measure = Callable[[Chosen], float]
"""Milliseconds of the whole network at some widths, on the target."""

CORRECTIONS: Final = 5
AIM: Final = 0.98
"""Of the budget: what is aimed at, so that a later measurement does not miss it by its noise."""

STEEPEST: Final = 0.5
"""Of the cost of what was too slow: what is tried next at least, while nothing is known that is fast enough."""

APART: Final = 0.1
"""Of the way between two known points: what is tried next lies at least so far from both."""

KNEE: Final = 0.993
"""Without a budget: the fastest widths that keep this share of the importance."""


@dataclass(frozen=True)
class Fitted:
    """Widths, and how they were found."""

    chosen: Chosen
    steps: tuple[LatencyStep, ...]

    @property
    def measured_ms(self) -> float:
        """Of the widths chosen."""
        return self.steps[-1].measured_ms


@dataclass(frozen=True)
class Bracket:
    """What is known of the way from the table's sum to latency; both are shares of the dense network's.

    Noise makes single measurements wrong, so that a line through the last two may lead anywhere: what is tried next
    lies between what was too slow and what was fast enough, or not far below the former.

    Attributes:
        budget: the share of latency that is asked for.
        slow: cost and latency of the cheapest that was too slow; fast: of the dearest that was fast enough.
    """

    budget: float
    slow: tuple[float, float] = (1.0, 1.0)
    fast: tuple[float, float] | None = None

    def seen(self, cost: float, latency: float) -> Bracket:
        """With one more measurement; one that contradicts those before changes nothing."""
        if latency <= self.budget:
            inside = self.slow[0] > cost >= (self.fast or (0.0, 0.0))[0]
            return replace(self, fast=(cost, latency)) if inside else self
        inside = self.slow[0] >= cost > (self.fast or (0.0, 0.0))[0]
        return replace(self, slow=(cost, latency)) if inside else self

    @property
    def _line(self) -> tuple[float, float]:
        """Slope and offset of latency over cost."""
        low, high = self.fast or (0.0, 0.0), self.slow
        if self.fast is None and high[0] < 1 and high[1] < 1:  # what is between layers is paid by all: an offset
            low, high = high, (1.0, 1.0)
        slope = (high[1] - low[1]) / (high[0] - low[0])
        return slope, high[1] - slope * high[0]

    def predicted(self, cost: float) -> float:
        """Latency at a cost."""
        slope, offset = self._line
        return offset + slope * cost

    @property
    def next_cost(self) -> float:
        """What to try: where latency is AIM of the budget, as far as that is believed."""
        slope, offset = self._line
        cost, high = (AIM * self.budget - offset) / slope, self.slow[0]
        if self.fast is None:
            return min(max(cost, STEEPEST * high), high) if high < 1 else cost
        low = self.fast[0]
        apart = APART * (high - low)
        return min(max(cost, low + apart), high - apart)


def within(
    knapsack: Knapsack,
    budget_ms: float,
    dense_ms: float,
    measure: Measure,
    known: tuple[float, float] | None = None,
    enough: float = 0.95,
) -> Fitted:
    """The widths that keep the most importance within a budget, as measured.

    Args:
        known: of an earlier choice, what the table's sum and what its latency was, as parts of the dense network's.
        enough: a choice that takes at least this part of the budget is near enough to it.
    Raises:
        BudgetError: even the narrowest widths take longer; what they reach is said.
    """
    if dense_ms <= budget_ms:
        return Fitted(knapsack.dense, (LatencyStep(dense_ms, dense_ms),))
    bracket = Bracket(budget_ms / dense_ms)
    if known is not None and max(known) < 1:  # what is no faster with less says nothing
        bracket = bracket.seen(*known)
    steps: list[LatencyStep] = []
    tried: list[Chosen] = []
    best: tuple[Chosen, LatencyStep] | None = None
    for left in reversed(range(CORRECTIONS)):
        found = knapsack.within(bracket.next_cost * knapsack.dense_cost)
        if found is None or (bracket.fast is None and (left == 0 or found in tried)):
            found = knapsack.narrowest
        if found in tried:
            break
        tried.append(found)
        cost = found.cost / knapsack.dense_cost
        step = LatencyStep(bracket.predicted(cost) * dense_ms, measure(found))
        steps.append(step)
        bracket = bracket.seen(cost, step.measured_ms / dense_ms)
        if step.measured_ms <= budget_ms and (best is None or found.importance > best[0].importance):
            best = found, step
        if enough * budget_ms <= step.measured_ms <= budget_ms:
            break
    if best is None:
        raise BudgetError(
            f"a latency of {budget_ms:g} ms cannot be reached by pruning: the narrowest network that was tried takes"
            f" {min(step.measured_ms for step in steps):.2f} ms, the unpruned one {dense_ms:.2f} ms",
            "Give a larger --latency-budget, or a smaller model.",
        )
    order = [step for step in steps if step != best[1]]
    return Fitted(best[0], (*order, best[1]))
