"""ECDSA of the device runtime against OpenSSL's, and the inputs that other verifiers were caught with."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from edgekit.runtime.ecdsa import CURVES, Curve, PublicKey, read_public_keys, verify

FORMS = {"P-256": (ec.SECP256R1, SHA256), "P-384": (ec.SECP384R1, SHA384), "P-521": (ec.SECP521R1, SHA512)}

few = settings(max_examples=25, deadline=None)
curves = st.sampled_from(CURVES)


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def made(name: str, secret: int, message: bytes) -> tuple[PublicKey, bytes]:
    """A key of a secret number, and its signature of a message."""
    curve, digest = FORMS[name]
    key = ec.derive_private_key(secret, curve())
    return read_public_keys(pem_of(key))[0], key.sign(message, ec.ECDSA(digest()))


@few
@given(curves, st.integers(1, 2**256 - 2**225), st.binary(max_size=200), st.integers(0, 2**20))
def test_what_openssl_signs_is_good_and_nothing_else(curve: Curve, secret: int, message: bytes, bit: int) -> None:
    name, order = curve.name, curve.n
    key, signature = made(name, secret, message)
    assert verify(key, message, signature)
    assert not verify(key, message + b".", signature)
    place = bit % (len(signature) * 8)  # signing rolls dice: lengths differ from run to run
    changed = bytearray(signature)
    changed[place // 8] ^= 1 << place % 8
    assert not verify(key, message, bytes(changed))
    other, _ = made(name, secret + 1, b"")
    assert not verify(other, message, signature)
    r, s = decode_dss_signature(signature)
    assert verify(key, message, encode_dss_signature(r, order - s)), "the other s of the same r is as good"


@pytest.mark.parametrize("curve", CURVES, ids=lambda each: each.name)
def test_numbers_out_of_range_are_no_signature(curve: Curve) -> None:
    key, signature = made(curve.name, 7, b"x")
    r, s = decode_dss_signature(signature)
    n, p = curve.n, curve.p
    for bad in ((0, s), (r, 0), (0, 0), (n, s), (r, n), (r + n, s), (r, s + n), (p, s), (1, 1)):
        assert not verify(key, b"x", encode_dss_signature(*bad))


@pytest.mark.parametrize("curve", CURVES, ids=lambda each: each.name)
def test_multiples_that_meet(curve: Curve) -> None:
    """Keys of 1, -1 and 2: the sums pass through equal points, opposite points and infinity."""
    name, n = curve.name, curve.n
    for secret in (1, n - 1, 2, n - 2, (n + 1) // 2):
        key, signature = made(name, secret, b"edge")
        assert verify(key, b"edge", signature)


def test_one_signature_has_one_form() -> None:
    key, signature = made("P-256", 11, b"x")
    r, s = decode_dss_signature(signature)

    def integer(content: bytes) -> bytes:
        return bytes([2, len(content)]) + content

    def sequence(content: bytes) -> bytes:
        return bytes([0x30, len(content)]) + content

    whole = [each.to_bytes(33, "big") for each in (r, s)]
    least = [each.lstrip(b"\0") if each.lstrip(b"\0")[0] < 0x80 else each for each in whole]
    assert verify(key, b"x", sequence(integer(least[0]) + integer(least[1])))
    for other in (
        sequence(integer(b"\0" + whole[0]) + integer(least[1])),
        sequence(integer(least[0]) + integer(least[1])) + b"\0",
        sequence(integer(least[0]) + integer(least[1]) + b"\0"),
        b"\x30\x81" + sequence(integer(least[0]) + integer(least[1]))[1:],
        b"\x30\x80" + integer(least[0]) + integer(least[1]) + b"\0\0",
        b"\x31" + signature[1:],
        signature[:-1],
        signature[:1],
        b"",
        b"\x30\x00",
        b"\x30\x02\x02\x00",
        least[0][-32:] + least[1][-32:],
    ):
        assert not verify(key, b"x", other)


@pytest.mark.parametrize("name", FORMS)
def test_keys_are_read_and_named_as_others_name_them(name: str) -> None:
    import hashlib

    key = ec.generate_private_key(FORMS[name][0]())
    pem = pem_of(key)
    (read,) = read_public_keys(b"a comment\n" + pem.replace(b"\n", b"\r\n") + b"\n")
    numbers = key.public_key().public_numbers()
    assert (read.curve.name, read.x, read.y) == (name, numbers.x, numbers.y)
    assert read.fingerprint == hashlib.sha256(pem).hexdigest()
    assert read_public_keys(pem + pem_of(ec.generate_private_key(ec.SECP256R1())))[0] == read


def test_what_is_no_public_key() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content, words in (
        (b"", "no PUBLIC KEY"),
        (b"ssh-ed25519 AAAA me", "no PUBLIC KEY"),
        (private, "openssl pkey"),
        (pem_of(key).replace(b"PUBLIC KEY", b"CERTIFICATE"), "CERTIFICATE"),
        (pem_of(ec.generate_private_key(ec.SECP256K1())), "none of the curves"),
        (b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----", "[Bb]ase64|Non-base64"),
    ):
        with pytest.raises(ValueError, match=words):
            read_public_keys(content)


@pytest.mark.parametrize("curve", CURVES, ids=lambda each: each.name)
def test_a_point_off_the_curve_is_no_key(curve: Curve) -> None:
    """Otherwise a key on another, weaker curve would be taken for one on this."""
    size = (curve.p.bit_length() + 7) // 8
    for x, y in ((curve.x, curve.y + 1), (0, 0), (curve.x + curve.p, curve.y)):
        if max(x, y) >= 256**size:
            continue
        der = curve.prefix + x.to_bytes(size, "big") + y.to_bytes(size, "big")
        pem = b"-----BEGIN PUBLIC KEY-----\n" + base64.b64encode(der) + b"\n-----END PUBLIC KEY-----\n"
        with pytest.raises(ValueError, match="no point on the curve"):
            read_public_keys(pem)
