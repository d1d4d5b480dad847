"""`edgekit compare`: builds side by side, and a gate for CI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, print_table, warn

if TYPE_CHECKING:
    from edgekit.report import Report
    from edgekit.report.metrics import Metric


@click.command(
    epilog="\b\nExamples:\n  edgekit compare build/old build/new\n"
    "  edgekit compare build/old build/new --max-drop 0.5 --max-latency 10",
)
@click.argument("builds", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--max-drop", type=click.FloatRange(min=0), metavar="POINTS", help="Points of accuracy below the first build's."
)
@click.option(
    "--max-latency", type=click.FloatRange(0, min_open=True), metavar="MS", help="Of the median, each build's."
)
@json_option
def command(builds: tuple[Path, ...], max_drop: float | None, max_latency: float | None, as_json: bool) -> int:
    """Compare BUILDS (bundles or report.json) with the first; exit code 3 if one is beyond a gate."""
    from edgekit.report import read

    reports = [read(path) for path in builds]
    of_task = _metric(reports)
    rows = [_row(path, report, of_task) for path, report in zip(builds, reports, strict=True)]
    failures = [text for row in rows for text in _beyond(row, rows[0], max_drop, max_latency)]
    if as_json:
        emit_json({"builds": [asdict(row) for row in rows], "failures": failures, "ok": not failures})
    else:
        headers = ["build", "chosen", of_task.title, "drop, points", "p50, ms", "against first", "size, MB"]
        print_table(headers, [_cells(row, rows[0]) for row in rows])
        for what, values in (("images", {row.data for row in rows}), ("machines", {row.device for row in rows})):
            if len(values) > 1:
                warn(f"the builds were measured on different {what}: their figures do not compare")
        for text in failures:
            warn(text)
    return 3 if failures else 0


@dataclass(frozen=True)
class Row:
    """A build in the comparison: its chosen variant, percent, points, ms and bytes; None where not measured.

    Attributes:
        top1, map: accuracy is one of them, by the task.
    """

    build: str
    chosen: str
    top1: float | None
    map: float | None
    drop: float | None
    p50: float | None
    size_bytes: int | None
    data: str | None
    device: str | None

    @property
    def accuracy(self) -> float | None:
        """Percent."""
        return self.top1 if self.map is None else self.map


def _metric(reports: Sequence[Report]) -> Metric:
    """What the accuracy of builds is; those of different tasks have nothing to compare."""
    from edgekit.errors import InputError
    from edgekit.report.metrics import metric

    tasks = dict.fromkeys(each.task for each in reports)
    if len(tasks) > 1:
        raise InputError(f"the builds are of different tasks: {', '.join(tasks)}", "Compare builds of one task.")
    return metric(reports[0])


def _row(path: Path, report: Report, of_task: Metric) -> Row:
    chosen = report.chosen_variant
    return Row(
        build=str(path),
        chosen=chosen.name,
        top1=of_task.value(chosen.accuracy) if of_task.key == "top1" else None,
        map=of_task.value(chosen.accuracy) if of_task.key == "map" else None,
        drop=report.verdict.accuracy.drop,
        p50=chosen.latency.p50,
        size_bytes=chosen.size_bytes,
        data=report.data.digest,
        device=report.target.device,
    )


def _beyond(row: Row, first: Row, max_drop: float | None, max_latency: float | None) -> list[str]:
    """What fails a gate; a value that was not measured fails it too."""
    failures = []
    if max_drop is not None and row is not first:
        if row.accuracy is None or first.accuracy is None:
            failures.append(f"{row.build}: accuracy was not measured")
        elif first.accuracy - row.accuracy > max_drop:
            lost = first.accuracy - row.accuracy
            failures.append(f"{row.build}: {lost:.2f} points below the first, the gate is {max_drop:g}")
    if max_latency is not None and row.p50 is None:
        failures.append(f"{row.build}: latency was not measured")
    elif max_latency is not None and row.p50 is not None and row.p50 > max_latency:
        failures.append(f"{row.build}: p50 {row.p50:.2f} ms, the gate is {max_latency:g}")
    return failures


def _cells(row: Row, first: Row) -> list[str]:
    def shown(value: float | None, digits: int = 2) -> str:
        return "–" if value is None else f"{value:.{digits}f}"

    ratio = None if not row.p50 or not first.p50 else first.p50 / row.p50
    size = None if row.size_bytes is None else row.size_bytes / 1e6
    return [
        row.build,
        row.chosen,
        shown(row.accuracy),
        shown(row.drop),
        shown(row.p50),
        f"{shown(ratio)}x",
        shown(size, 1),
    ]
