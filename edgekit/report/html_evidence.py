"""What the sections on evidence show: steps, distributions of latency, layers, and the calibration set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.report import latencies as distribution
from edgekit.report import layers
from edgekit.report import steps as stepwise
from edgekit.report.metrics import metric
from edgekit.report.model import Report
from edgekit.report.model_variants import Layer
from edgekit.report.summary import MISSING, display_name, number


@dataclass(frozen=True)
class Steps:
    """The section on what each step changed."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    is_whole: bool


def step_rows(report: Report) -> Steps | None:
    """None where there are no steps."""
    found = stepwise.steps(report)
    if not found:
        return None
    titles = tuple(metric(report).title if each == "accuracy, %" else each for each in stepwise.TITLES)
    told = sum(each.kind != "baseline" for each in report.variants) + 1
    return Steps(titles, stepwise.rows(found), len(found) >= told)


@dataclass(frozen=True)
class Latencies:
    """The section on the distribution of latencies."""

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]


def latencies(report: Report) -> Latencies | None:
    """None where no report of before tells quantiles."""
    rows = distribution.rows(report)
    return Latencies(distribution.TITLES, rows) if rows else None


@dataclass(frozen=True)
class LayerCell:
    """A layer in the table: its words, and the numbers behind them."""

    name: str
    operator: str
    kernel: str
    precision: str
    microseconds: float
    share: float
    before: float | None


@dataclass(frozen=True)
class LayerTable:
    """The timed layers of a variant; `groups` are cells by operator and precision, the last one a share, percent."""

    variant: str
    title: str
    sentence: str
    groups: Sequence[tuple[str, str, str, str, str]]
    has_kernels: bool
    baseline: str | None
    rows: Sequence[LayerCell]


@dataclass(frozen=True)
class Layers:
    """The section on layers: those that were timed, those of an engine, and why others were not timed."""

    tables: Sequence[LayerTable]
    note: str
    engine_of: str
    engine: Sequence[Layer]
    untold: Sequence[str]


def layer_sections(report: Report) -> Layers | None:
    """None where nothing is known of layers."""
    found = layers.timed(report)
    tables = [_table(each) for each in found]
    engine = layers.engine(report)
    untold = layers.untold(report)
    if not tables and engine is None and not untold:
        return None
    return Layers(
        tables, found[0].note if found else "", engine[0] if engine else "", engine[1] if engine else (), untold
    )


def _table(found: layers.Timed) -> LayerTable:
    groups = [
        (each.operator, each.precision, f"{each.count:,}", number(each.microseconds / 1e3, 2), f"{each.share:.1f}")
        for each in found.groups
    ]
    rows = [
        LayerCell(
            each.timed.name,
            each.timed.operator,
            each.timed.kernel or MISSING,
            each.timed.precision or MISSING,
            each.timed.microseconds,
            each.share,
            each.before,
        )
        for each in found.rows
    ]
    kernels = any(each.timed.kernel for each in found.rows)
    title = f"{display_name(found.variant)}: all {len(rows):,} layers"
    return LayerTable(found.variant, title, found.sentence, groups, kernels, found.baseline, rows)


@dataclass(frozen=True)
class CalibrationShown:
    """The section on the calibration set: facts, and the share of classes that it touches, percent."""

    facts: Sequence[tuple[str, str]]
    share: str
    words: str


def calibration(report: Report) -> CalibrationShown | None:
    """None where nothing was calibrated with."""
    pinned = report.calibration
    if pinned is None or pinned.images is None:
        return None
    facts = [("Images", number(pinned.images, 0)), ("Chosen", str(pinned.strategy))]
    share, words, covers = "", "", pinned.coverage
    if covers is not None:
        if covers.of:
            share = f"{100 * covers.covered / covers.of:.1f}"
        of = f" of {number(covers.of, 0)}" if covers.of is not None else ""
        words = f"{number(covers.covered, 0)}{of} classes"
        few, most = number(covers.fewest, 0), number(covers.most, 0)
        facts.append(("Images of a class", few if few == most else f"{few} to {most}"))
    spread = pinned.spread
    if spread is not None:
        drops = ", ".join(number(each, 2) for each in spread.drops)
        facts.append((f"Drop with {spread.seeds} such sets", f"{drops} points (the first is this build's)"))
    return CalibrationShown(facts, share, words)
