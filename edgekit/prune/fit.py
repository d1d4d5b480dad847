"""From a budget in milliseconds to widths: the table predicts, the whole network is measured and corrects it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edgekit.errors import BudgetError
from edgekit.prune.choice import LatencyStep
from edgekit.prune.select import Chosen, Knapsack

Measure = Callable[[Chosen], float]
"""Milliseconds of the whole network at some widths, on the target."""

CORRECTIONS: Final = 5
AIM: Final = 0.98
"""Of the budget: what is aimed at, so that a later measurement does not miss it by its noise."""

ENOUGH: Final = 0.95
"""A choice that takes at least this part of the budget is near enough to it."""

KNEE: Final = 0.985
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


def within(knapsack: Knapsack, budget_ms: float, dense_ms: float, measure: Measure) -> Fitted:
    """The widths that keep the most importance within a budget, as measured.

    The table's sum leaves out what is between layers. A line from it to milliseconds, through the dense network and the
    last choice, stands for that; it is drawn anew after each measurement.

    Raises:
        BudgetError: even the narrowest widths take longer; what they reach is said.
    """
    if dense_ms <= budget_ms:
        return Fitted(knapsack.dense, (LatencyStep(dense_ms, dense_ms),))
    slope = dense_ms / knapsack.dense_cost
    offset = 0.0
    steps: list[LatencyStep] = []
    best: tuple[Chosen, LatencyStep] | None = None
    for _ in range(CORRECTIONS):
        found = knapsack.within((AIM * budget_ms - offset) / slope)
        chosen = found or knapsack.narrowest
        step = LatencyStep(offset + slope * chosen.cost, measure(chosen))
        steps.append(step)
        if step.measured_ms <= budget_ms and (best is None or chosen.importance > best[0].importance):
            best = chosen, step
        if ENOUGH * budget_ms <= step.measured_ms <= budget_ms:
            break
        if found is None and step.measured_ms > budget_ms:
            break
        if dense_ms > step.measured_ms and knapsack.dense_cost > chosen.cost:
            slope = (dense_ms - step.measured_ms) / (knapsack.dense_cost - chosen.cost)
            offset = dense_ms - slope * knapsack.dense_cost
    if best is None:
        raise BudgetError(
            f"a latency of {budget_ms:g} ms cannot be reached by pruning: the narrowest network that was tried takes"
            f" {min(step.measured_ms for step in steps):.2f} ms, the unpruned one {dense_ms:.2f} ms",
            "Give a larger --latency-budget, or a smaller model.",
        )
    order = [step for step in steps if step != best[1]]
    return Fitted(best[0], (*order, best[1]))
