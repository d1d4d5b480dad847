"""Whose bundle it is: a signature of manifest.json by an SSH key, checked by ssh-keygen (OpenSSH 8.2 or later).

The manifest holds the SHA-256 of every other file, so that a signature of it is one of the whole bundle.
"""

import os
import subprocess
import tempfile
from typing import List, Optional, Tuple

from .errors import BundleError, MissingError
from .manifest import SIGNATURE, read_bounded

NAMESPACE = "edgekit"
"""What signatures are for, so that one made for something else does not count here."""

MAX_SIGNATURE_BYTES = 1 << 16
SECONDS = 30


def check_signature(folder: str, manifest: bytes, allowed_signers: str, identity: Optional[str] = None) -> str:
    """Checks that one of the allowed signers signed these bytes; returns the signer's identity.

    Args:
        manifest: what manifest.json holds.
        allowed_signers: a file as ssh-keygen(1) describes it: an identity and a public key a line.
        identity: who must have signed; anyone in the file by default.
    Raises:
        BundleError: there is no signature, it is of other bytes, or its key is none of theirs.
        MissingError: ssh-keygen is not here, or too old.
    """
    if not os.path.isfile(allowed_signers):
        raise BundleError("there is no file of allowed signers %s" % allowed_signers)
    with _kept(_signature(folder)) as file:
        known = ["-f", allowed_signers, "-s", file.name]
        code, words = _keygen(["-Y", "find-principals", "-n", NAMESPACE] + known, b"")
        found = words.splitlines() if code == 0 else []
        for each in [identity] if identity is not None else found:
            code, _ = _keygen(["-Y", "verify", "-n", NAMESPACE, "-I", each] + known, manifest)
            if code == 0:
                return each
        check_untampered(folder, manifest)
    if identity is not None:
        raise BundleError("the signature is not by %s of %s" % (identity, allowed_signers))
    raise BundleError("the signature is by none of those in %s" % allowed_signers)


def check_untampered(folder: str, manifest: bytes) -> str:
    """Checks that the signature is of these bytes, whoever made it; returns what ssh-keygen says of its key.

    Raises:
        BundleError: there is no signature, or it is of other bytes.
        MissingError: ssh-keygen is not here, or too old.
    """
    with _kept(_signature(folder)) as file:
        code, words = _keygen(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", file.name], manifest)
    if code:
        raise BundleError("the signature is not of this manifest, or is damaged")
    return words.rpartition(" with ")[2].strip()


def _signature(folder: str) -> bytes:
    try:
        return read_bounded(os.path.join(folder, SIGNATURE), MAX_SIGNATURE_BYTES)
    except FileNotFoundError:
        raise BundleError("the bundle is not signed: there is no %s" % SIGNATURE)
    except OSError as error:
        raise BundleError("cannot read %s: %s" % (SIGNATURE, error.strerror))


class _kept:
    """The signature in a file of its own while ssh-keygen looks at it, so that what was read is what is checked."""

    def __init__(self, content: bytes) -> None:
        self._file = tempfile.NamedTemporaryFile(prefix="edgekit-", suffix=".sig")
        self._file.write(content)
        self._file.flush()
        self.name = self._file.name

    def __enter__(self) -> "_kept":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _keygen(arguments: List[str], given: bytes) -> Tuple[int, str]:
    """Runs ssh-keygen; its exit status and what it printed."""
    try:
        done = subprocess.run(
            ["ssh-keygen"] + arguments,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=SECONDS,
        )
    except FileNotFoundError:
        raise MissingError("ssh-keygen is not installed: signatures need OpenSSH 8.2 or later")
    except subprocess.TimeoutExpired:
        raise BundleError("ssh-keygen did not answer in %d seconds" % SECONDS)
    complaint = done.stderr.decode("utf-8", "replace")
    if "unknown option" in complaint or "illegal option" in complaint or "Unsupported operation" in complaint:
        raise MissingError("ssh-keygen is too old: signatures need OpenSSH 8.2 or later")
    return done.returncode, done.stdout.decode("utf-8", "replace").strip()
