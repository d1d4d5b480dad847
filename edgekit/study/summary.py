"""What a contest showed: epochs to given error rates with their spread, last errors, and who died."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from edgekit.study.outcome import ContestOutcome, EpochResult

DEAD_PERCENT = 99.0
"""From here on a network counts as dead: its last features are zero for every picture."""


@dataclass(frozen=True)
class Spread:
    """Of the seeds that have a value: mean, lowest, highest, how many of how many."""

    mean: float
    low: float
    high: float
    seeds: int
    of: int


@dataclass(frozen=True)
class Line:
    """A network of a contest.

    Attributes:
        errors: by epoch, of each seed, percent.
        reached: epochs to each error level; None where no seed got there.
        last: error after the last epoch, percent.
        dead: seeds whose last features were all zero after the last epoch, or whose loss was no number.
        dead_share: percent of dead features after the last epoch, mean over the seeds.
        feature_rms: after the last epoch, mean over the seeds; None if it was not finite for any.
    """

    label: str
    errors: tuple[tuple[float, ...], ...]
    reached: Mapping[float, Spread | None]
    last: Spread
    dead: int
    dead_share: float
    feature_rms: float | None


def lines(contest: ContestOutcome) -> list[Line]:
    """The networks of a contest that got through an epoch, in its order."""
    found = []
    for network in contest.networks:
        runs = [each.epochs for each in contest.runs if each.label == network.label and each.epochs]
        if runs:
            found.append(_line(network.label, runs, contest.levels))
    return found


def _line(label: str, runs: Sequence[Sequence[EpochResult]], levels: Sequence[float]) -> Line:
    errors = tuple(tuple(epoch.error for epoch in run) for run in runs)
    last = [run[-1] for run in runs]
    rms = [epoch.feature_rms for epoch in last if epoch.feature_rms is not None]
    return Line(
        label=label,
        errors=errors,
        reached={level: spread([epochs_to(each, level) for each in errors]) for level in levels},
        last=_range([each[-1] for each in errors], len(errors)),
        dead=sum(epoch.dead >= DEAD_PERCENT or epoch.loss is None for epoch in last),
        dead_share=fmean(epoch.dead for epoch in last),
        feature_rms=fmean(rms) if rms else None,
    )


def epochs_to(errors: Sequence[float], level: float) -> float | None:
    """Epochs until the error first is at most `level`, between two epochs on the straight line; None: not reached.

    `errors[0]` is the error after the first epoch.
    """
    for place, error in enumerate(errors):
        if error <= level:
            before = errors[place - 1] if place else error
            part = 1.0 if before <= error else (before - level) / (before - error)
            return place + part
    return None


def spread(values: Sequence[float | None]) -> Spread | None:
    """Mean and range of what is there; None if nothing is."""
    there = [value for value in values if value is not None]
    return _range(there, len(values)) if there else None


def _range(there: Sequence[float], of: int) -> Spread:
    return Spread(fmean(there), min(there), max(there), len(there), of)
