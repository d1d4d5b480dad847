"""`edgekit sign`: signs a bundle with an SSH key, or as OpenSSF Model Signing has it."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, say


@click.command(
    epilog="\b\nExamples:\n  edgekit sign build/inception_v4-cpu --key ~/.ssh/id_ed25519\n"
    '  echo "me@example.com $(cat ~/.ssh/id_ed25519.pub)" > signers\n'
    "  edgekit verify build/inception_v4-cpu --allowed-signers signers\n\n"
    "\b\n  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem\n"
    "  openssl pkey -in key.pem -pubout -out key.pub.pem\n"
    "  edgekit sign build/inception_v4-cpu --format oms --key key.pem\n"
    "  edgekit verify build/inception_v4-cpu --key key.pub.pem\n\n"
    "\b\n  edgekit sign build/inception_v4-cpu --format oms --key key.pem --certificate me.pem\n"
    "  edgekit verify build/inception_v4-cpu --authority company.pem",
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help="A private SSH key, or the public one of a key that the agent holds; with --format oms an EC key in PEM.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["ssh", "oms"]),
    default="ssh",
    show_default=True,
    help="ssh: manifest.json.sig, by ssh-keygen. oms: model.sig, OpenSSF Model Signing 1.0.",
)
@click.option(
    "--certificate",
    "certificates",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="With --format oms: the key's certificate, then those between it and an authority, each with this option.",
)
@json_option
def command(bundle: Path, key: Path, form: str, certificates: tuple[Path, ...], as_json: bool) -> None:
    """Sign BUNDLE: writes manifest.json.sig or model.sig, a signature of all its files.

    Passphrases are asked for on the terminal. A bundle may have a signature of either form, or both.
    """
    if certificates and form != "oms":
        raise click.UsageError("--certificate needs --format oms")
    from edgekit.bundle import oms_signing, signing

    made = oms_signing.sign(bundle, key, certificates) if form == "oms" else signing.sign(bundle, key)
    if as_json:
        emit_json({"signature": str(made)})
    else:
        say(made)
