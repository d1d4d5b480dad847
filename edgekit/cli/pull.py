"""`edgekit pull`: fetches a bundle from a registry of containers, or from a Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, note, progress, say

if TYPE_CHECKING:
    from edgekit.bundle.transfer import Moved, Trust


@click.command(
    epilog="\b\nExamples:\n  edgekit pull registry.example.com/models/signs:1.0 signs --key release.pub.pem\n"
    "  edgekit pull localhost:5000/signs signs --allowed-signers signers --identity me@example.com\n"
    "  edgekit pull hf://me/signs-cpu signs",
)
@click.argument("ref", metavar="REF")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--insecure", is_flag=True, help="Plain HTTP. A registry on this machine is asked by it anyway.")
@click.option("--key", type=click.Path(), metavar="FILE", help="Public keys (PEM): model.sig must be by one of them.")
@click.option(
    "--allowed-signers", type=click.Path(), metavar="FILE", help="Identities and SSH keys: one must have signed."
)
@click.option("--identity", metavar="NAME", help="The one of them who must have signed.")
@json_option
def command(
    ref: str,
    directory: Path,
    insecure: bool,
    key: str | None,
    allowed_signers: str | None,
    identity: str | None,
    as_json: bool,
) -> None:
    """Pull the bundle at REF, HOST[:PORT]/REPOSITORY[:TAG][@DIGEST] or hf://OWNER/NAME[@REVISION], to DIR.

    It is in its place when all of it is there and its files, and signatures, have been checked; not before. A pull
    that was cut goes on where it stopped. An earlier bundle in DIR is replaced.
    """
    if identity is not None and allowed_signers is None:
        raise click.UsageError("--identity needs --allowed-signers")
    from edgekit.bundle.transfer import Trust

    trust = Trust(allowed_signers, identity, key)
    if ref.startswith("hf://"):
        if insecure:
            raise click.UsageError("--insecure is for registries; HF_ENDPOINT says where the hub is")
        moved = _from_hub(ref, directory, trust)
    else:
        moved = _from_registry(ref, directory, insecure, trust)
    for each in moved.unchecked:
        note(each)
    if as_json:
        told = {"bundle": str(directory), "digest": moved.digest, "files": moved.files}
        emit_json({**told, "fetched": moved.moved, "fetched_bytes": moved.moved_bytes})
    else:
        say(directory, f"{moved.digest}: {moved.files} files, {moved.moved_bytes / 1e6:.2f} MB fetched")


def _from_registry(ref: str, directory: Path, insecure: bool, trust: Trust) -> Moved:
    from edgekit.bundle.registry import Reference
    from edgekit.bundle.transfer import pull

    reference = Reference.parse(ref)
    label = f"pull from {reference.host}"
    with progress() as bars:
        moved = pull(reference, directory, insecure, trust, lambda done, total: bars.update(label, done, total))
        bars.finish(label)
    return moved


def _from_hub(ref: str, directory: Path, trust: Trust) -> Moved:
    from edgekit.bundle.hub import HubReference
    from edgekit.bundle.hub_transfer import pull_from_hub

    reference = HubReference.parse(ref)
    label = f"pull from {reference}"
    with progress() as bars:
        moved = pull_from_hub(reference, directory, trust, lambda done, total: bars.update(label, done, total))
        bars.finish(label)
    return moved
