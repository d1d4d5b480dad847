"""`edgekit pull`: fetches a bundle from a registry of containers."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, note, progress


@click.command(
    epilog="\b\nExamples:\n  edgekit pull registry.example.com/models/signs:1.0 signs --key release.pub.pem\n"
    "  edgekit pull localhost:5000/signs signs --allowed-signers signers --identity me@example.com",
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
    """Pull the bundle at REF, HOST[:PORT]/REPOSITORY[:TAG][@DIGEST], to DIR.

    It is in its place when all of it is there and its files, and signatures, have been checked; not before. A pull
    that was cut goes on where it stopped. An earlier bundle in DIR is replaced.
    """
    if identity is not None and allowed_signers is None:
        raise click.UsageError("--identity needs --allowed-signers")
    from edgekit.bundle.registry import Reference
    from edgekit.bundle.transfer import Trust, pull

    reference = Reference.parse(ref)
    with progress() as bars:
        label = f"pull from {reference.host}"
        trust = Trust(allowed_signers, identity, key)
        moved = pull(reference, directory, insecure, trust, lambda done, total: bars.update(label, done, total))
        bars.finish(label)
    for each in moved.unchecked:
        note(each)
    if as_json:
        told = {"bundle": str(directory), "digest": moved.digest, "files": moved.files}
        emit_json({**told, "fetched": moved.moved, "fetched_bytes": moved.moved_bytes})
    else:
        click.echo(f"{directory}\n{moved.digest}: {moved.files} files, {moved.moved_bytes / 1e6:.2f} MB fetched")
