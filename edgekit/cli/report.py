"""`edgekit report`: renders the report of a build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, note, print_document, print_table, say, tell, warn, write_document
from edgekit.cli.tracking import said, track_options, tracked, tracking_of

if TYPE_CHECKING:
    from edgekit.report import Report

SPARE: Final = ("runtime", "p99, ms", "size, MB")
"""Columns of the table of variants that a narrow terminal does without, the first one first."""


@click.command(
    epilog="\b\nExamples:\n  edgekit report build/inception_v4-cpu\n"
    "  edgekit report build/inception_v4-cpu --format md\n"
    "  edgekit report build/inception_v4-cpu/report.json --out report.html\n"
    "  edgekit report --across build --out builds.html\n"
    "  edgekit report build/inception_v4-cpu --track mlflow",
)
@click.argument("path", type=click.Path(path_type=Path), metavar="BUILD", required=False)
@click.option("--across", type=click.Path(path_type=Path), metavar="DIR", help="One page over all builds below DIR.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "md", "html", "csv")),
    help="What to render. Default: by the suffix of --out, else text.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of stdout.")
@track_options
@json_option
def command(
    path: Path | None,
    across: Path | None,
    form: str | None,
    out: Path | None,
    track: str | None,
    track_bundle: bool,
    as_json: bool,
) -> None:
    """Render the report of BUILD (a bundle directory or a report.json), or all builds below a folder side by side.

    With --track, record the build instead; one that was recorded before is not recorded again.
    """
    if as_json and (form or out):
        raise click.UsageError("--json goes without --format and --out")
    if out is not None:
        form = form or _form_of(out)
    if track is not None and (across or form or out):
        raise click.UsageError("--track takes one BUILD, and renders nothing")
    if across is not None and path is not None:
        raise click.UsageError("give a BUILD or --across, not both")
    if across is not None:
        _across(across, form, out, as_json)
        return
    if path is None:
        raise click.UsageError("Missing argument 'BUILD'.")
    if (how := tracking_of(track, track_bundle)) is not None:
        made = tracked(how, path)
        emit_json(said(made)) if as_json else say(made.url)
        return
    if form == "csv":
        raise click.UsageError("--format csv goes with --across")
    from edgekit.report import RENDERERS, read

    report = read(path)
    if as_json:
        emit_json(report.as_dict())
    elif form is None or form == "text":
        if out is not None:
            raise click.UsageError("--out takes --format md or html")
        print_report(report)
    elif out is None:
        print_document(RENDERERS[form](report))
    else:
        write_document(out, RENDERERS[form](report))
        note(f"wrote {out}")


def _across(folder: Path, form: str | None, out: Path | None, as_json: bool) -> None:
    """All builds below a folder: a table, a page, CSV or JSON."""
    from dataclasses import asdict

    from edgekit.report.across import as_csv, builds_in
    from edgekit.report.across_page import TITLES, across_html, across_table

    if form == "md":
        raise click.UsageError("--across takes --format text, html or csv")
    builds = builds_in(folder)
    for each in builds.left_out:
        warn(f"{each.build} is left out: {each.why}")
    if as_json:
        emit_json(asdict(builds))
    elif form is None or form == "text":
        if out is not None:
            raise click.UsageError("--out takes --format html or csv")
        print_table(list(TITLES), across_table(builds), ("created", "speedup", "MB", "target"))
    else:
        text = as_csv(builds) if form == "csv" else across_html(builds, f"Builds in {folder.resolve().name}")
        if out is None:
            print_document(text)
        else:
            write_document(out, text)
            note(f"wrote {out}")


def _form_of(out: Path) -> str:
    """The format that a file's suffix names."""
    forms = {".md": "md", ".markdown": "md", ".html": "html", ".htm": "html", ".csv": "csv"}
    if out.suffix.lower() not in forms:
        raise click.UsageError(f"The format of '{out.name}' is not known; give --format md or html")
    return forms[out.suffix.lower()]


def print_report(report: Report) -> None:
    """Print the verdict and a table that fits a terminal."""
    from edgekit.report import precision_search, summary
    from edgekit.report.columns import columns, reasons
    from edgekit.report.method import sums
    from edgekit.report.metrics import metric

    tell(f"{summary.title(report)}: {summary.state(report)[1]}")
    tell(summary.verdict(report))
    say("")
    accuracy = metric(report).title
    wanted = {"variant", "runtime", "size, MB", accuracy, "p50, ms", "p99, ms", "speedup", "kept"}
    shown = [each for each in columns(report) if each.title in wanted]
    rows = [[column.cell(report, variant) for column in shown] for variant in report.variants]
    for row, variant in zip(rows, report.variants, strict=True):
        row[0] = ("* " if variant.name == report.chosen else "  ") + row[0]
    print_table([each.title for each in shown], rows, SPARE)
    for line in reasons(report):
        tell(line, "  ")
    made_to_fit = report.calibration.int8_sums if report.calibration is not None else None
    if made_to_fit is not None and made_to_fit.how == "16-bit":
        tell(f"INT8: {sums(made_to_fit)}", "  ")
    if report.precision_search is not None:
        tell(f"search: {precision_search.moves(report.precision_search)}", "  ")
    for line in summary.gaps(report):
        tell(f"not measured: {line}", "  ")
    for line in report.warnings:
        warn(line)
