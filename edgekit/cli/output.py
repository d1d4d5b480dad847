"""What verbs print: results on stdout, everything else on stderr. Rich is loaded only for a terminal that wants it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

from edgekit.file_names import readable, readable_json

if TYPE_CHECKING:
    import rich.progress

PLAIN_INTERVAL_S = 10.0
"""How often a plain progress line is repeated while a stage runs."""


def verbosity() -> int:
    """How much to say: -1 for -q, 0 by default, 1 and 2 for -v and -vv."""
    context = click.get_current_context(silent=True)
    if context is None:
        return 0
    value: int = context.find_root().meta.get("edgekit.verbosity", 0)
    return value


def debugging() -> bool:
    """Whether --debug was given, before or after the verb."""
    context = click.get_current_context(silent=True)
    return bool(context is not None and context.find_root().meta.get("edgekit.debug", False))


def is_fancy(stream: Any) -> bool:
    """Whether a stream gets colours and bars: a terminal, without NO_COLOR, that is not dumb."""
    return bool(stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")


def emit_json(value: object) -> None:
    """Print one JSON object on stdout.

    Raises:
        ValueError: for NaN or infinity, which JSON has no word for; a value that was not measured is null.
    """
    # In another encoding a character would be written as it has it, or as an escape that JSON has not.
    is_utf8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    click.echo(readable_json(json.dumps(value, indent=2, ensure_ascii=not is_utf8, allow_nan=False)))


def say(text: str) -> None:
    """Print a line of results on stdout; names in it that no terminal can show are escaped."""
    click.echo(_lines(text))


def _lines(text: str) -> str:
    return "\n".join(map(readable, text.split("\n")))


def note(text: str, level: int = 0) -> None:
    """Say something on stderr, unless -q; level 1 needs -v, level 2 needs -vv."""
    if verbosity() >= level:
        click.echo(_lines(text), err=True)


def warn(text: str) -> None:
    """Say on stderr, even with -q, that a result needs care."""
    click.echo(f"edgekit: warning: {readable(text)}", err=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout: drawn with rich on a terminal, aligned columns of plain text elsewhere."""
    cells = [["" if cell is None else readable(str(cell)) for cell in row] for row in rows]
    if is_fancy(sys.stdout):
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*headers, box=SIMPLE_HEAD, pad_edge=False)
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
        return
    widths = [max(len(header), *(len(row[i]) for row in cells), 0) for i, header in enumerate(headers)]
    for line in [list(headers), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


class Progress(Protocol):
    """Where a verb tells how far its stages are. Stages are named by the caller and begin at their first update."""

    def update(self, stage: str, done: float = 0, total: float | None = None, detail: str = "") -> None:
        """Say that `done` of `total` (None: unknown) units of a stage are done."""

    def finish(self, stage: str, detail: str = "") -> None:
        """Say that a stage is over; `detail` is what came out, or "cached"."""


class SilentProgress:
    """Progress with -q: nothing."""

    def update(self, stage: str, done: float = 0, total: float | None = None, detail: str = "") -> None:
        """Do nothing."""

    def finish(self, stage: str, detail: str = "") -> None:
        """Do nothing."""


class PlainProgress:
    """Progress for logs and pipes: a line when a stage begins, now and then while it runs, and when it ends."""

    def __init__(self) -> None:
        self._began: dict[str, float] = {}
        self._said: dict[str, float] = {}

    def update(self, stage: str, done: float = 0, total: float | None = None, detail: str = "") -> None:
        """Print the state of a stage, at most once in PLAIN_INTERVAL_S."""
        now = time.monotonic()
        if stage not in self._began:
            self._began[stage] = self._said[stage] = now
            click.echo(f"{stage}: {detail or 'started'}", err=True)
        elif now - self._said[stage] >= PLAIN_INTERVAL_S:
            self._said[stage] = now
            of_total = f"/{total:g}" if total else ""
            click.echo(f"{stage}: {done:g}{of_total} {detail}".rstrip(), err=True)

    def finish(self, stage: str, detail: str = "") -> None:
        """Print how long a stage took."""
        began = self._began.pop(stage, None)
        took = "" if began is None else f" in {time.monotonic() - began:.1f} s"
        click.echo(f"{stage}: done{took}" + (f", {detail}" if detail else ""), err=True)


class BarProgress:
    """Progress on a terminal: one bar a stage, with rate and time left."""

    def __init__(self, bars: rich.progress.Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, rich.progress.TaskID] = {}

    def update(self, stage: str, done: float = 0, total: float | None = None, detail: str = "") -> None:
        """Move the bar of a stage."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total, detail=detail)
        self._bars.update(self._tasks[stage], completed=done, total=total, detail=detail)

    def finish(self, stage: str, detail: str = "") -> None:
        """Fill the bar of a stage and stop its clock."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=1, detail=detail)
        task = self._tasks.pop(stage)
        total = next(each.total for each in self._bars.tasks if each.id == task) or 1
        self._bars.update(task, completed=total, total=total, detail=detail)


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress on stderr for as long as the block runs: bars on a terminal, lines elsewhere, nothing with -q."""
    if verbosity() < 0:
        yield SilentProgress()
        return
    if not is_fancy(sys.stderr):
        yield PlainProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}", style="dim", markup=False),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        yield BarProgress(bars)
