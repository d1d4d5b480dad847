"""`edgekit compare`: builds side by side, and a gate for CI."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.noise import asked_here, wait_idle_option
from edgekit.cli.options import json_option, timing_options
from edgekit.cli.output import emit_json, note, print_document, print_table, progress, warn, write_document

if TYPE_CHECKING:
    from edgekit.report.comparison import Build, Row
    from edgekit.report.gates import Gates
    from edgekit.validate.side_by_side import SideBySide


class AtMost(click.ParamType):  # type: ignore[type-arg]
    """A limit such as 12.5, 5% more than the first build's, or 1.05x."""

    def __init__(self, unit: str) -> None:
        self.name = f"{unit}|N%|Nx"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse; a usage error for anything else."""
        from edgekit.report.gates import Limit

        found = Limit.of(value) if isinstance(value, str) else value
        if found is None:
            self.fail(f"{value!r} is no limit such as 12.5, 5% or 1.05x", param, ctx)
        return found


@click.command(
    epilog="\b\nExamples:\n  edgekit compare build/old build/new\n"
    "  edgekit compare build/old build/new --max-drop 0.5 --max-size 5%\n"
    "  edgekit compare build/old build/new --remeasure --max-latency 5% --markdown compare.md --junit gates.xml",
)
@click.argument("builds", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), metavar="POINTS", help="Points of accuracy below the first build's."
)
@click.option(
    "--max-latency", type=AtMost("MS"), help="Of the median: each build's, in ms, or against the first's (--remeasure)."
)
@click.option("--max-size", type=AtMost("MB"), help="Of the model: each build's, in MB, or against the first's.")
@click.option("--strict", is_flag=True, help="A gate that cannot be decided fails.")
@click.option("--across-devices", is_flag=True, help="Gate builds of different devices or runtimes all the same.")
@click.option("--remeasure", is_flag=True, help="Time the bundles again, side by side on this machine.")
@timing_options("Of each, to --remeasure.", "For all, to --remeasure.")
@wait_idle_option
@click.option("--markdown", "page", metavar="FILE|-", help="Write the comparison as Markdown; - is stdout.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write the gates as JUnit XML.")
@json_option
def command(
    builds: tuple[Path, ...], across_devices: bool, page: str | None, junit: Path | None, as_json: bool, **flags: Any
) -> int:
    """Compare BUILDS (bundles or report.json) with the first; exit code 3 if one misses a gate.

    Gates are decided by the bounds of 95 % intervals; one that the images or runs cannot decide passes, and says so.
    """
    if as_json and page == "-":
        raise click.UsageError("--json and --markdown - both want stdout")
    from edgekit.report import comparison_pages as pages
    from edgekit.report.comparison import compared, read_build
    from edgekit.report.gates import Gates, checks, failures
    from edgekit.report.metrics import metric

    if math.isnan(flags["max_drop"] or 0.0):
        raise click.BadParameter("nan is no number of points", param_hint="'--max-drop'")
    gates = Gates(*(flags[each] for each in ("max_drop", "max_latency", "max_size", "strict")))
    read = [read_build(path) for path in builds]
    _refuse(read, gates, across_devices, flags["remeasure"])
    timed = (
        _remeasured(builds, read, *(flags[each] for each in ("runs", "max_seconds", "wait_idle")))
        if flags["remeasure"]
        else None
    )
    rows = compared(read, timed)
    found = checks(rows, gates)
    failed = list(failures(found, gates.strict))
    cautions = [*_cautions(rows, timed is not None), *(() if timed is None else timed.warnings)]
    of_task = metric(read[0].report)
    made = pages.markdown(rows, found, of_task, cautions, gates.strict)
    if page not in (None, "-"):
        write_document(Path(str(page)), made)
    if junit is not None:
        from datetime import datetime, timezone

        write_document(junit, pages.junit(rows, found, gates.strict, datetime.now(timezone.utc)))
    if as_json:
        shown, told = [asdict(row) for row in rows], [asdict(each) for each in found]
        emit_json({"builds": shown, "gates": told, "failures": failed, "warnings": cautions, "ok": not failed})
    elif page == "-":
        print_document(made)
    else:
        print_table(pages.titles(of_task), [pages.cells(row, rows[0]) for row in rows])
        for text in cautions:
            warn(text)
    for each in found:
        (warn if each.outcome != "met" else note)(each.line)
    return 3 if failed else 0


def _refuse(builds: Sequence[Build], gates: Gates, across_devices: bool, remeasure: bool) -> None:
    """What cannot be gated is refused before anything is timed.

    Raises:
        InputError: builds of different tasks or devices, or latencies of different sessions.
    """
    from edgekit.errors import InputError
    from edgekit.report.comparison import apart, check_tasks

    check_tasks(builds)
    differing = apart(builds) if gates.are_there and not across_devices else []
    if differing:
        raise InputError(
            f"the builds were measured on different machines or runtimes, so that no gate holds ({differing[0]})",
            "Build them on one, or give --across-devices to gate them all the same.",
        )
    limit = gates.max_latency
    if limit is not None and limit.is_ratio and not remeasure and len(builds) > 1:
        raise InputError(
            f"--max-latency {limit.told} is against the first build, and latencies of two sessions do not compare",
            "Give --remeasure to time the bundles side by side, or a limit in ms.",
        )


def _remeasured(
    paths: Sequence[Path], builds: Sequence[Build], runs: int, max_seconds: float, wait_idle: float | None
) -> SideBySide:
    """The bundles timed side by side; that the machine was not quiet is one of its warnings."""
    from edgekit.build.remeasure import remeasured
    from edgekit.report.comparison import name_of

    named = {name_of(place, each): path for place, (path, each) in enumerate(zip(paths, builds, strict=True))}
    said: list[str] = []
    with progress() as bars:

        def look() -> None:
            before = asked_here(wait_idle, bars)
            said.extend([] if before.warning is None else [before.warning])

        bars.update("measure", 0, None, f"{len(named)} bundles side by side")
        tell = partial(bars.update, "measure")
        timed = remeasured(named, runs, max_seconds, tell, look)
        bars.finish("measure")
    return replace(timed, warnings=(*said, *timed.warnings))


def _cautions(rows: Sequence[Row], remeasured: bool) -> list[str]:
    """What a reader of the figures should know."""
    said = []
    others = rows[1:]
    unpaired = [row for row in others if row.below_first is not None and row.below_first.paired is None]
    if unpaired and len({row.data for row in rows}) > 1:
        said.append("the builds were measured on different images: their figures do not compare")
    if len({row.device for row in rows}) > 1:
        said.append("the builds were measured on different machines: their figures do not compare")
    if remeasured and (elsewhere := _not_of_here(rows)):
        said.append(f"timed again on this machine, not on the one that they were built on ({', '.join(elsewhere)})")
    if not remeasured and len([row for row in rows if row.p50 is not None]) > 1:
        said.append("latencies are of one session each and do not compare; --remeasure times bundles side by side")
    return said


def _not_of_here(rows: Sequence[Row]) -> list[str]:
    from edgekit.targets import processor

    return list(dict.fromkeys(row.device for row in rows if row.device is not None and row.device != processor()[0]))
