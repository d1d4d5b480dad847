"""The columns of the table of variants: those of accuracy by the task, memory and energy where one was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from edgekit.report.metrics import METRICS, Task
from edgekit.report.model import Report
from edgekit.report.model_variants import Accuracy, CosineToFp32, Latency, PairsOfImages, Variant
from edgekit.report.summary import baseline, milliseconds, number, speedup, times

Value = Callable[[Report, Variant], float | None]
"""The number of a cell as report.json has it, or what is computed of it; None where it was not measured."""

Words = Callable[[float | None], str]
"""A number as a cell shows it; a dash for None."""


@dataclass(frozen=True)
class Column:
    """One column: a short title, its meaning, and the text of a cell; `value` is the number behind it, of numbers."""

    title: str
    meaning: str
    cell: Callable[[Report, Variant], str]
    value: Value | None = None

    @property
    def is_text(self) -> bool:
        """Whether it holds words."""
        return self.value is None


def columns(report: Report) -> list[Column]:
    """The columns of a report's table of variants."""
    optional = []
    if any(each.memory_bytes is not None for each in report.variants):
        optional.append(_numbers("memory, MB", "peak memory, megabytes", lambda r, v: v.memory_bytes, _scaled(1e6, 1)))
    if any(each.energy_j is not None for each in report.variants):
        optional.append(_numbers("energy, J", "energy of one inference, joules", lambda r, v: v.energy_j, _fixed(3)))
    return [*_NETWORK, *_OF_TASK[report.task], *_SPEED, *optional, *_DECISION]


def decision(report: Report, variant: Variant) -> str:
    """What became of a variant in a word or two: kept (yes), taken back, or what it stands there for."""
    if variant.name == report.chosen or variant.kept:
        return "yes"
    base = baseline(report)
    if base is not None and variant.name == base.name:
        return "baseline"
    if variant.kind == "baseline":
        return "reference"
    taken_back = variant.beaten_by is not None if variant.taken_back is None else variant.taken_back
    return "taken back" if taken_back else "no"


def reasons(report: Report) -> list[str]:
    """Why steps were taken back: one line each, of those that no warning tells of."""
    warned = " ".join(report.warnings)
    return [
        f"{each.name}, taken back: {each.reason}"
        for each in report.variants
        if each.reason and decision(report, each) == "taken back" and f"{each.name} was taken back" not in warned
    ]


def _numbers(title: str, meaning: str, value: Value, words: Words) -> Column:
    return Column(title, meaning, lambda report, variant: words(value(report, variant)), value)


def _fixed(digits: int) -> Words:
    return lambda value: number(value, digits)


def _scaled(unit: float, digits: int) -> Words:
    return lambda value: number(None if value is None else value / unit, digits)


def _accuracy(title: str, meaning: str, value: Callable[[Accuracy], float | None], digits: int = 2) -> Column:
    return _numbers(title, meaning, lambda report, variant: value(variant.accuracy), _fixed(digits))


def _latency(title: str, meaning: str, value: Callable[[Latency], float | None]) -> Column:
    return _numbers(title, meaning, lambda report, variant: value(variant.latency), milliseconds)


def _of_metric(task: Task) -> Column:
    return _accuracy(METRICS[task].title, METRICS[task].meaning, METRICS[task].value)


def _cosine(title: str, meaning: str, value: Callable[[CosineToFp32], float]) -> Column:
    return _accuracy(title, meaning, lambda a: None if a.cosine is None else value(a.cosine), 4)


def _pairs(title: str, meaning: str, value: Callable[[PairsOfImages], float], digits: int) -> Column:
    return _accuracy(title, meaning, lambda a: None if a.pairs is None else value(a.pairs), digits)


_NETWORK: Final = (
    Column("variant", "name of what was done", lambda r, v: v.name),
    Column("precision", "of the arithmetic", lambda r, v: v.precision),
    Column("runtime", "what executes it", lambda r, v: v.runtime),
    _numbers("size, MB", "file size, megabytes", lambda r, v: v.size_bytes, _scaled(1e6, 1)),
    _numbers("params, M", "parameters, millions", lambda r, v: v.params, _scaled(1e6, 2)),
    _numbers("GMACs", "multiply-accumulates of one image, billions", lambda r, v: v.macs, _scaled(1e9, 2)),
)
_SPEED: Final = (
    _latency("p50, ms", "median latency", lambda t: t.p50),
    _latency("p90, ms", "nine of ten runs are faster", lambda t: t.p90),
    _latency("p99, ms", "99 of 100 runs are faster", lambda t: t.p99),
    _numbers("images/s", "throughput", lambda r, v: v.latency.throughput_ips, _fixed(1)),
    _numbers("speedup", "against fp32, ratio of p50", speedup, times),
)
_DECISION: Final = (
    Column("kept", "whether the step paid and stays", decision),
    Column("reason", "why it was kept or taken back", lambda r, v: v.reason),
)

_OF_TASK: Final[Mapping[Task, tuple[Column, ...]]] = {
    "classify": (
        _of_metric("classify"),
        _accuracy("top-5, %", "label is among the first five answers", lambda a: a.top5),
        _accuracy("agreement, %", "same first answer as fp32", lambda a: a.agreement),
    ),
    "embed": (
        _of_metric("embed"),
        _cosine("cosine", "with fp32's vectors, mean", lambda c: c.mean),
        _cosine("cosine, p1", "its 1st percentile", lambda c: c.p1),
        _pairs("ROC AUC", "of cosines of pairs of one class against others", lambda p: p.roc_auc, 4),
        _pairs("false accepts, %", "of pairs of different classes", lambda p: p.false_accept, 2),
        _pairs("false rejects, %", "of pairs of the same class", lambda p: p.false_reject, 2),
    ),
    "multilabel": (
        _of_metric("multilabel"),
        _accuracy("F1, %", "macro, at the threshold of probability", lambda a: a.f1),
        _accuracy("micro F1, %", "of all labels together", lambda a: a.f1_micro),
    ),
}
