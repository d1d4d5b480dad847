"""`edgekit sign`: signs a bundle with an SSH key."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json


@click.command(
    epilog="\b\nExamples:\n  edgekit sign build/inception_v4-cpu --key ~/.ssh/id_ed25519\n"
    '  echo "me@example.com $(cat ~/.ssh/id_ed25519.pub)" > signers\n'
    "  edgekit verify build/inception_v4-cpu --allowed-signers signers",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="A private SSH key, or the public one of a key that the agent holds.",
)
@json_option
def command(bundle: Path, key: Path, as_json: bool) -> None:
    """Sign BUNDLE: writes manifest.json.sig, a signature of all its files. Passphrases are asked for by ssh-keygen."""
    from edgekit.bundle.signing import sign

    made = sign(bundle, key)
    if as_json:
        emit_json({"signature": str(made)})
    else:
        click.echo(made)
