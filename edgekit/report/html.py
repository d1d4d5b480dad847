"""The report as one HTML file: no script, no font and no picture from outside, light and dark, fit to print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.report import plot, summary
from edgekit.report.html_sections import changes, pruning, search
from edgekit.report.method import method
from edgekit.report.metrics import metric
from edgekit.report.model import Report
from edgekit.report.model_variants import Variant
from edgekit.report.page import markup, render

_MARKS = {"good": "✓", "bad": "✗", "open": "?"}


def html(report: Report) -> str:
    """Render a report as one HTML file that needs nothing else."""
    tone, words = summary.state(report)
    columns = summary.columns(report)
    return render(
        "report.html.j2",
        report=report,
        title=summary.title(report),
        tone=tone,
        mark=_MARKS[tone],
        state=words,
        verdict=summary.verdict(report),
        key_figures=_key_figures(report),
        plot=_plot(report),
        no_latency=report.chosen_variant.latency.why or "no reason given",
        columns=columns,
        rows=[_row(report, each, columns) for each in report.variants],
        gaps=summary.gaps(report),
        fidelity=summary.fidelity(report),
        metric=metric(report),
        changes=changes(report),
        pruning=pruning(report),
        search=search(report),
        stages=[StageRow(each.name, summary.number(each.seconds), each.cached) for each in report.stages],
        total_seconds=summary.number(sum(each.seconds or 0 for each in report.stages)),
        method=method(report),
    )


@dataclass(frozen=True)
class KeyFigure:
    """One of the numbers that decide, and what it is compared with."""

    name: str
    value: str
    note: str


def _key_figures(report: Report) -> list[KeyFigure]:
    ours, base, verdict = report.chosen_variant, summary.baseline(report), report.verdict

    def before(text: str) -> str:
        return "" if base is None or text == summary.MISSING else f"FP32: {text}"

    def latency(variant: Variant | None) -> str:
        return _unit(summary.milliseconds(variant.latency.p50 if variant else None), "ms")

    def size(variant: Variant | None) -> str:
        return _unit(summary.megabytes(variant.size_bytes if variant else None), "MB")

    of_task = metric(report).name
    drop = [_range(verdict.accuracy.ci95, ""), summary.undecided(report)]
    figures = [
        ("Median latency", latency(ours), before(latency(base))),
        ("Speed against FP32", summary.times(verdict.latency.speedup_vs_fp32), _range(verdict.latency.ci95, "x")),
        (
            f"{of_task[0].upper()}{of_task[1:]} drop",
            _unit(summary.number(verdict.accuracy.drop), "points"),
            "; ".join(filter(None, drop)),
        ),
        ("Size", size(ours), before(size(base))),
    ]
    return [
        KeyFigure(name, "not measured" if value == summary.MISSING else value, note) for name, value, note in figures
    ]


def _unit(value: str, unit: str) -> str:
    return value if value == summary.MISSING else f"{value} {unit}"


def _range(ends: tuple[float, float] | None, unit: str) -> str:
    return f"95 % interval {summary.number(ends[0])}{unit} to {summary.number(ends[1])}{unit}" if ends else ""


@dataclass(frozen=True)
class Plot:
    """The plot of accuracy against latency, as markup, and what is said below it."""

    heading: str
    drawn: object
    notes: str


def _plot(report: Report) -> Plot | None:
    """None where no latency was measured."""
    drawn = plot.svg(report)
    if not drawn:
        return None
    y_key, found = plot.points(report)
    notes = ["Up and to the left is better. Horizontal bars reach from p50 to p90."]
    if y_key:
        notes.append(
            "Vertical bars are 95 % intervals of each variant alone; the drop in the verdict is paired on the same "
            "images and known more closely."
        )
    else:
        notes[0] = "Left is better; accuracy was not measured. Horizontal bars reach from p50 to p90."
    if y_key and any(point.y is None for point in found):
        notes.append("Variants on the bottom line have a latency, but their accuracy was not measured.")
    if any(point.look == "left" for point in found):
        notes.append("Hollow points were not kept.")
    return Plot("Accuracy against latency" if y_key else "Latency", markup(drawn), " ".join(notes))


@dataclass(frozen=True)
class Cell:
    """A cell of the table of variants; `look` names its classes."""

    title: str
    text: str
    look: str
    is_missing: bool


@dataclass(frozen=True)
class Row:
    """A variant in the table."""

    name: str
    is_chosen: bool
    cells: tuple[Cell, ...]


def _row(report: Report, variant: Variant, columns: Sequence[summary.Column]) -> Row:
    cells = []
    for column in columns[1:]:
        text = column.cell(report, variant)
        look = " ".join(filter(None, ("text" * column.is_text, "reason" * (column.title == "reason"))))
        cells.append(Cell(column.title, text, look, text == summary.MISSING))
    return Row(variant.name, variant.name == report.chosen, tuple(cells))


@dataclass(frozen=True)
class StageRow:
    """A stage in the table of stages."""

    name: str
    seconds: str
    cached: bool
