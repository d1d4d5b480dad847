"""What verbs share that record a build with a tracker of experiments: their options, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import note, progress, warn

if TYPE_CHECKING:
    from edgekit.track import Tracking
    from edgekit.track.record import Tracked


def track_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--track and --track-bundle."""
    whole = click.option(
        "--track-bundle", is_flag=True, help="With --track: all files of the bundle, not only those that tell of it."
    )
    which = click.option(
        "--track",
        type=click.Choice(["mlflow"]),
        help="Record the build as a run, where MLFLOW_TRACKING_URI says; see docs/tracking.md.",
    )
    return which(whole(command))


def tracking_of(name: str | None, whole: bool) -> Tracking | None:
    """How a build is to be tracked, by a tracker that was asked whether it answers; None where that was not wanted.

    Raises:
        InputError, UnavailableError, ImportError: see edgekit.track.tracking.
    """
    if name is None:
        if whole:
            raise click.UsageError("--track-bundle needs --track")
        return None
    from edgekit.track import tracking

    return tracking(name, whole)


def tracked(how: Tracking, bundle: Path) -> Tracked:
    """Records a bundle and says where; progress on stderr.

    Raises:
        InputError, UnavailableError: see edgekit.track.Tracking.of.
    """
    label = "track"
    with progress() as bars:
        made = how.of(bundle, lambda done, total: bars.update(label, done, total))
        bars.finish(label, "" if made.is_new or made.sent else "it was there")
    for each in made.left_out:
        warn(f"the tracker does not take {each}; it is in the bundle")
    return made


def tracked_after_build(how: Tracking, bundle: Path, name: str) -> Tracked | None:
    """Records what a build has left; where that fails the bundle stays, and how to try again is said."""
    from edgekit.errors import EdgekitError

    try:
        made = tracked(how, bundle)
    except EdgekitError as error:
        hint = f" {error.hint}" if error.hint else ""
        warn(f"the build was not tracked: {error.what}.{hint} Track it later: edgekit report {bundle} --track {name}")
        return None
    note(f"tracked: {made.url}")
    return made


def said(made: Tracked | None) -> dict[str, str | int | list[str]] | None:
    """As --json has it; null where it failed."""
    if made is None:
        return None
    return {
        "experiment": made.experiment,
        "run": made.run,
        "run_id": made.run_id,
        "url": made.url,
        "new": made.is_new,
        "sent": made.sent,
        "sent_bytes": made.sent_bytes,
        "left_out": list(made.left_out),
    }
