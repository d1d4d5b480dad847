"""The results of a build matrix: a row a build, as a table, as Markdown and as JSON, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from edgekit.report.across import BuildRow, row_of
from edgekit.report.markdown_parts import table
from edgekit.report.summary import MISSING, interval, megabytes, milliseconds, number, state, times
from edgekit.whole_files import written_whole

if TYPE_CHECKING:
    from edgekit.report.model import Report

State = Literal["waiting", "built", "failed"]

TITLES: Final = (
    *("model", "target", "recipe", "chosen", "accuracy, %", "drop, points", "p50, ms", "speedup", "size, MB"),
    *("verdict", "minutes"),
)
WORDS: Final = frozenset({"model", "target", "recipe", "chosen", "verdict"})
"""Columns of text, all others being of numbers."""

SPARE: Final = ("recipe", "minutes", "chosen", "size, MB")
"""Columns that a narrow terminal does without, the first one first."""

WORST: Final = (1, 2, 4, 3)
"""Exit codes of builds, the one that counts most first: edgekit's own fault, input, unavailable, over budget."""

JSON_FILE: Final = "matrix.json"
MARKDOWN_FILE: Final = "matrix.md"
NOT_MEASURED: Final = "not measured"


@dataclass(frozen=True)
class Outcome:
    """What came of one build of a matrix.

    Attributes:
        name: of its folder; recipe: its name among the file's recipes, empty where there are none.
        bundle: the folder, if this build is in it.
        exit_code: what the build alone would have ended with; None while it waits.
        error: what it failed with, one line.
        figures: of the variant in the bundle; agreement: with FP32, in percent; verdict: in words.
        seconds: that it took; stages, cached: how many there were, and how many of them were there before.
        node: which node of a cluster it ran on; attempts: how often it was begun.
    """

    name: str
    model: str
    target: str
    recipe: str = ""
    state: State = "waiting"
    bundle: str | None = None
    exit_code: int | None = None
    error: str | None = None
    figures: BuildRow | None = None
    agreement: float | None = None
    verdict: str | None = None
    seconds: float = 0.0
    stages: int = 0
    cached: int = 0
    node: str | None = None
    attempts: int = 1

    def built(self, report: Report, bundle: Path, seconds: float) -> Outcome:
        """The same once it is done."""
        return replace(
            self,
            state="built",
            bundle=str(bundle),
            exit_code=0 if report.verdict.ok else 3,
            figures=row_of(self.name, report),
            agreement=report.chosen_variant.accuracy.agreement,
            verdict=state(report)[1],
            seconds=round(seconds, 1),
            stages=len(report.stages),
            cached=sum(each.cached for each in report.stages),
        )

    def failed(self, exit_code: int, error: str, seconds: float) -> Outcome:
        """The same once it failed."""
        return replace(self, state="failed", exit_code=exit_code, error=error, seconds=round(seconds, 1))


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """The exit code of a matrix: that of its worst build (WORST), 0 where all are within their budgets."""
    found = {each.exit_code for each in outcomes}
    return next((code for code in WORST if code in found), 0)


def is_ok(outcomes: Sequence[Outcome]) -> bool:
    """Whether every build is done and within its budgets."""
    return all(each.exit_code == 0 for each in outcomes)


def as_json(outcomes: Sequence[Outcome]) -> str:
    """One JSON object: the builds, and whether all are well."""
    told = {"schema": 1, "builds": [asdict(each) for each in outcomes], "ok": is_ok(outcomes)}
    return json.dumps(told, indent=2, allow_nan=False)


def rows(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """The cells of the table."""
    return [_cells(each) for each in outcomes]


def _cells(outcome: Outcome) -> list[str]:
    start = [outcome.model, outcome.target, outcome.recipe]
    minutes = number(outcome.seconds / 60) if outcome.state != "waiting" else MISSING
    figures = outcome.figures
    if figures is None:
        verdict = f"failed: {outcome.error}" if outcome.state == "failed" else "not built"
        return [*start, *[MISSING] * 6, verdict, minutes]
    return [
        *start,
        figures.chosen,
        _accuracy(outcome, figures),
        NOT_MEASURED if figures.drop is None else number(figures.drop, 2) + interval(figures.drop_ci95, 2),
        NOT_MEASURED if figures.p50 is None else milliseconds(figures.p50),
        NOT_MEASURED if figures.speedup_vs_fp32 is None else times(figures.speedup_vs_fp32),
        megabytes(figures.size_bytes),
        outcome.verdict or MISSING,
        minutes,
    ]


def _accuracy(outcome: Outcome, figures: BuildRow) -> str:
    """The accuracy with its interval; without labels, how often the answer is FP32's."""
    if figures.accuracy is not None:
        return number(figures.accuracy, 2) + interval(figures.accuracy_ci95, 2)
    return NOT_MEASURED if outcome.agreement is None else f"{number(outcome.agreement, 2)} as FP32"


def markdown(outcomes: Sequence[Outcome]) -> str:
    """The table as Markdown, below how many builds are within their budgets."""
    good = sum(each.exit_code == 0 for each in outcomes)
    parts = [
        "# Build matrix",
        f"**{good} of {len(outcomes)} builds within their budgets.**",
        table(TITLES, rows(outcomes), [title in WORDS for title in TITLES]),
    ]
    return "\n\n".join(parts) + "\n"


def write(outcomes: Sequence[Outcome], out: Path) -> None:
    """Writes matrix.json and matrix.md into a folder, each whole or not at all.

    Raises:
        OSError: they cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name, text in ((JSON_FILE, as_json(outcomes) + "\n"), (MARKDOWN_FILE, markdown(outcomes))):
        with written_whole(out / name) as partial:
            partial.write_text(text, encoding="utf-8", errors="backslashreplace")
