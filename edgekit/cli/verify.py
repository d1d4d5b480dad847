"""`edgekit verify`: checks a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json


@click.command(
    epilog="\b\nExamples:\n  edgekit verify build/inception_v4-cpu\n"
    "  edgekit verify build/inception_v4-cpu --allowed-signers signers --identity me@example.com\n"
    "  edgekit verify build/inception_v4-jetson --no-golden --json",
)
@click.argument("bundle", type=click.Path())
@click.option(
    "--allowed-signers",
    type=click.Path(),
    metavar="FILE",
    help="Identities and SSH keys, as ssh-keygen has them: one must have signed.",
)
@click.option("--identity", metavar="NAME", help="The one of them who must have signed.")
@click.option("--no-golden", is_flag=True, help="Run nothing: do not compare the golden outputs on this machine.")
@click.option("--runtime", metavar="NAME", help="What to run them with. Default: the bundle's own, or what is here.")
@json_option
def command(
    bundle: str, allowed_signers: str | None, identity: str | None, no_golden: bool, runtime: str | None, as_json: bool
) -> int:
    """Check BUNDLE: manifest, every file's size and hash, signature, and golden outputs on this machine.

    Exit code 2: something is wrong with it. 4: ssh-keygen or a runtime is missing.
    """
    if identity is not None and allowed_signers is None:
        raise click.UsageError("--identity needs --allowed-signers")
    from edgekit.runtime.quiet import device_warnings_in_a_line
    from edgekit.runtime.verify import as_json as told
    from edgekit.runtime.verify import as_text, exit_code, verify

    device_warnings_in_a_line()
    checks = verify(str(Path(bundle)), allowed_signers, identity, not no_golden, runtime)
    if as_json:
        emit_json(told(bundle, checks))
    else:
        click.echo("\n".join(as_text(checks)))
    return exit_code(checks)
