"""Signatures by a certificate, as OpenSSF Model Signing has them too: by whom an authority vouches for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.errors import InputError
from edgekit.runtime.contract import Table
from edgekit.runtime.ecdsa import PublicKey, read_public_keys
from edgekit.runtime.model_signature import Keys

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

LONGEST: Final = 8
"""Certificates from a signer's to the authority."""


def read_certificates(path: Path) -> list[Certificate]:
    """The certificates in a PEM file.

    Raises:
        InputError: it cannot be read, or holds none.
        ImportError: the package cryptography is not installed.
    """
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return list(load_pem_x509_certificates(path.read_bytes()))
    except OSError as error:
        raise InputError(f"cannot read the certificates {path}: {error.strerror}", "") from error
    except ValueError as error:
        raise InputError(f"there are no certificates in {path}: {error}", "Give them as PEM.") from error


def material_of(chain: Sequence[Certificate]) -> Table:
    """What a signature says of its signer: the certificate, and those between it and an authority.

    Args:
        chain: the signer's own first.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    told = [{"rawBytes": base64.b64encode(each.public_bytes(Encoding.DER)).decode()} for each in chain]
    return {"x509CertificateChain": {"certificates": told}, "tlogEntries": []}


def public_key_of(certificate: Certificate) -> PublicKey:
    """The key in a certificate, as the device runtime has it.

    Raises:
        ValueError: it is on no curve that is known here.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    pem = certificate.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return read_public_keys(pem)[0]


def vouched_for(authorities: Sequence[Certificate]) -> Keys:
    """The key of a signature's certificate, where one of the authorities vouches for it, now."""

    def keys(material: Table) -> list[PublicKey]:
        chain = _chain(material)
        _check_path(chain, authorities, datetime.now(timezone.utc))
        _check_use(chain[0])
        return [public_key_of(chain[0])]

    return keys


def _chain(material: Table) -> list[Certificate]:
    from cryptography.x509 import load_der_x509_certificate

    told = material.get("x509CertificateChain")
    if not isinstance(told, dict) or "publicKey" in material or "certificate" in material:
        raise ValueError("it is not by a certificate of an authority")
    chain = told.get("certificates")
    if not isinstance(chain, list) or not 0 < len(chain) <= LONGEST:
        raise ValueError("it has no chain of certificates")
    try:
        return [load_der_x509_certificate(base64.b64decode(each["rawBytes"], validate=True)) for each in chain]
    except (KeyError, TypeError, binascii.Error) as error:
        raise ValueError(f"a certificate is damaged: {error}") from error


def _check_path(chain: Sequence[Certificate], authorities: Sequence[Certificate], now: datetime) -> None:
    """Walks from a signer's certificate to an authority's; raises ValueError where there is no way.

    Any of the chain may be the next one, in any order; each but the first must be allowed to issue others.
    """
    at, below = chain[0], 0
    for _ in range(LONGEST):
        name = at.subject.rfc4514_string()
        if not at.not_valid_before_utc <= now <= at.not_valid_after_utc:
            raise ValueError(f"the certificate {name} is not valid now")
        if at in authorities:
            return
        above = [each for each in [*authorities, *chain[1:]] if each != at and _issued(each, at, below)]
        if not above:
            raise ValueError(f"none of the authorities vouches for {name}")
        at, below = above[0], below + 1
    raise ValueError("the chain of certificates is too long")


def _issued(issuer: Certificate, certificate: Certificate, below: int) -> bool:
    """Whether a certificate is by another's key, and that may issue one with so many between it and the signer's."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.x509 import BasicConstraints, ExtensionNotFound, KeyUsage

    try:
        basic = issuer.extensions.get_extension_for_class(BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, ExtensionNotFound):
        return False
    try:
        may_sign = issuer.extensions.get_extension_for_class(KeyUsage).value.key_cert_sign
    except ExtensionNotFound:
        may_sign = True
    return bool(basic.ca and may_sign and (basic.path_length is None or basic.path_length >= below))


def _check_use(certificate: Certificate) -> None:
    from cryptography.x509 import ExtendedKeyUsage, ExtensionNotFound, KeyUsage
    from cryptography.x509.oid import ExtendedKeyUsageOID

    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(KeyUsage).value.digital_signature:
            return
    except ExtensionNotFound:
        pass
    try:
        if ExtendedKeyUsageOID.CODE_SIGNING in extensions.get_extension_for_class(ExtendedKeyUsage).value:
            return
    except ExtensionNotFound:
        pass
    raise ValueError("its certificate is not for signatures")
