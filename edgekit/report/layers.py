"""Where the time of an inference goes: layers, their times and precisions, and what an engine tells of its layers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgekit.report.model import Report
from edgekit.report.model_evidence import LayerTime
from edgekit.report.model_variants import Layer, Variant
from edgekit.report.summary import MISSING, baseline, display_name, number


@dataclass(frozen=True)
class Group:
    """Layers of one operator and precision: how many, their time in microseconds, and its share in percent."""

    operator: str
    precision: str
    count: int
    microseconds: float
    share: float


@dataclass(frozen=True)
class LayerRow:
    """A layer: its time and share, and the time of the layer of that name in the baseline; None where there is none."""

    timed: LayerTime
    share: float
    before: float | None


@dataclass(frozen=True)
class Timed:
    """The timed layers of a variant; total is of all of them, microseconds."""

    variant: str
    runtime: str
    runs: int
    total: float
    groups: Sequence[Group]
    rows: Sequence[LayerRow]
    baseline: str | None

    @property
    def sentence(self) -> str:
        """How many layers there are, and their time."""
        name = display_name(self.variant)
        layers = f"{len(self.rows):,} layer{'' if len(self.rows) == 1 else 's'}"
        return f"{name[0].upper()}{name[1:]} on {self.runtime}: {layers}, {number(self.total / 1e3, 2)} ms in all."

    @property
    def note(self) -> str:
        """What was timed."""
        return (
            f"Medians of {self.runs} runs of their own. Timing layers changes what they take, so that their sum is not "
            "the latency: the shares count."
        )


MOST: Final = 4
"""Variants whose layers are shown."""


def timed(report: Report) -> list[Timed]:
    """The variants whose layers were timed, the chosen one and the baseline first; at most so many."""
    base = baseline(report)
    before = {} if base is None else {each.name: each.microseconds for each in _times(base)}
    first = (report.chosen, None if base is None else base.name)
    known = sorted(_with_times(report), key=lambda each: first.index(each.name) if each.name in first else len(first))
    return [
        _timed(each, {} if base is None or each.name == base.name else before, base.name if base else None)
        for each in known[:MOST]
    ]


def _with_times(report: Report) -> list[Variant]:
    return [each for each in report.variants if _times(each)]


def _times(variant: Variant) -> Sequence[LayerTime]:
    return () if variant.layer_times is None else variant.layer_times.layers or ()


def _timed(variant: Variant, before: dict[str, float], base: str | None) -> Timed:
    found = _times(variant)
    total = sum(each.microseconds for each in found)
    rows = [LayerRow(each, _percent(each.microseconds, total), before.get(each.name)) for each in found]
    is_like_it = 2 * sum(row.before is not None for row in rows) >= len(rows)
    runs = variant.layer_times.runs if variant.layer_times is not None else None
    return Timed(
        variant.name, variant.runtime, runs or 1, total, _groups(found, total), rows, base if is_like_it else None
    )


def _groups(layers: Sequence[LayerTime], total: float) -> list[Group]:
    """By operator and precision, the slowest first."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for each in layers:
        times[each.operator, each.precision or MISSING].append(each.microseconds)
    found = [Group(*key, len(each), sum(each), _percent(sum(each), total)) for key, each in times.items()]
    return sorted(found, key=lambda each: -each.microseconds)


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


def untold(report: Report) -> list[str]:
    """Why layers of variants were not timed, and how many more were."""
    lines = [
        f"{each.name}, layers: {each.layer_times.why}"
        for each in report.variants
        if each.layer_times is not None and each.layer_times.why
    ]
    more = len(_with_times(report)) - MOST
    return [*lines, *([f"report.json has the layers of {more:,} more variants"] if more > 0 else [])]


def engine(report: Report) -> tuple[str, Sequence[Layer]] | None:
    """The layers of an engine that its inspector listed, and whose; the chosen variant's first; None without any."""
    known = sorted(report.variants, key=lambda each: each.name != report.chosen)
    return next(((each.name, each.layers) for each in known if each.layers), None)
