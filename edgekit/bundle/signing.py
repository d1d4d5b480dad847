"""Signs a bundle with an SSH key, by ssh-keygen: its passphrase prompt, agent and hardware keys work as they do."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from edgekit.bundle.directory import MANIFEST, SIGNATURE, require_whole
from edgekit.errors import InputError, UnavailableError
from edgekit.runtime.errors import BundleError, MissingError
from edgekit.runtime.signature import NAMESPACE, check_untampered
from edgekit.temporary import temporary_folder

NEEDED: Final = "Signatures need OpenSSH 8.2 or later."


def check_key(key: Path) -> None:
    """Refuses what cannot sign, before anything long begins.

    Raises:
        InputError: there is no such key. UnavailableError: ssh-keygen is not here.
    """
    if shutil.which("ssh-keygen") is None:
        raise UnavailableError("ssh-keygen is not installed", NEEDED)
    if not key.is_file():
        raise InputError(f"there is no key {key}", "Give a private SSH key, or the public one of a key in the agent.")


def sign(directory: Path, key: Path) -> Path:
    """Writes manifest.json.sig beside the manifest, in place of an earlier one; whole or not at all.

    Args:
        directory: of a bundle that is whole.
        key: a private key, or the public half of one that the SSH agent holds.
    Raises:
        InputError: the bundle is damaged, or the key did not sign.
        UnavailableError: ssh-keygen is not here, or too old.
    """
    check_key(key)
    require_whole(directory)
    with temporary_folder() as folder:
        copy = shutil.copyfile(directory / MANIFEST, folder / MANIFEST)
        _keygen(key, copy)
        _check(str(folder), copy)
        return put_signature(directory, SIGNATURE, (folder / SIGNATURE).read_bytes())


def put_signature(directory: Path, name: str, content: bytes) -> Path:
    """Puts a signature beside a bundle's manifest, in place of an earlier one; whole or not at all.

    Raises:
        InputError: it cannot be written there.
    """
    place = Path(os.path.realpath(directory))
    partial = place.parent / f".{place.name}-{name}"  # beside the bundle: in it, nobody could open it meanwhile
    try:
        partial.write_bytes(content)
        os.replace(partial, place / name)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise InputError(f"cannot write {directory / name}: {error.strerror}", "Make it writable.") from error
    return directory / name


def _keygen(key: Path, manifest: Path) -> None:
    """Lets ssh-keygen sign; it has the terminal, to ask for a passphrase or a touch of a hardware key."""
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(manifest)]
    done = subprocess.run(command, check=False, stdout=sys.stderr.fileno())
    if done.returncode:
        raise InputError(f"ssh-keygen did not sign with {key}", f"What it said is above. {NEEDED}")


def _check(folder: str, manifest: Path) -> None:
    try:
        check_untampered(folder, manifest.read_bytes())
    except MissingError as error:
        raise UnavailableError(str(error)) from error
    except BundleError as error:
        raise InputError(str(error), "Try another key.") from error
