"""Whom an authority vouches for: chains of certificates that hold, and every way in which one does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from bundles import make_bundle

pytest.importorskip("cryptography")

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgekit.bundle.certificates import read_certificates, vouched_for
from edgekit.bundle.oms_signing import sign
from edgekit.errors import InputError
from edgekit.runtime.verify import verify

NOW = datetime.now(timezone.utc)
DAY = timedelta(days=1)


@dataclass(frozen=True)
class Holder:
    """A key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def write(self, path: Path) -> Path:
        """Both files: the certificate at the path, the key beside it with `.key`."""
        path.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.with_suffix(".key").write_bytes(pem)
        return path


def issue(
    name: str,
    by: Holder | None = None,
    ca: bool | None = True,
    length: int | None = None,
    usage: str | None = "sign",
    days: tuple[int, int] = (-1, 1),
) -> Holder:
    """A new key and a certificate of it.

    Args:
        by: who issues it; itself by default. ca: whether it may issue others (None: it does not say).
        usage: what it says that the key is for: sign, issue, code, other or nothing.
        days: from when and until when it is valid, from now.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer = subject if by is None else by.certificate.subject
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number())
    made = made.not_valid_before(NOW + days[0] * DAY).not_valid_after(NOW + days[1] * DAY)
    if ca is not None:
        made = made.add_extension(x509.BasicConstraints(ca, length if ca else None), critical=True)
    if usage == "code":
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
    elif usage is not None:
        purposes = dict.fromkeys(
            [
                *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
                *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
            ],
            False,
        )
        purposes["digital_signature"], purposes["key_cert_sign"] = usage == "sign", usage in ("sign", "issue")
        made = made.add_extension(x509.KeyUsage(**purposes), critical=True)
    return Holder(key, made.sign((by.key if by is not None else key), SHA256()))


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "it", runtime="onnxruntime")


@pytest.fixture
def answer(unsigned: Path, tmp_path: Path) -> Callable[..., str]:
    """Signs a bundle with the first of a chain, and says what is thought of it by who trusts an authority."""

    def ask(chain: list[Holder], authority: Holder) -> str:
        copy = shutil.copytree(unsigned, tmp_path / "copy")
        files = [each.write(tmp_path / f"{index}.pem") for index, each in enumerate(chain)]
        sign(copy, files[0].with_suffix(".key"), files)
        trusted = vouched_for(read_certificates(authority.write(tmp_path / "authority.pem")))
        (check,) = [each for each in verify(str(copy), golden=False, key=trusted) if each.name == "model signature"]
        assert check.detail.startswith("by the key") == (check.ok is True)
        return check.detail

    return ask


def test_an_authority_vouches_for_the_signer(answer: Callable[..., str]) -> None:
    root = issue("root", usage="issue")
    between = issue("between", root, length=0, usage="issue")
    assert "by the key" in answer([issue("me", between, ca=False), between], root)


def test_the_order_of_those_between_does_not_matter(answer: Callable[..., str]) -> None:
    root = issue("root")
    upper = issue("upper", root, length=1)
    lower = issue("lower", upper, length=0)
    assert "by the key" in answer([issue("me", lower, ca=None, usage="code"), upper, lower], root)


def test_the_signers_own_certificate_may_be_trusted(answer: Callable[..., str]) -> None:
    me = issue("me")
    assert "by the key" in answer([me], me)


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (lambda root: [issue("me", root, days=(-3, -1))], "CN=me is not valid now"),
        (lambda root: [issue("me", root, days=(1, 3))], "CN=me is not valid now"),
        (lambda root: [issue("me")], "none of the authorities vouches for CN=me"),
        (lambda root: [issue("me", issue("root"))], "none of the authorities vouches for CN=me"),
        (lambda root: [issue("me", issue("between", root))], "none of the authorities vouches for CN=me"),
        (lambda root: _below(issue("between", root, days=(-3, -1))), "CN=between is not valid now"),
        (lambda root: _below(issue("between", root, ca=False)), "none of the authorities vouches for CN=me"),
        (lambda root: _below(issue("between", root, ca=None)), "none of the authorities vouches for CN=me"),
        (lambda root: _below(issue("between", root, usage="other")), "none of the authorities vouches for CN=me"),
        (lambda root: _below(issue("lower", issue("upper", root, length=0))), "none of the authorities vouches"),
        (lambda root: [issue("me", root, ca=False, usage="other")], "not for signatures"),
        (lambda root: [issue("me", root, ca=False, usage=None)], "not for signatures"),
    ],
)
def test_chains_that_do_not_hold(
    chain: Callable[[Holder], list[Holder]], words: str, answer: Callable[..., str]
) -> None:
    root = issue("root")
    assert words in answer(chain(root), root)


def _below(between: Holder) -> list[Holder]:
    return [issue("me", between, ca=False), between]


def test_an_upper_authority_that_allows_none_between(answer: Callable[..., str]) -> None:
    root = issue("root")
    upper = issue("upper", root, length=0)
    lower = issue("lower", upper)
    assert "vouches for CN=lower" in answer([issue("me", lower, ca=False), lower, upper], root)


def test_two_that_issue_each_other_are_no_way(answer: Callable[..., str]) -> None:
    one = issue("one")
    two = issue("two", one)
    assert "none of the authorities" in answer([issue("me", two, ca=False), two, one], issue("root"))


def test_keys_and_certificates_are_not_taken_for_each_other(unsigned: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(unsigned, tmp_path / "copy")
    me = issue("me")
    file = me.write(tmp_path / "me.pem")
    sign(copy, file.with_suffix(".key"))
    by_key = verify(str(copy), golden=False, key=vouched_for([me.certificate]))
    assert "not by a certificate" in by_key[2].detail
    sign(copy, file.with_suffix(".key"), [file])
    public = tmp_path / "public.pem"
    from cryptography.hazmat.primitives.serialization import PublicFormat

    public.write_bytes(me.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert "by a certificate, not by a key" in verify(str(copy), golden=False, key=str(public))[2].detail
    assert verify(str(copy), golden=False)[2].ok is None


def test_what_cannot_be_used(unsigned: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(unsigned, tmp_path / "copy")
    me, other = issue("me").write(tmp_path / "me.pem"), issue("other").write(tmp_path / "other.pem")
    with pytest.raises(InputError, match="is not of this key"):
        sign(copy, me.with_suffix(".key"), [other])
    with pytest.raises(InputError, match="cannot read"):
        sign(copy, me.with_suffix(".key"), [tmp_path / "none"])
    with pytest.raises(InputError, match="no certificates"):
        read_certificates(me.with_suffix(".key"))
    assert not (copy / "model.sig").exists()
