"""`edgekit push`: sends a bundle to a registry of containers, or to a Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, progress, say
from edgekit.cli.publishing import published, said, visibility_option


@click.command(
    epilog="\b\nExamples:\n  edgekit push build/inception_v4-cpu registry.example.com/models/signs:1.0\n"
    "  edgekit push build/inception_v4-cpu localhost:5000/signs\n"
    "  edgekit push build/inception_v4-cpu hf://me/signs-cpu          # a hub's repository of models",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.argument("ref", metavar="REF")
@click.option("--insecure", is_flag=True, help="Plain HTTP. A registry on this machine is asked by it anyway.")
@visibility_option
@json_option
def command(bundle: Path, ref: str, insecure: bool, private: bool | None, as_json: bool) -> None:
    """Push BUNDLE to REF, HOST[:PORT]/REPOSITORY[:TAG], as a ModelPack artifact: each file is a layer, as it is.

    With hf://OWNER/NAME to a Hugging Face hub, with a model card; logins are its client's: `hf auth login`, HF_TOKEN.
    Elsewhere they are Docker's: `docker login HOST`. What is there is not sent again. Signatures go along.
    """
    if ref.startswith("hf://"):
        if insecure:
            raise click.UsageError("--insecure is for registries; HF_ENDPOINT says where the hub is")
        _to_hub(bundle, ref, private, as_json)
        return
    if private is not None:
        raise click.UsageError("--private and --public are for repositories of a hub, hf://OWNER/NAME")
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
        say(named, f"{moved.moved} of {moved.files} files sent, {moved.moved_bytes / 1e6:.2f} MB")


def _to_hub(bundle: Path, ref: str, private: bool | None, as_json: bool) -> None:
    made = published(bundle, ref, private)
    if as_json:
        emit_json({"reference": ref, **said(made)})
    else:
        seen = "private" if made.private else "public"
        say(made.url, f"commit {made.commit}, {seen}: {made.sent} of {made.files} files sent")
