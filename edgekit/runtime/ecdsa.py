"""ECDSA on the NIST curves: whether a signature is by a public key. Whole numbers alone, no package.

It verifies and cannot sign: nothing here is secret, so that nothing has to take the same time for every input. The
steps are those of FIPS 186-5, 6.4.2, in Jacobian coordinates. Keys are PEM and signatures DER, as OpenSSL writes them.
"""

import base64
import hashlib
import re
from typing import List, NamedTuple, Optional, Tuple


class Curve(NamedTuple):
    """y^2 = x^3 - 3x + b modulo p, and a point on it, (x, y), of prime order n.

    hash: of messages, with a key on this curve.
    prefix: what stands before a key's coordinates in DER (SubjectPublicKeyInfo, RFC 5480, uncompressed point).
    """

    name: str
    hash: str
    p: int
    n: int
    b: int
    x: int
    y: int
    prefix: bytes


CURVES = (
    Curve(
        "P-256",
        "sha256",
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
        bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
    ),
    Curve(
        "P-384",
        "sha384",
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        0xAA87CA22BE8B05378EB1C71EF320AD746E1D3B628BA79B9859F741E082542A385502F25DBF55296C3A545E3872760AB7,
        0x3617DE4A96262C6F5D9E98BF9292DC29F8F41DBD289A147CE9DA3113B5F0B8C00A60B1CE1D7E819D7A431D7C90EA0E5F,
        bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"),
    ),
    Curve(
        "P-521",
        "sha512",
        2**521 - 1,
        int(
            "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFA51868783BF2F966B7FCC0148F709"
            "A5D03BB5C9B8899C47AEBB6FB71E91386409",
            16,
        ),
        int(
            "0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652C0BD3BB1"
            "BF073573DF883D2C34F1EF451FD46B503F00",
            16,
        ),
        int(
            "00C6858E06B70404E9CD9E3ECB662395B4429C648139053FB521F828AF606B4D3DBAA14B5E77EFE75928FE1DC127A2FF"
            "A8DE3348B3C1856A429BF97E7E31C2E5BD66",
            16,
        ),
        int(
            "011839296A789A3BC0045C8A5FB42C7D1BD998F54449579B446817AFBD17273E662C97EE72995EF42640C550B9013FAD"
            "0761353C7086A272C24088BE94769FD16650",
            16,
        ),
        bytes.fromhex("30819b301006072a8648ce3d020106052b810400230381860004"),
    ),
)

PEM = re.compile(b"-----BEGIN ([A-Z ]+)-----(.*?)-----END ([A-Z ]+)-----", re.DOTALL)

Point = Tuple[int, int, int]
"""Jacobian coordinates: (X, Y, Z) is (X / Z^2, Y / Z^3); Z = 0 is the point at infinity."""

INFINITY = (1, 1, 0)


class PublicKey(NamedTuple):
    """A point on a curve."""

    curve: Curve
    x: int
    y: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key as PEM, in hexadecimal: what Sigstore bundles name it by."""
        size = _size(self.curve)
        der = self.curve.prefix + self.x.to_bytes(size, "big") + self.y.to_bytes(size, "big")
        lines = re.findall(".{1,64}", base64.b64encode(der).decode("ascii"))
        pem = "\n".join(["-----BEGIN PUBLIC KEY-----"] + lines + ["-----END PUBLIC KEY-----", ""])
        return hashlib.sha256(pem.encode("ascii")).hexdigest()


def read_public_keys(pem: bytes) -> List[PublicKey]:
    """The public keys in a PEM file, one or more.

    Raises:
        ValueError: there is none, or one is damaged or on no curve that is known here.
    """
    keys = []
    for begins, inside, ends in PEM.findall(pem):
        if b"PRIVATE" in begins:
            raise ValueError("it holds a private key; the public one is made with: openssl pkey -in FILE -pubout")
        if begins != b"PUBLIC KEY" or ends != begins:
            raise ValueError("it holds a %s, not a PUBLIC KEY" % begins.decode("ascii"))
        keys.append(_public_key(base64.b64decode(b"".join(inside.split()), validate=True)))
    if not keys:
        raise ValueError("there is no PUBLIC KEY in it (PEM)")
    return keys


def verify(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Whether a signature, in DER, is by this key and of this message.

    The key's point is one that `read_public_keys` has found to be on its curve.
    """
    curve = key.curve
    numbers = _two_integers(signature)
    if numbers is None or not all(0 < each < curve.n for each in numbers):
        return False
    r, s = numbers
    digest = hashlib.new(curve.hash, message).digest()
    e = int.from_bytes(digest, "big") >> max(0, 8 * len(digest) - curve.n.bit_length())
    inverse = pow(s, curve.n - 2, curve.n)  # n is prime
    x, _, z = _sum_of_multiples(key, e * inverse % curve.n, r * inverse % curve.n)
    if z == 0:
        return False
    return x * pow(z * z, curve.p - 2, curve.p) % curve.p % curve.n == r


def _size(curve: Curve) -> int:
    """Bytes of a coordinate."""
    return (curve.p.bit_length() + 7) // 8


def _public_key(der: bytes) -> PublicKey:
    for curve in CURVES:
        size, start = _size(curve), len(curve.prefix)
        if not der.startswith(curve.prefix) or len(der) != start + 2 * size:
            continue
        x, y = int.from_bytes(der[start : start + size], "big"), int.from_bytes(der[start + size :], "big")
        if max(x, y) >= curve.p or (y * y - x * x * x + 3 * x - curve.b) % curve.p:
            raise ValueError("the key is no point on the curve %s" % curve.name)
        return PublicKey(curve, x, y)
    raise ValueError("the key is on none of the curves %s" % ", ".join(curve.name for curve in CURVES))


def _two_integers(der: bytes) -> Optional[Tuple[int, int]]:
    """The two numbers of a signature; None unless it is DER to the last bit, so that no other bytes mean the same."""
    inside = _content(der, 0x30)
    if inside is None or inside[1]:
        return None
    first = _content(inside[0], 0x02)
    second = _content(first[1], 0x02) if first is not None else None
    if first is None or second is None or second[1]:
        return None
    r, s = _natural(first[0]), _natural(second[0])
    return None if r is None or s is None else (r, s)


def _content(der: bytes, tag: int) -> Optional[Tuple[bytes, bytes]]:
    """What an element with this tag holds, and what comes after it."""
    if len(der) < 2 or der[0] != tag:
        return None
    start, length = 2, der[1]
    if length == 0x81 and len(der) > 2 and der[2] >= 0x80:  # the longest signatures have fewer than 256 bytes
        start, length = 3, der[2]
    elif length >= 0x80:
        return None
    if len(der) < start + length:
        return None
    return der[start : start + length], der[start + length :]


def _natural(content: bytes) -> Optional[int]:
    """A number of an INTEGER's content that is not negative and has no byte too many."""
    if not content or content[0] >= 0x80 or (len(content) > 1 and content[0] == 0 and content[1] < 0x80):
        return None
    return int.from_bytes(content, "big")


def _sum_of_multiples(key: PublicKey, u: int, v: int) -> Point:
    """u times the curve's own point and v times the key's, with one pass over the bits of both."""
    p = key.curve.p
    own, other = (key.curve.x, key.curve.y, 1), (key.x, key.y, 1)
    table = (INFINITY, own, other, _add(own, other, p))
    total: Point = INFINITY
    for bit in range(max(u.bit_length(), v.bit_length()) - 1, -1, -1):
        total = _double(total, p)
        which = (u >> bit & 1) + 2 * (v >> bit & 1)
        if which:
            total = _add(total, table[which], p)
    return total


def _double(point: Point, p: int) -> Point:
    x, y, z = point
    if z == 0:  # no point of these curves has y = 0: their order is odd
        return INFINITY
    square = y * y % p
    beta = 4 * x * square % p
    alpha = 3 * (x - z * z) * (x + z * z) % p
    new_x = (alpha * alpha - 2 * beta) % p
    return new_x, (alpha * (beta - new_x) - 8 * square * square) % p, 2 * y * z % p


def _add(one: Point, other: Point, p: int) -> Point:
    x1, y1, z1 = one
    x2, y2, z2 = other
    if z1 == 0:
        return other
    if z2 == 0:
        return one
    z1_square, z2_square = z1 * z1 % p, z2 * z2 % p
    u1, u2 = x1 * z2_square % p, x2 * z1_square % p
    s1, s2 = y1 * z2 * z2_square % p, y2 * z1 * z1_square % p
    if u1 == u2:
        return _double(one, p) if s1 == s2 else INFINITY
    h, r = u2 - u1, s2 - s1
    h_square = h * h % p
    h_cube = h * h_square % p
    v = u1 * h_square % p
    x = (r * r - h_cube - 2 * v) % p
    return x, (r * (v - x) - s1 * h_cube) % p, h * z1 * z2 % p
