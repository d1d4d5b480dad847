"""Who signed a bundle: by SSH keys or by public keys in PEM, whichever the file of those who may holds."""

import os
from typing import Dict, NamedTuple, Optional

from .errors import BundleError
from .manifest import FileFacts, read_bounded
from .model_signature import check_model_signature
from .signature import check_signature

MAX_SIGNERS_BYTES = 1 << 20


class Signed(NamedTuple):
    """A bundle's folder, what its manifest.json holds, and the files that this names: what signatures are of."""

    folder: str
    manifest: bytes
    files: Dict[str, FileFacts]


def signer_of(signed: Signed, allowed_signers: str, identity: Optional[str] = None) -> str:
    """Checks that one of those in a file signed the bundle; returns the identity, or the fingerprint of the key.

    Args:
        allowed_signers: identities and SSH keys as ssh-keygen(1) has them, or public keys in PEM.
        identity: who must have signed, of SSH keys.
    Raises:
        BundleError: it is not signed, of other files, or by none of them.
        MissingError: ssh-keygen is not here, or too old, and the file holds SSH keys.
    """
    if not _holds_pem(allowed_signers):
        return check_signature(signed.folder, signed.manifest, allowed_signers, identity)
    if identity is not None:
        raise BundleError("the public keys in %s have no identities" % allowed_signers)
    return check_model_signature(signed.folder, signed.manifest, signed.files, allowed_signers)


def _holds_pem(path: str) -> bool:
    try:
        return b"-----BEGIN " in read_bounded(os.path.realpath(path), MAX_SIGNERS_BYTES)
    except (OSError, BundleError):
        return False  # ssh-keygen's own complaint says more
