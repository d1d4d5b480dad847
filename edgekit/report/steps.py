"""Latency and accuracy from step to step, from the baseline to what is in the bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgekit.report.columns import decision
from edgekit.report.metrics import metric
from edgekit.report.model import Report
from edgekit.report.model_variants import Variant
from edgekit.report.summary import MISSING, baseline, milliseconds, number

MOST: Final = 12
"""Steps that are drawn; of more, only those that lead to the chosen variant."""

TITLES: Final = ("step", "after", "p50, ms", "change", "accuracy, %", "points", "decision")


@dataclass(frozen=True)
class Step:
    """A variant beside the one that its step began with.

    Attributes:
        start: name of that one; None of the baseline.
        outcome: chosen, baseline, taken back or compared.
        p50, p50_start: ms; accuracy, accuracy_start: of the task, percent; None where not measured.
    """

    name: str
    start: str | None
    outcome: str
    p50: float | None
    p50_start: float | None
    accuracy: float | None
    accuracy_start: float | None


def steps(report: Report) -> list[Step]:
    """The baseline and what was made of it, in order; a step begins where the last one that was not taken back ended,
    or with its own parent where that was taken back. Empty where there is no baseline, or nothing beside it.
    """
    base = baseline(report)
    if base is None:
        return []
    shown = [each for each in report.variants if each.kind != "baseline" or each.name == base.name]
    if len(shown) > MOST:
        shown = _way_to_chosen(report, base)
    found, last = [_step(report, base, None)], base
    refused = {each.name: each for each in shown if decision(report, each) == "taken back"}
    for variant in shown:
        if variant.name == base.name:
            continue
        found.append(_step(report, variant, refused.get(variant.parent or "", last)))
        last = last if variant.name in refused else variant
    return found if len(found) > 1 else []


def _way_to_chosen(report: Report, base: Variant) -> list[Variant]:
    """The baseline, and what the chosen variant was made of."""
    known = {each.name: each for each in report.variants}
    way, here = [report.chosen_variant], report.chosen_variant
    while here.parent in known and known[here.parent] not in way:
        here = known[here.parent]
        way.append(here)
    way = [each for each in reversed(way) if each.name != base.name]
    return [base, *way]


def _step(report: Report, variant: Variant, start: Variant | None) -> Step:
    outcome = "chosen" if variant.name == report.chosen else decision(report, variant)
    value = metric(report).value
    return Step(
        name=variant.name,
        start=None if start is None else start.name,
        outcome={"yes": "chosen", "no": "compared"}.get(outcome, outcome),
        p50=variant.latency.p50,
        p50_start=None if start is None else start.latency.p50,
        accuracy=value(variant.accuracy),
        accuracy_start=None if start is None else value(start.accuracy),
    )


def rows(found: Sequence[Step]) -> list[tuple[str, ...]]:
    """Cells of the steps, as TITLES has them."""
    return [
        (
            each.name,
            each.start or "",
            milliseconds(each.p50),
            _share(each.p50, each.p50_start) if each.start else "",
            number(each.accuracy, 2),
            signed(each.accuracy, each.accuracy_start) if each.start else "",
            each.outcome,
        )
        for each in found
    ]


def _share(after: float | None, before: float | None) -> str:
    """The change in percent, with its sign."""
    if after is None or not before:
        return MISSING
    text = number(100 * (after / before - 1), 0)
    return f"{text if text.startswith('−') or text == '0' else '+' + text} %"


def signed(after: float | None, before: float | None) -> str:
    """The difference in points, with its sign."""
    if after is None or before is None:
        return MISSING
    text = number(after - before, 2)
    return text if text.startswith("−") or not text.strip("0.") else f"+{text}"
