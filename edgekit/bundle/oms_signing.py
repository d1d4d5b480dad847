"""Signs a bundle as OpenSSF Model Signing 1.0 has it: model.sig, which `model_signing verify key` checks too."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.bundle.directory import MANIFEST, MODEL_SIGNATURE, SIGNATURE, require_whole
from edgekit.bundle.signing import put_signature
from edgekit.errors import InputError
from edgekit.runtime.contract import Table
from edgekit.runtime.ecdsa import CURVES, PublicKey, read_public_keys
from edgekit.runtime.model_signature import (
    MEDIA_TYPE,
    PAYLOAD_TYPE,
    PREDICATE_TYPE,
    STATEMENT_TYPE,
    differences,
    read_statement,
    root_digest,
    signed_bytes,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

MAKE_ONE: Final = "Make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem"

LEFT_OUT: Final = (".git", ".gitattributes", ".github", ".gitignore", SIGNATURE, MODEL_SIGNATURE)
"""Paths that the signature is not of: what the specification leaves out, and signatures, so that both forms can stand
beside each other whichever was made first."""


@dataclass(frozen=True)
class Signer:
    """A private key, its public half, and what a signature by it tells of who made it (its verificationMaterial)."""

    private: EllipticCurvePrivateKey
    public: PublicKey
    material: Table


def check_key(key: Path) -> None:
    """Refuses what cannot sign, before anything long begins.

    Raises:
        InputError: there is no such key, or it is no ECDSA key in PEM.
        ImportError: the package cryptography is not installed.
    """
    private_key(key)


def sign(directory: Path, key: Path, certificates: Sequence[Path] = ()) -> Path:
    """Writes model.sig beside the manifest, in place of an earlier one; whole or not at all.

    Args:
        directory: of a bundle that is whole.
        key: a private key in PEM: P-256, P-384 or P-521. A passphrase is asked for on the terminal.
        certificates: files of the key's certificate and of those between it and an authority, in this order; none
            where the key itself is trusted.
    Raises:
        InputError: the bundle is damaged, it is no such key, or the certificate is of another.
        ImportError: the package cryptography is not installed.
    """
    signer = signer_of(private_key(key), certificates)
    digests = {name: facts.sha256 for name, facts in require_whole(directory).files.items()}
    digests[MANIFEST] = hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
    return put_signature(directory, MODEL_SIGNATURE, signature_of(directory.resolve().name, digests, signer, LEFT_OUT))


def signer_of(private: EllipticCurvePrivateKey, certificates: Sequence[Path]) -> Signer:
    """A key with what a signature tells of it: its fingerprint, or its certificates.

    Raises:
        InputError: the first certificate is not the key's, or cannot be read.
    """
    from edgekit.bundle.certificates import material_of, read_certificates
    from edgekit.bundle.certificates import public_key_of as key_in

    public = public_key_of(private)
    if not certificates:
        return Signer(private, public, {"publicKey": {"hint": public.fingerprint}, "tlogEntries": []})
    chain = [each for path in certificates for each in read_certificates(path)]
    try:
        is_own = key_in(chain[0]) == public
    except ValueError:
        is_own = False
    if not is_own:
        raise InputError(
            f"the certificate {certificates[0]} is not of this key", "Give the key's own certificate first."
        )
    return Signer(private, public, material_of(chain))


def signature_of(name: str, digests: Mapping[str, str], signer: Signer, left_out: Collection[str]) -> bytes:
    """What model.sig holds, checked once more with the public half of the key.

    Args:
        name: of what is signed: only for people.
        digests: SHA-256 in hexadecimal of every file, by its path from the folder, with slashes.
        left_out: paths that it is not of.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    hashes = {"sha256": SHA256, "sha384": SHA384, "sha512": SHA512}
    payload = statement(name, digests, left_out)
    signature = signer.private.sign(signed_bytes(payload), ECDSA(hashes[signer.public.curve.hash]()))
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
    }
    bundle = {"mediaType": MEDIA_TYPE, "verificationMaterial": signer.material, "dsseEnvelope": envelope}
    made = f"{json.dumps(bundle)}\n".encode()
    for difference in differences(read_statement(made, lambda _: [signer.public]).files, dict(digests)):
        raise RuntimeError(f"the signature that was made does not hold: {difference}")
    return made


def statement(name: str, digests: Mapping[str, str], left_out: Collection[str]) -> bytes:
    """The in-toto statement that is signed; see signature_of for its parameters."""
    files = sorted(digests.items())
    resources = [{"name": path, "algorithm": "sha256", "digest": digest} for path, digest in files]
    form = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": sorted(left_out)}
    told = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root_digest([digest for _, digest in files])}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"serialization": form, "resources": resources},
    }
    return json.dumps(told).encode()


def public_key_of(private: EllipticCurvePrivateKey) -> PublicKey:
    """The public half of a key, as the device runtime has it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return read_public_keys(pem)[0]


def private_key(path: Path) -> EllipticCurvePrivateKey:
    """The private key in a PEM file; its passphrase is asked for on the terminal.

    Raises:
        InputError: it is no ECDSA key in PEM, on another curve, or its passphrase is another one.
        ImportError: the package cryptography is not installed.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        pem = path.read_bytes()
    except OSError as error:
        raise InputError(f"there is no key {path}: {error.strerror}", MAKE_ONE) from error
    try:
        try:
            private = load_pem_private_key(pem, None)
        except TypeError:  # the library's word for a key that has a passphrase
            private = load_pem_private_key(pem, _passphrase(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = f"SSH keys sign with --format ssh. {MAKE_ONE}" if b"OPENSSH" in pem else MAKE_ONE
        raise InputError(f"{path} is no private key in PEM, or its passphrase is another one", hint) from error
    if isinstance(private, EllipticCurvePrivateKey):
        with contextlib.suppress(ValueError):
            public_key_of(private)
            return private
    raise InputError(f"the key {path} is on none of the curves {', '.join(curve.name for curve in CURVES)}", MAKE_ONE)


def _passphrase(path: Path) -> bytes:
    if not sys.stdin.isatty():
        raise InputError(f"the key {path} has a passphrase, and there is no terminal to ask for it", "Run it in one.")
    return getpass(f"Passphrase of {path}: ").encode()
