"""`edgekit verify`: checks a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.options import json_option
from edgekit.cli.output import emit_json, say
from edgekit.cli.verify_emulated import asked_of, emulation_options, verify_emulated

if TYPE_CHECKING:
    from edgekit.runtime.model_signature import Keys


@click.command(
    epilog="\b\nExamples:\n  edgekit verify build/inception_v4-cpu\n"
    "  edgekit verify build/inception_v4-cpu --allowed-signers signers --identity me@example.com\n"
    "  edgekit verify build/inception_v4-cpu --key release.pub.pem\n"
    "  edgekit verify build/inception_v4-jetson --no-golden --json\n"
    "  edgekit verify build/inception_v4-raspberry-pi-5 --emulate raspberry-pi-5 --images 30",
)
@click.argument("bundle", type=click.Path())
@click.option(
    "--allowed-signers",
    type=click.Path(),
    metavar="FILE",
    help="Identities and SSH keys, as ssh-keygen has them: one must have signed.",
)
@click.option("--identity", metavar="NAME", help="The one of them who must have signed.")
@click.option(
    "--key",
    type=click.Path(),
    metavar="FILE",
    help="Public keys (PEM): model.sig, as OpenSSF Model Signing has it, must be by one.",
)
@click.option(
    "--authority",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Certificates (PEM): one must vouch for the certificate that signed model.sig.",
)
@click.option("--no-golden", is_flag=True, help="Run nothing: do not compare the golden outputs on this machine.")
@click.option("--runtime", metavar="NAME", help="What to run them with. Default: the bundle's own, or what is here.")
@emulation_options
@json_option
def command(
    bundle: str,
    allowed_signers: str | None,
    identity: str | None,
    key: str | None,
    authority: Path | None,
    no_golden: bool,
    runtime: str | None,
    as_json: bool,
    **flags: Any,
) -> int:
    """Check BUNDLE: manifest, every file's size and hash, signatures, and golden outputs on this machine.

    With --emulate, golden outputs on a 64-bit ARM processor instead: see docs/arm-emulation.md.

    Exit code 2: something is wrong with it. 4: ssh-keygen, a runtime or what emulates is missing.
    """
    if identity is not None and allowed_signers is None:
        raise click.UsageError("--identity needs --allowed-signers")
    if key is not None and authority is not None:
        raise click.UsageError("give --key or --authority: model.sig is by one or the other")
    asked = asked_of(no_golden, **flags)
    from edgekit.runtime.quiet import device_warnings_in_a_line
    from edgekit.runtime.verify import as_json as told
    from edgekit.runtime.verify import as_text, exit_code, verify

    trusted: str | Keys | None = key
    if authority is not None:
        from edgekit.bundle.certificates import read_certificates, vouched_for

        trusted = vouched_for(read_certificates(authority))
    if asked is not None:
        looked_at = verify(str(Path(bundle)), allowed_signers, identity, golden=False, key=trusted)
        return verify_emulated(Path(bundle), looked_at, asked, runtime, as_json)
    device_warnings_in_a_line()
    checks = verify(str(Path(bundle)), allowed_signers, identity, not no_golden, runtime, trusted)
    if as_json:
        emit_json(told(bundle, checks))
    else:
        say(*as_text(checks))
    return exit_code(checks)
