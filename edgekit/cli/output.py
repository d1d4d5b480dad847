"""What verbs print: results on stdout, everything else on stderr. Rich is loaded only for a terminal that wants it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import click

from edgekit.file_names import readable, readable_json
from edgekit.whole_files import written_whole

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.build.time_left import Expected


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
    """Whether a stream gets colours and a view that moves: a terminal, without NO_COLOR, that is not dumb.

    Logs of CI are kept and read later, so that they get plain lines even where a pseudo-terminal writes them.
    """
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or in_ci()
    return bool(stream.isatty() and not plain)


def in_ci() -> bool:
    """Whether this is a job of CI: all services of that kind set CI."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def emit_json(value: object) -> None:
    """Print one JSON object on stdout.

    Raises:
        ValueError: for NaN or infinity, which JSON has no word for; a value that was not measured is null.
    """
    # In another encoding a character would be written as it has it, or as an escape that JSON has not.
    is_utf8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") == "utf8"
    click.echo(readable_json(json.dumps(value, indent=2, ensure_ascii=not is_utf8, allow_nan=False)))


def say(*lines: object) -> None:
    """Print results on stdout, each on a line of its own: what would move a terminal's cursor, or turn it, is escaped.

    Verbs print by this and its neighbours alone: names of classes, files and networks may come from anyone.
    """
    click.echo("\n".join(readable(str(line)) for line in lines))


def print_document(text: str) -> None:
    """Print on stdout what is otherwise a file, to its last character; whoever made it has escaped what is in it."""
    click.echo(text, nl=False)


def write_document(path: Path, text: str) -> None:
    """Write a text into a file, whole or not at all; straight into what is no plain file, such as a pipe.

    Raises:
        InputError: it cannot be written there.
    """
    from edgekit.errors import InputError

    straight = path.exists() and not path.is_file()
    try:
        with contextlib.nullcontext(path) if straight else written_whole(path) as place:
            place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", "Give another file.") from error


def tell(text: str, indent: str = "") -> None:
    """Print a sentence on stdout, which a terminal gets on lines that it has room for."""
    click.echo(wrapped(readable(text), sys.stdout, indent))


def note(text: str, level: int = 0) -> None:
    """Say something on stderr, unless -q; level 1 needs -v, level 2 needs -vv."""
    if verbosity() >= level:
        click.echo(readable(text), err=True)


def warn(text: str) -> None:
    """Say on stderr, even with -q, that a result needs care."""
    click.echo(wrapped(f"edgekit: warning: {readable(text)}", sys.stderr, "  "), err=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[object]], spare: Sequence[str] = ()) -> None:
    """Print a table on stdout, in columns that are as wide as their texts.

    On a terminal that is too narrow for them the columns of `spare` are left out, as many as it takes from the first
    on, and then long texts are written on several lines. Elsewhere nothing depends on a width.
    """
    from edgekit.cli.table import laid_out, without

    cells = [["" if cell is None else readable(str(cell)) for cell in row] for row in rows]
    width, titles = terminal_width(sys.stdout), list(headers)
    if width is not None:
        titles, cells = without(titles, cells, spare, width)
    head, body = laid_out(titles, cells, width)
    for line in head:
        click.echo(click.style(line, bold=True) if is_fancy(sys.stdout) else line)
    for line in body:
        click.echo(line)


def terminal_width(stream: Any) -> int | None:
    """Columns of the terminal that a stream is; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def wrapped(text: str, stream: Any, indent: str = "") -> str:
    """Text on lines that fit the terminal that a stream is, the later ones behind `indent`; unchanged elsewhere."""
    width = terminal_width(stream)
    if width is None or len(text) <= width:
        return text
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


class Progress(Protocol):
    """Where a verb tells how far its stages are. Stages are named by the caller and begin at their first update."""

    def update(self, stage: str, done: float = 0, total: float | None = None, detail: str = "") -> None:
        """Say that `done` of `total` (None: unknown) units of a stage are done."""

    def foresee(self, ahead: Sequence[Expected]) -> None:
        """Say which stages will come, in order, and what is known of them."""

    def finish(self, stage: str, detail: str = "") -> None:
        """Say that a stage is over; `detail` is what came out, or "cached"."""


class SilentProgress:
    """Progress with -q: nothing."""

    def foresee(self, ahead: Sequence[Expected]) -> None:
        """Do nothing."""

    def update(self, stage: str, done: float = 0, total: float | None = None, detail: str = "") -> None:
        """Do nothing."""

    def finish(self, stage: str, detail: str = "") -> None:
        """Do nothing."""


@contextmanager
def progress() -> Iterator[Progress]:
    """Progress on stderr for as long as the block runs: a view on a terminal, lines elsewhere, nothing with -q."""
    if verbosity() < 0:
        yield SilentProgress()
        return
    if not is_fancy(sys.stderr):
        from edgekit.cli.plain import PlainProgress

        yield PlainProgress()
        return
    from rich.console import Console

    from edgekit.cli.live import LiveProgress, live

    console = Console(stderr=True)
    shown = LiveProgress(console)
    with live(shown, console, sys.stdout.isatty()):
        yield shown
