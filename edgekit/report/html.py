"""The report as one HTML file: nothing from outside, light and dark, fit to print, and whole without its scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.report import plot, repeat, summary
from edgekit.report.columns import Column, columns, decision
from edgekit.report.html_evidence import calibration, latencies, layer_sections, step_rows
from edgekit.report.html_sections import changes, pruning, search
from edgekit.report.island import chart_data
from edgekit.report.method import method
from edgekit.report.metrics import metric
from edgekit.report.model import Report
from edgekit.report.model_variants import Variant
from edgekit.report.page import markup, render
from edgekit.report.scripts import as_json, scripts

_MARKS = {"good": "✓", "bad": "✗", "open": "?"}


def html(report: Report) -> str:
    """Render a report as one HTML file that needs nothing else."""
    tone, words = summary.state(report)
    shown = [each for each in columns(report) if each.title not in ("kept", "reason")]
    return render(
        "report.html.j2",
        scripts=scripts(),
        data=as_json(chart_data(report)),
        report=report,
        title=summary.title(report),
        tone=tone,
        mark=_MARKS[tone],
        state=words,
        verdict=summary.verdict(report),
        key_figures=_key_figures(report),
        plot=_plot(report),
        no_latency=report.chosen_variant.latency.why or "no reason given",
        columns=shown,
        rows=[_row(report, each, shown) for each in report.variants],
        gaps=summary.gaps(report),
        steps=step_rows(report),
        latencies=latencies(report),
        layers=layer_sections(report),
        fidelity=summary.fidelity(report),
        arithmetic=summary.arithmetic(report),
        metric=metric(report),
        changes=changes(report),
        pruning=pruning(report),
        search=search(report),
        calibration=calibration(report),
        stages=[StageRow(each.name, summary.number(each.seconds), each.cached) for each in report.stages],
        total_seconds=summary.number(sum(each.seconds or 0 for each in report.stages)),
        method=method(report),
        decisions=repeat.decisions(report),
        commands=repeat.COMMANDS,
        environment=[(key, summary.scalar(value)) for key, value in report.environment.items()],
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
        ("Speed against FP32", summary.times(verdict.latency.speedup_vs_fp32), _range(verdict.latency.ci95, "x", 2)),
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


def _range(ends: tuple[float, float] | None, unit: str, digits: int = 1) -> str:
    if ends is None:
        return ""
    low, high = (summary.number(end, digits) for end in ends)
    return f"95 % interval {low}{unit} to {high}{unit}"


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
    across = "are the bounds of p50, 95 % each" if plot.has_bounds(report) else "reach from p50 to p90"
    notes = [f"{'Up and to the left' if y_key else 'Left'} is better. Horizontal bars {across}."]
    if y_key:
        notes.append(
            "Vertical bars are 95 % intervals of each variant alone; the drop in the verdict is paired on the same "
            "images and known more closely."
        )
    else:
        notes.append("Accuracy was not measured.")
    looks = {point.look for point in found}
    if sum(point.is_front for point in found) > 1:
        notes.append("The line is the Pareto front: no other variant is both faster and as accurate.")
    if y_key and any(point.y is None for point in found):
        notes.append("Variants on the bottom line have a latency, but their accuracy was not measured.")
    if "taken" in looks:
        notes.append("Points with a cross were taken back.")
    if "left" in looks:
        notes.append("Hollow points stand there for comparison.")
    return Plot("Accuracy against latency" if y_key else "Latency", markup(drawn), " ".join(notes))


@dataclass(frozen=True)
class Cell:
    """A cell of the table of variants; `value` is the number behind its text, if it is one."""

    text: str
    value: float | None
    is_text: bool
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A variant in the table: its numbers, and below them what became of it and why."""

    name: str
    is_chosen: bool
    cells: tuple[Cell, ...]
    outcome: str
    reason: str


_TAGS = {"no": "compared"}


def _row(report: Report, variant: Variant, shown: Sequence[Column]) -> Row:
    intervals = {"p50, ms": plot.bounds(variant.latency), metric(report).title: variant.accuracy.ci95}
    words = {"p50, ms": summary.milliseconds}
    cells = []
    for column in shown[1:]:
        value = None if column.value is None else column.value(report, variant)
        ends = intervals.get(column.title)
        say = words.get(column.title, summary.number)
        note = f"{say(ends[0])}–{say(ends[1])}" if ends and value is not None else ""
        cells.append(Cell(column.cell(report, variant), value, column.is_text, note))
    outcome = decision(report, variant)
    is_chosen = variant.name == report.chosen
    outcome = "chosen" if is_chosen else "kept" if outcome == "yes" else _TAGS.get(outcome, outcome)
    return Row(variant.name, is_chosen, tuple(cells), outcome, variant.reason)


@dataclass(frozen=True)
class StageRow:
    """A stage in the table of stages."""

    name: str
    seconds: str
    cached: bool
