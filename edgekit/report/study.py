"""The training study for people: figures, and tables of epochs to given error rates beside the paper's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from edgekit.report.lines import Series, chart
from edgekit.study.outcome import ContestOutcome, StudyOutcome
from edgekit.study.summary import Line, Spread, lines

PAPER_EPOCHS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Inception-v4": "24 %: 67, 22 %: 91, 20 %: 135",
        "Inception-ResNet-v2": "24 %: 57, 22 %: 79, 20 %: 121",
        "Inception-v3": "24 %: 89, 22 %: 133, 21.5 %: 159",
        "Inception-ResNet-v1": "24 %: 49, 22 %: 83, 21.5 %: 113",
    }
)
"""Epochs to a top-1 error on ImageNet, read off figures 20 to 25 of arXiv 1602.07261 (bins of 2 epochs, give or take
2)."""


def figures(study: StudyOutcome) -> dict[str, str]:
    """File name to SVG: the error of every contest, and the features where scales of residuals are compared."""
    made: dict[str, str] = {}
    for contest in study.contests:
        found = lines(contest)
        if not found:
            continue
        title = contest.title
        series = [Series(each.label, each.errors) for each in found]
        made[f"{contest.name}.svg"] = chart(title, series, "epoch", "top-1 error, %")
        if _compares_scales(contest):
            rms = [Series(each.label, _finite_sizes(contest, each.label)) for each in found]
            rms = [each for each in rms if any(each.runs)]
            words = "root mean square of the last features"
            made[f"{contest.name}-features.svg"] = chart(title, rms, "epoch", words, is_log=True)
    return made


def markdown(study: StudyOutcome) -> str:
    """One table a contest: error after the last epoch, epochs to each level with spread, and who died."""
    parts = []
    for contest in study.contests:
        found = lines(contest)
        if found:
            parts += [f"### {contest.title}", "", f"![{contest.title}]({contest.name}.svg)", ""]
            if _compares_scales(contest):
                parts += [f"![Size of the last features]({contest.name}-features.svg)", ""]
            parts += [*_table(contest, found), "", _setting(contest), ""]
    return "\n".join(parts)


def _table(contest: ContestOutcome, found: Sequence[Line]) -> list[str]:
    levels, scales = contest.levels, _compares_scales(contest)
    head = ["network", f"error after {contest.epochs} epochs", *(f"epochs to {level:g} %" for level in levels)]
    head += ["dead features", "size of features", "died"] if scales else ["the paper, ImageNet"]
    rows = []
    for line in found:
        cells = [line.label, _spread(line.last, " %"), *(_epochs(line.reached[level]) for level in levels)]
        if scales:
            rms = "not finite" if line.feature_rms is None else f"{line.feature_rms:.3g}"
            cells += [f"{line.dead_share:.0f} %", rms, f"{line.dead} of {len(line.errors)}"]
        else:
            cells.append(PAPER_EPOCHS.get(line.label, ""))
        rows.append(cells)
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def _epochs(spread: Spread | None) -> str:
    """Epochs to a level; nothing is known of the way there within the first one."""
    return "1 or less" if spread is not None and spread.seeds == spread.of and spread.high <= 1 else _spread(spread)


def _spread(spread: Spread | None, unit: str = "") -> str:
    """Mean and range; how many of the seeds got there, where not all did."""
    if spread is None:
        return "not reached"
    words = f"{spread.mean:.1f}{unit}"
    if spread.of > 1:
        words += f" ({spread.low:.1f} to {spread.high:.1f})"
    return words if spread.seeds == spread.of else f"{words}, {spread.seeds} of {spread.of} seeds"


def _setting(contest: ContestOutcome) -> str:
    count = len(contest.seeds)
    seeds = "one seed" if count == 1 else f"{count} seeds: mean (lowest to highest)"
    return (
        f"Width {contest.width:g}, {contest.size} pixels, batch {contest.batch}, an epoch is"
        f" {contest.epoch_images:,} pictures, the error is of {contest.validation_images:,} others;"
        f" {seeds}."
    )


def _compares_scales(contest: ContestOutcome) -> bool:
    return any(network.scale is not None for network in contest.networks)


def _finite_sizes(contest: ContestOutcome, label: str) -> tuple[tuple[float, ...], ...]:
    """The size of the features by epoch of each run, up to the first that is zero or not finite."""
    made = []
    for run in contest.runs:
        if run.label == label:
            values: list[float] = []
            for epoch in run.epochs:
                if not epoch.feature_rms:
                    break
                values.append(epoch.feature_rms)
            made.append(tuple(values))
    return tuple(each for each in made if each)
