"""What verbs share that publish a bundle to a Hugging Face hub: their options, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import note, progress

if TYPE_CHECKING:
    from edgekit.bundle.hub_transfer import Published


def visibility_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--private/--public."""
    return click.option(
        "--private/--public",
        default=None,
        help="Who sees a repository of the hub. Default: a new one is private, others stay as they are.",
    )(command)


def check_hub(repository: str, private: bool | None) -> None:
    """Whether a bundle could be published there.

    Raises:
        InputError, UnavailableError: see edgekit.bundle.hub_transfer.check.
    """
    from edgekit.bundle.hub import HubReference
    from edgekit.bundle.hub_transfer import check

    check(HubReference.parse(repository), private)


def published(bundle: Path, repository: str, private: bool | None) -> Published:
    """Publishes a bundle with its card; progress on stderr.

    Raises:
        InputError, UnavailableError: see edgekit.bundle.hub_transfer.publish.
    """
    from edgekit.bundle.hub import HubReference
    from edgekit.bundle.hub_transfer import publish
    from edgekit.report.hub_card import hub_card

    reference = HubReference.parse(repository)
    card = hub_card(bundle, reference.repository)
    label = f"push to {reference}"
    with progress() as bars:
        made = publish(
            bundle,
            card,
            reference,
            private,
            lambda done, total: bars.update(label, round(done / 1e6, 1), total / 1e6, "MB"),
        )
        bars.finish(label, "" if made.sent or made.removed else "it was there")
    for name in made.removed:
        note(f"{name} of the bundle that was there is not in this one, and was removed")
    return made


def published_after_build(bundle: Path, repository: str, private: bool | None) -> Published:
    """Publishes what a build has left.

    Raises:
        EdgekitError: it could not be; its hint says how to try again.
    """
    from edgekit.errors import EdgekitError

    try:
        made = published(bundle, repository, private)
    except EdgekitError as error:
        seen = "" if private is None else " --private" if private else " --public"
        again = (
            f"The bundle is there; publish it with: edgekit push {bundle} hf://{repository.removeprefix('hf://')}{seen}"
        )
        raise type(error)(error.what, again) from error
    note(f"published: {made.url}, {'private' if made.private else 'public'}")
    return made


def said(made: Published) -> dict[str, str | int | list[str]]:
    """As --json has it."""
    return {
        "url": made.url,
        "commit": made.commit,
        "private": made.private,
        "files": made.files,
        "sent": made.sent,
        "sent_bytes": made.sent_bytes,
        "removed": list(made.removed),
    }
