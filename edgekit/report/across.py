"""Many builds side by side: what their reports say of the network that is in each bundle."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.errors import InputError
from edgekit.file_names import readable
from edgekit.report.metrics import metric
from edgekit.report.plot import bounds, front
from edgekit.report.schema import read
from edgekit.report.summary import model_name

if TYPE_CHECKING:
    from edgekit.report.model import Report

REPORT: Final = "report.json"
Ends = tuple[float, float]


@dataclass(frozen=True)
class BuildRow:
    """A build by what its report says of the variant that is in its bundle; None where that was not measured.

    Attributes:
        build: its folder, below the one that was looked through; created: in ISO 8601.
        data: digest of the evaluation images; metric: what accuracy is, in percent.
        drop: points; p50: ms; p50_bounds: 95 % each; size_bytes: of the network.
        ok: whether every budget was met.
    """

    build: str
    created: str
    model: str
    target: str
    device: str | None
    runtime: str
    chosen: str
    metric: str
    data: str | None
    accuracy: float | None
    accuracy_ci95: Ends | None
    drop: float | None
    drop_ci95: Ends | None
    p50: float | None
    p50_bounds: Ends | None
    speedup_vs_fp32: float | None
    size_bytes: int | None
    ok: bool

    @property
    def bench(self) -> tuple[str, str, str]:
        """What figures must share to be compared: the metric, the images and the machine."""
        return self.metric, self.data or "", self.device or self.target


@dataclass(frozen=True)
class LeftOut:
    """A report that could not be read, and why."""

    build: str
    why: str


@dataclass(frozen=True)
class Builds:
    """The builds below a folder, the oldest first, and what could not be read."""

    rows: tuple[BuildRow, ...]
    left_out: tuple[LeftOut, ...]

    def benches(self) -> Mapping[tuple[str, str, str], Sequence[BuildRow]]:
        """Builds whose figures compare: of one metric, on the same images and the same machine."""
        found: dict[tuple[str, str, str], list[BuildRow]] = {}
        for row in self.rows:
            found.setdefault(row.bench, []).append(row)
        return found


def builds_in(folder: Path) -> Builds:
    """All builds below a folder.

    Raises:
        InputError: there is no such folder, or no report in it.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", "Give one with builds in it.")
    rows, left_out = list[BuildRow](), list[LeftOut]()
    for path in sorted(folder.rglob(REPORT)):
        name = path.parent.relative_to(folder).as_posix()
        try:
            rows.append(row_of(name, read(path)))
        except InputError as error:
            left_out.append(LeftOut(name, error.what))
    if not rows:
        why = f"; {len(left_out)} could not be read: {left_out[0].why}" if left_out else ""
        raise InputError(f"there is no {REPORT} of a build below {folder}{why}", "`edgekit build --out` writes one.")
    return Builds(tuple(sorted(rows, key=lambda row: (row.created, row.build))), tuple(left_out))


def row_of(name: str, report: Report) -> BuildRow:
    """What a report says of the variant that is in the bundle; `name` is that of its folder."""
    chosen, of_task, verdict = report.chosen_variant, metric(report), report.verdict
    return BuildRow(
        build=name,
        created=report.created,
        model=model_name(report),
        target=report.target.name,
        device=report.target.device,
        runtime=chosen.runtime,
        chosen=chosen.name,
        metric=of_task.title,
        data=report.data.digest,
        accuracy=of_task.value(chosen.accuracy),
        accuracy_ci95=chosen.accuracy.ci95,
        drop=verdict.accuracy.drop,
        drop_ci95=verdict.accuracy.ci95,
        p50=chosen.latency.p50,
        p50_bounds=bounds(chosen.latency),
        speedup_vs_fp32=verdict.latency.speedup_vs_fp32,
        size_bytes=chosen.size_bytes,
        ok=verdict.ok,
    )


def best(rows: Sequence[BuildRow]) -> list[BuildRow]:
    """Those of builds whose figures compare that no other one is both faster and at least as accurate than."""
    timed = [(row, row.p50, row.accuracy) for row in rows if row.p50 is not None]
    return [timed[place][0] for place in front([(p50, accuracy) for _, p50, accuracy in timed])]


def as_csv(builds: Builds) -> str:
    """A line a build; intervals in two columns, their lower end first."""
    into = io.StringIO()
    writer = csv.writer(into, lineterminator="\n")
    every = [each.name for each in fields(BuildRow)]
    pairs = {name for name in every if name.endswith(("ci95", "bounds"))}
    names = ([f"{name}_low", f"{name}_high"] if name in pairs else [name] for name in every)
    writer.writerow(chain.from_iterable(names))
    for row in builds.rows:
        told = asdict(row).items()
        cells = (list(value or (None, None)) if key in pairs else [_inert(value)] for key, value in told)
        writer.writerow(chain.from_iterable(cells))
    return into.getvalue()


def _inert(value: object) -> object:
    """Text of which all can be shown; what a spreadsheet would take for a formula gets an apostrophe before it."""
    if not isinstance(value, str):
        return value
    shown = readable(value)
    return f"'{shown}" if value.lstrip()[:1] in ("=", "+", "-", "@") else shown
