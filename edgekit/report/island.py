"""What the page's charts are drawn from: numbers as report.json has them, and the words beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgekit.report import plot
from edgekit.report.escaping import printable
from edgekit.report.metrics import metric
from edgekit.report.model import Report
from edgekit.report.steps import Step, steps

Ends = tuple[float, float]


@dataclass(frozen=True)
class ChartPoint:
    """A variant: latencies in ms, accuracy (or agreement) in percent with its interval; see edgekit.report.plot."""

    name: str
    look: str
    front: bool
    p50: float
    p50_ends: Ends
    accuracy: float | None
    accuracy_ends: Ends | None


@dataclass(frozen=True)
class Distribution:
    """The quantiles of a variant's latencies: percent of the runs, and ms."""

    name: str
    look: str
    percent: tuple[float, ...]
    ms: tuple[float, ...]


@dataclass(frozen=True)
class ChartData:
    """All of it. Budgets: the lowest accuracy, percent, and the highest latency, ms."""

    y_title: str
    y_name: str
    accuracy_limit: float | None
    latency_limit: float | None
    points: tuple[ChartPoint, ...]
    steps: tuple[Step, ...]
    distributions: tuple[Distribution, ...]


def chart_data(report: Report) -> ChartData:
    """What the charts of a report show."""
    y_key, found = plot.points(report)
    looks = {each.name: each.look for each in found}
    of_task = metric(report)
    by_key = {"accuracy": (of_task.axis, of_task.name), "agreement": ("top-1 agreement with FP32", "agreement")}
    title, name = by_key.get(y_key, ("", ""))
    quantiles = ((each.name, each.latency.quantiles) for each in report.variants)
    return ChartData(
        y_title=title,
        y_name=name,
        accuracy_limit=plot.accuracy_limit(report, y_key),
        latency_limit=report.verdict.latency.budget,
        points=tuple(
            ChartPoint(printable(each.name), each.look, each.is_front, each.x, each.x_ends, each.y, each.y_ends)
            for each in found
        ),
        steps=tuple(_shown(each) for each in steps(report)),
        distributions=tuple(
            Distribution(printable(name), looks.get(name, "left"), told.percent, told.ms)
            for name, told in quantiles
            if told is not None
        ),
    )


def _shown(step: Step) -> Step:
    """With names as they can be drawn."""
    return replace(step, name=printable(step.name), start=None if step.start is None else printable(step.start))
