"""`edgekit build --matrix`: many builds from one file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from edgekit.cli.noise import warned
from edgekit.cli.output import debugging, note, print_document, print_table, progress, say, warn

if TYPE_CHECKING:
    from pydantic import JsonValue

    from edgekit.build.matrix_file import Member
    from edgekit.build.runner import Event
    from edgekit.cluster.connection import ClusterSettings
    from edgekit.report.matrix import Outcome
    from edgekit.store import Store
    from edgekit.store.opening import StoreSettings


@dataclass(frozen=True)
class MatrixAsked:
    """What the command line asks of a matrix.

    Attributes:
        recipe: settings below those of the file; flags: above them.
        sign: finishes a bundle, if it is to be signed.
    """

    file: Path
    out: Path | None
    recipe: Path | None
    flags: dict[str, JsonValue]
    as_json: bool
    sign: Callable[[Path], None] | None = None


BY_THE_FILE: Final = ("model", "target", "locked", "track", "track_bundle", "push_to_hub", "private")
"""Flags that say what a matrix says, or what is of one build alone."""


def refuse_beside_matrix(flags: Mapping[str, str | Path | bool | None]) -> None:
    """Refuses flags that a matrix leaves no room for.

    Raises:
        click.UsageError: there is one.
    """
    given = [f"--{name.replace('_', '-')}" for name in BY_THE_FILE if flags.get(name) is not None]
    if given:
        raise click.UsageError(f"--matrix goes without {', '.join(given)}")


def members_of(asked: MatrixAsked) -> tuple[tuple[Member, ...], Path]:
    """The builds that are asked for, all of them checked, and the folder of their folders.

    Raises:
        InputError: one of them cannot be.
    """
    from edgekit.build.matrix import OUT
    from edgekit.build.matrix_file import read_matrix
    from edgekit.recipe import read_yaml

    members = read_matrix(asked.file, {} if asked.recipe is None else read_yaml(asked.recipe), asked.flags)
    return members, asked.out or OUT


def matrix_here(asked: MatrixAsked, store: Store) -> int:
    """Builds all on this machine, one after another; the exit code."""
    from edgekit.build.matrix import build_matrix, built
    from edgekit.cli.events import shown_on

    members, out = members_of(asked)

    def one(place: int, member: Member) -> Outcome:
        note(f"build {place + 1} of {len(members)}: {member.name}")
        with progress() as bars:
            found = built(member, out, store, warned(shown_on(bars)), judged)
        if found.error is not None:
            note(f"{member.name} failed: {found.error}")
        return found

    with noting(asked, out) as outcomes:
        build_matrix(members, one, outcomes.note)
    return outcomes.told()


def matrix_on_cluster(asked: MatrixAsked, where: ClusterSettings, store: StoreSettings) -> int:
    """Builds all on a cluster; the exit code."""
    from edgekit.cli.events import shown_on
    from edgekit.cluster.connection import connected
    from edgekit.cluster.matrix import Room, Watching, build_on_cluster
    from edgekit.cluster.store import workers_store

    members, out = members_of(asked)
    with noting(asked, out) as outcomes, progress() as bars, connected(where, shown_on(bars)) as cluster:
        for line in cluster.warnings:
            warn(line)

        def begun(number: int, node: str) -> None:
            bars.update(members[number].name, detail=f"begins on {node}")

        def heard(number: int, event: Event) -> None:
            name = members[number].name
            if event.warning:
                warn(f"{name}: {event.warning}")
            else:
                bars.update(name, detail=event.stage)

        def ended(number: int, outcome: Outcome) -> None:
            bars.finish(outcome.name, outcome.state if outcome.error is None else f"failed: {outcome.error}")

        room = Room(cluster, where.workers is not None, workers_store(cluster, store))
        build_on_cluster(members, out, room, Watching(judged, outcomes.note, begun, heard, ended))
    return outcomes.told()


def judged(error: Exception) -> tuple[int, str]:
    """The exit code of what a build raised, and its line without edgekit's own words before it."""
    from edgekit.cli import failure

    if debugging():
        import traceback

        traceback.print_exception(error)
    code, line = failure(error, debugging())
    return code, line.removeprefix("edgekit: error: ")


class Outcomes:
    """What came of builds so far, which is also in their folder."""

    def __init__(self, asked: MatrixAsked, out: Path) -> None:
        self._asked, self._out = asked, out
        self._all: list[Outcome] = []
        self._signed: dict[str, Outcome] = {}

    def note(self, outcomes: Sequence[Outcome]) -> None:
        """Takes in how it stands, signs what is new, and writes the files.

        Raises:
            InputError: they cannot be written.
        """
        from edgekit.errors import InputError
        from edgekit.report.matrix import write

        self._all = [self._with_signature(each) for each in outcomes]
        try:
            write(self._all, self._out)
        except OSError as error:
            what = f"cannot write to {self._out}: {error.strerror or error}"
            raise InputError(what, "Give another --out, or free some space.") from error

    def _with_signature(self, outcome: Outcome) -> Outcome:
        if self._asked.sign is None or outcome.bundle is None:
            return outcome
        if outcome.name not in self._signed:
            try:
                self._asked.sign(Path(outcome.bundle))
                self._signed[outcome.name] = outcome
            except Exception as error:  # the bundle is there, but not as it was asked for
                self._signed[outcome.name] = outcome.failed(*judged(error), outcome.seconds)
        return self._signed[outcome.name]

    def told(self) -> int:
        """Says what came of all; the exit code."""
        from edgekit.file_names import readable_json
        from edgekit.report.matrix import MARKDOWN_FILE, SPARE, TITLES, as_json, exit_code, rows

        if self._asked.as_json:
            print_document(readable_json(as_json(self._all)) + "\n")
            return exit_code(self._all)
        kept = [
            place for place, title in enumerate(TITLES) if title != "recipe" or any(each.recipe for each in self._all)
        ]
        cells = [[row[place] for place in kept] for row in rows(self._all)]
        print_table([TITLES[place] for place in kept], cells, SPARE)
        say("", f"bundles: {self._out}   table: {self._out / MARKDOWN_FILE}")
        return exit_code(self._all)


@contextmanager
def noting(asked: MatrixAsked, out: Path) -> Iterator[Outcomes]:
    """Notes outcomes; says where they are when the builds are interrupted."""
    outcomes = Outcomes(asked, out)
    try:
        yield outcomes
    except (KeyboardInterrupt, SystemExit):
        note(f"what is done is in {out}, and in {out / 'matrix.json'}")
        raise
