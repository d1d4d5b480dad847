"""Gates of a comparison: what each build may lose, take and weigh, decided on bounds, in words for a build log."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edgekit.report.comparison import Row
from edgekit.validate.quantiles import surely
from edgekit.validate.rounding import about
from edgekit.validate.sequential import Outcome

_LIMIT: Final = re.compile(r"(?P<amount>\d+(\.\d*)?|\.\d+)\s*(?P<unit>%|x|)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Limit:
    """What a value may be at most: so much, or so many times the first build's.

    Attributes:
        told: as it was given.
    """

    told: str
    amount: float
    is_ratio: bool

    @classmethod
    def of(cls, told: str) -> Limit | None:
        """A limit such as "12.5", "5%" (that much more than the first) or "1.05x"; None for any other text."""
        found = _LIMIT.fullmatch(told.strip())
        if found is None:
            return None
        amount, unit = float(found["amount"]), found["unit"]
        amount = 1 + amount / 100 if unit == "%" else amount
        return cls(told.strip(), amount, unit != "") if 0 < amount < 1e12 else None


@dataclass(frozen=True)
class Gates:
    """What was asked for: points below the first build, ms of the median, MB; None where nothing was.

    Attributes:
        strict: whether what cannot be decided fails.
    """

    max_drop: float | None = None
    max_latency: Limit | None = None
    max_size: Limit | None = None
    strict: bool = False

    @property
    def are_there(self) -> bool:
        """Whether anything was asked for."""
        return any(each is not None for each in (self.max_drop, self.max_latency, self.max_size))


@dataclass(frozen=True)
class Check:
    """One gate of one build.

    Attributes:
        text: why, as a sentence begins after the build's name.
        images_needed: the fewest that would decide, where images cannot yet.
    """

    build: str
    gate: str
    outcome: Outcome
    text: str
    images_needed: int | None = None

    def fails(self, strict: bool) -> bool:
        """Whether a build is refused for it."""
        return self.outcome == "missed" or (strict and self.outcome == "undecided")

    @property
    def line(self) -> str:
        """With the build's name and the outcome."""
        return f"{self.build}: {self.outcome}: {self.text}"


def checks(rows: Sequence[Row], gates: Gates) -> list[Check]:
    """Every gate of every build that it is for: what is told against the first is of all others."""
    found = list[Check]()
    for place, row in enumerate(rows):
        if gates.max_drop is not None and place > 0:
            found.append(_drop(row, gates.max_drop, len(rows) - 1))
        for name, limit, judge in (
            ("--max-latency", gates.max_latency, _latency),
            ("--max-size", gates.max_size, _size),
        ):
            if limit is not None and (place > 0 or not limit.is_ratio):
                found.append(_check(row, rows[0], f"{name} {limit.told}", limit, judge))
    return found


Judge = Callable[[Row, Row, Limit], tuple[Outcome, str]]


def _check(row: Row, first: Row, gate: str, limit: Limit, judge: Judge) -> Check:
    told, text = judge(row, first, limit)
    return Check(row.build, gate, told, text)


def _drop(row: Row, budget: float, builds: int) -> Check:
    """One of so many tests, which err in 5 % together."""
    gate, below = f"--max-drop {budget:g}", row.below_first
    if below is None:
        return Check(row.build, gate, "missed", row.why_no_drop or "accuracy was not measured")
    told, needed = below.outcome(budget, builds), None
    said = f"{points(below.drop)} (95 % interval {below.ci95[0]:.2f} to {below.ci95[1]:.2f}, {pairing(row)})"
    said += f", the gate is {budget:g}"
    if told == "undecided":
        needed = below.images_needed(budget, builds)
        more = "no number of them would" if needed is None else f"{about(needed)} would"
        said += f"; {below.images:,} images cannot tell, {more}"
    return Check(row.build, gate, told, said, needed)


def points(drop: float) -> str:
    """So many points below or above the first build."""
    return f"{abs(drop):.2f} points {'above' if drop < 0 else 'below'} the first"


def pairing(row: Row) -> str:
    """Whether images were paired, and of how many the difference is."""
    below = row.below_first
    if below is None:
        return "not measured"
    if below.paired is not None:
        return f"paired on {below.images:,} images"
    sizes = "" if below.samples is None else " and ".join(f"{each.images:,}" for each in below.samples)
    return f"not paired ({below.why or 'there are no answers by image'}), {sizes} images"


def _latency(row: Row, first: Row, limit: Limit) -> tuple[Outcome, str]:
    if limit.is_ratio:
        return _slower(row, limit)
    if row.p50 is None:
        return "missed", "latency was not measured"
    low, high = row.p50_bounds or (None, None)
    ends = f"{_end(low)} to {_end(high)}"
    low, high = surely(row.p50, row.p50_bounds)
    told: Outcome = "met" if high <= limit.amount else "missed" if low > limit.amount else "undecided"
    if row.p50_bounds is None:  # of a build before there were bounds
        told, ends = "met" if row.p50 <= limit.amount else "missed", "its report has no bounds"
    more = "; more runs would tell" if told == "undecided" else ""
    return told, f"p50 {row.p50:.2f} ms ({ends}), the gate is {limit.told}{more}"


def _end(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _slower(row: Row, limit: Limit) -> tuple[Outcome, str]:
    if row.slower is None:
        return "missed", "latency was not measured side by side"
    told, (low, high) = row.slower.outcome(limit.amount), row.slower.ci95
    said = f"takes {row.slower.times:.3f} times as long as the first (95 % interval {low:.3f} to {high:.3f})"
    return told, f"{said}, the gate is {limit.told}{'; more --runs may tell' if told == 'undecided' else ''}"


def _size(row: Row, first: Row, limit: Limit) -> tuple[Outcome, str]:
    if row.size_bytes is None or (limit.is_ratio and first.size_bytes is None):
        return "missed", "size is not known"
    most = limit.amount * ((first.size_bytes or 0) if limit.is_ratio else 1e6)
    beside = f" beside {(first.size_bytes or 0) / 1e6:.2f} MB" if limit.is_ratio else ""
    told: Outcome = "met" if row.size_bytes <= most else "missed"
    return told, f"{row.size_bytes / 1e6:.2f} MB{beside}, the gate is {limit.told}"


def failures(found: Sequence[Check], strict: bool) -> Iterator[str]:
    """What is refused, a line each."""
    return (each.line for each in found if each.fails(strict))
