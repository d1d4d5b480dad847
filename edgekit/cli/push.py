"""`edgekit push`: sends a bundle to a registry of containers."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, progress


@click.command(
    epilog="\b\nExamples:\n  edgekit push build/inception_v4-cpu registry.example.com/models/signs:1.0\n"
    "  edgekit push build/inception_v4-cpu localhost:5000/signs",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("ref", metavar="REF")
@click.option("--insecure", is_flag=True, help="Plain HTTP. A registry on this machine is asked by it anyway.")
@json_option
def command(bundle: Path, ref: str, insecure: bool, as_json: bool) -> None:
    """Push BUNDLE to REF, HOST[:PORT]/REPOSITORY[:TAG], as a ModelPack artifact: each file is a layer, as it is.

    Layers that are there are not sent again. Logins are Docker's: `docker login HOST`. Signatures go along.
    """
    from edgekit.bundle.registry import Reference
    from edgekit.bundle.transfer import push

    reference = Reference.parse(ref)
    with progress() as bars:
        label = f"push to {reference.host}"
        moved = push(bundle, reference, insecure, lambda done, total: bars.update(label, done, total))
        bars.finish(label)
    named = f"{reference.host}/{reference.repository}@{moved.digest}"
    if as_json:
        told = {"reference": str(reference), "digest": moved.digest, "files": moved.files}
        emit_json({**told, "sent": moved.moved, "sent_bytes": moved.moved_bytes})
    else:
        click.echo(f"{named}\n{moved.moved} of {moved.files} files sent, {moved.moved_bytes / 1e6:.2f} MB")
