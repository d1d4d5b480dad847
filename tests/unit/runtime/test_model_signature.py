"""Signatures as OpenSSF Model Signing has them: made, checked with public keys alone, refused in every other case."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import make_bundle, rewrite

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from edgekit.bundle.oms_signing import check_key, sign
from edgekit.errors import InputError
from edgekit.runtime import Bundle, BundleError
from edgekit.runtime.model_signature import signed_bytes
from edgekit.runtime.verify import exit_code, verify

OPEN = NoEncryption()


def write_key(path: Path, key: ec.EllipticCurvePrivateKey, how: KeySerializationEncryption = OPEN) -> Path:
    """A key's two halves: at the path, and beside it with `.pub`."""
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".pub").write_bytes(public)
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of two people, and a file that holds both public ones."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ada", "eve"):
        write_key(folder / name, ec.generate_private_key(ec.SECP256R1()))
    (folder / "both").write_bytes((folder / "eve.pub").read_bytes() + (folder / "ada.pub").read_bytes())
    return folder


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "it", runtime="onnxruntime")


@pytest.fixture
def bundle(unsigned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unsigned, tmp_path / "bundle"))


def answer(bundle: Path, key: Path | None = None) -> tuple[bool | None, str]:
    """What verify says of model.sig."""
    (check,) = [
        each
        for each in verify(str(bundle), golden=False, key=None if key is None else str(key))
        if each.name == "model signature"
    ]
    return check.ok, check.detail


def forge(bundle: Path, key: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes what the signed statement says, and signs it with the key: a signer that errs, or lies."""
    from edgekit.bundle.oms_signing import private_key

    told = json.loads((bundle / "model.sig").read_text())
    statement = json.loads(base64.b64decode(told["dsseEnvelope"]["payload"]))
    change(statement)
    payload = json.dumps(statement).encode()
    signature = private_key(key).sign(signed_bytes(payload), ec.ECDSA(SHA256()))
    told["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    told["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    (bundle / "model.sig").write_text(json.dumps(told))


def test_a_signed_bundle_opens_for_who_has_the_public_key(bundle: Path, keys: Path) -> None:
    assert sign(bundle, keys / "ada") == bundle / "model.sig"
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["bundle"]
    with Bundle.open(bundle, allowed_signers=keys / "ada.pub") as opened:
        fingerprint = opened.signer
    assert fingerprint is not None
    with Bundle.open(bundle, allowed_signers=keys / "both") as opened:
        assert opened.signer == fingerprint
    with Bundle.open(bundle) as opened:
        assert opened.signer is None
    assert answer(bundle, keys / "ada.pub") == (True, f"by the key {fingerprint}")
    ok, words = answer(bundle)
    assert ok is None
    assert fingerprint in words
    assert exit_code(verify(str(bundle), golden=False)) == 0
    sign(bundle, keys / "ada")  # in place of the earlier one
    assert exit_code(verify(str(bundle), key=str(keys / "ada.pub"))) == 0


def test_who_did_not_sign_is_not_taken_for_the_signer(bundle: Path, keys: Path) -> None:
    with pytest.raises(BundleError, match="not signed"):
        Bundle.open(bundle, allowed_signers=keys / "ada.pub")
    sign(bundle, keys / "eve")
    with pytest.raises(BundleError, match="by another key"):
        Bundle.open(bundle, allowed_signers=keys / "ada.pub")
    assert answer(bundle, keys / "ada.pub")[0] is False
    told = json.loads((bundle / "model.sig").read_text())
    del told["verificationMaterial"]["publicKey"]["hint"]  # older signers tell of none
    (bundle / "model.sig").write_text(json.dumps(told))
    assert answer(bundle, keys / "both")[0] is True
    assert answer(bundle, keys / "ada.pub") == (
        False,
        "model.sig was changed, or is by another key: the signature does not hold",
    )
    with pytest.raises(BundleError, match="no identities"):
        Bundle.open(bundle, allowed_signers=keys / "both", identity="ada")


def test_files_that_are_no_public_keys(bundle: Path, keys: Path, tmp_path: Path) -> None:
    sign(bundle, keys / "ada")
    (tmp_path / "signers").write_text("ada ssh-ed25519 AAAA")
    for name, words in ((keys / "ada", "openssl pkey"), (keys / "none", "No such file"), (tmp_path / "signers", "PEM")):
        ok, detail = answer(bundle, name)
        assert (ok, words in detail) == (False, True), detail


def test_a_signature_of_another_bundle_is_bad_even_when_nobody_asked(bundle: Path, keys: Path) -> None:
    sign(bundle, keys / "ada")
    rewrite(bundle, lambda told: told.update(labels=[]))
    assert answer(bundle) == (False, "model.sig is not of this bundle: manifest.json is not what was signed")
    assert answer(bundle, keys / "ada.pub")[0] is False
    assert exit_code(verify(str(bundle), golden=False)) == 2
    with pytest.raises(BundleError, match="not what was signed"):
        Bundle.open(bundle, allowed_signers=keys / "ada.pub")


def test_signed_files_are_checked_even_without_verifying(bundle: Path, keys: Path) -> None:
    sign(bundle, keys / "ada")
    (bundle / "model.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match="has changed"):
        Bundle.open(bundle, verify=False, allowed_signers=keys / "ada.pub")


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen here")
@pytest.mark.parametrize("first", ["ssh", "oms"])
def test_both_forms_stand_beside_each_other(first: str, bundle: Path, keys: Path, tmp_path: Path) -> None:
    import subprocess

    from edgekit.bundle import signing

    ssh = tmp_path / "ssh"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh)], check=True)
    (tmp_path / "signers").write_text("ada " + ssh.with_suffix(".pub").read_text())
    for form in (first, "oms" if first == "ssh" else "ssh"):
        if form == "ssh":
            signing.sign(bundle, ssh)
        else:
            sign(bundle, keys / "ada")
    asked = verify(str(bundle), str(tmp_path / "signers"), golden=False, key=str(keys / "ada.pub"))
    assert {check.name: check.ok for check in asked} == {
        "manifest": True,
        "files": True,
        "signature": True,
        "model signature": True,
        "golden outputs": None,
    }
    assert [check.ok for check in verify(str(bundle), golden=False)] == [True, True, True, None, None]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda told: told.update(_type="x"), "its _type is 'x'"),
        (lambda told: told.update(predicateType="https://model_signing/Digests/v0.1"), "its predicateType"),
        (lambda told: told.pop("predicate"), "object is missing"),
        (lambda told: told.update(subject=[]), "one subject"),
        (lambda told: told["subject"][0]["digest"].update(sha256="00" * 32), "subject is not what it lists"),
        (lambda told: told["predicate"].update(resources=[]), "lists no files"),
        (lambda told: told["predicate"]["resources"].pop(), "subject is not what it lists"),
        (lambda told: told["predicate"]["resources"].append(told["predicate"]["resources"][0]), "twice"),
        (lambda told: told["predicate"]["resources"][0].update(algorithm="md5"), "no SHA-256"),
        (lambda told: told["predicate"]["resources"][0].update(name=""), "has no name"),
        (lambda told: told["predicate"]["serialization"].update(method="shards", shard_size=10), "of shards"),
        (lambda told: told["predicate"]["serialization"].update(hash_type="blake3"), "by blake3"),
        (lambda told: told["predicate"]["serialization"].update(ignore_paths="all"), "no list of text"),
    ],
)
def test_statements_that_are_rightly_signed_and_wrong(
    change: Callable[[dict[str, Any]], Any], words: str, bundle: Path, keys: Path
) -> None:
    sign(bundle, keys / "ada")
    forge(bundle, keys / "ada", change)
    ok, detail = answer(bundle, keys / "ada.pub")
    assert (ok, words in detail) == (False, True), detail


def test_a_signer_cannot_leave_out_a_file(bundle: Path, keys: Path) -> None:
    """A statement that says so itself, by what it ignores, is not of the whole bundle."""
    from edgekit.runtime.model_signature import root_digest

    sign(bundle, keys / "ada")

    def shorter(told: dict[str, Any]) -> None:
        kept = [each for each in told["predicate"]["resources"] if each["name"] != "model.onnx"]
        told["predicate"]["resources"] = kept
        told["predicate"]["serialization"]["ignore_paths"].append("model.onnx")
        told["subject"][0]["digest"]["sha256"] = root_digest([each["digest"] for each in kept])

    forge(bundle, keys / "ada", shorter)
    assert answer(bundle, keys / "ada.pub") == (False, "model.sig is not of this bundle: model.onnx was not signed")


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told.update(mediaType="application/json"),
        lambda told: told.pop("verificationMaterial"),
        lambda told: told.update(verificationMaterial={"certificate": {"rawBytes": "AA=="}}),
        lambda told: told["verificationMaterial"].update(x509CertificateChain={"certificates": []}),
        lambda told: told["verificationMaterial"]["publicKey"].update(hint=3),
        lambda told: told.pop("dsseEnvelope"),
        lambda told: told["dsseEnvelope"].update(payloadType="text/plain"),
        lambda told: told["dsseEnvelope"].update(payload="%%%"),
        lambda told: told["dsseEnvelope"].update(payload=3),
        lambda told: told["dsseEnvelope"].update(signatures=[]),
        lambda told: told["dsseEnvelope"]["signatures"].append(told["dsseEnvelope"]["signatures"][0]),
        lambda told: told["dsseEnvelope"]["signatures"][0].update(sig="AAAA"),
        lambda told: told["dsseEnvelope"]["signatures"][0].pop("sig"),
        lambda told: told["dsseEnvelope"].update(
            payload=base64.b64encode(base64.b64decode(told["dsseEnvelope"]["payload"]) + b" ").decode()
        ),
    ],
)
def test_files_that_were_tampered_with(change: Callable[[dict[str, Any]], Any], bundle: Path, keys: Path) -> None:
    sign(bundle, keys / "ada")
    told = json.loads((bundle / "model.sig").read_text())
    change(told)
    (bundle / "model.sig").write_text(json.dumps(told))
    assert answer(bundle, keys / "ada.pub")[0] is False


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"a": 1, "a": 1}', b"[" * 100_000, b"x" * (5 << 20)])
def test_files_that_are_no_signature(content: bytes, bundle: Path, keys: Path) -> None:
    (bundle / "model.sig").write_bytes(content)
    for key in (None, keys / "ada.pub"):
        assert answer(bundle, key)[0] is False


def test_a_link_is_no_signature(bundle: Path, keys: Path) -> None:
    sign(bundle, keys / "ada")
    (bundle / "model.sig").rename(bundle.parent / "elsewhere")
    (bundle / "model.sig").symlink_to(bundle.parent / "elsewhere")
    assert exit_code(verify(str(bundle), golden=False, key=str(keys / "ada.pub"))) == 2


def test_a_manifest_cannot_name_a_signature(bundle: Path, keys: Path) -> None:
    sign(bundle, keys / "ada")
    rewrite(bundle, lambda told: told["files"].update({"model.sig": told["files"]["model.onnx"]}))
    assert exit_code(verify(str(bundle), golden=False)) == 2


def test_what_cannot_be_signed_with(bundle: Path, keys: Path, tmp_path: Path) -> None:
    rsa_like = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "ed").write_bytes(rsa_like.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    write_key(tmp_path / "k1", ec.generate_private_key(ec.SECP256K1()))
    write_key(tmp_path / "locked", ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"secret"))
    for key, words in (
        (tmp_path / "none", "there is no key"),
        (keys / "ada.pub", "no private key"),
        (tmp_path / "ed", "none of the curves"),
        (tmp_path / "k1", "none of the curves"),
        (tmp_path / "locked", "has a passphrase"),
    ):
        with pytest.raises(InputError, match=words):
            sign(bundle, key)
        with pytest.raises(InputError, match=words):
            check_key(key)
    assert not (bundle / "model.sig").exists()
    (bundle / "model.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match="is damaged"):
        sign(bundle, keys / "ada")


def test_a_passphrase_is_asked_for(bundle: Path, tmp_path: Path) -> None:
    """On a real terminal."""
    import os
    import pty
    import sys

    locked = write_key(tmp_path / "locked", ec.generate_private_key(ec.SECP384R1()), BestAvailableEncryption(b"secret"))
    command = [sys.executable, "-m", "edgekit", "sign", str(bundle), "--format", "oms", "--key", str(locked)]
    process, terminal = pty.fork()
    if process == 0:
        os.execv(command[0], command)
    seen = b""
    while b"Passphrase" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, b"secret\n")
    try:
        while chunk := os.read(terminal, 1000):
            seen += chunk
    except OSError:  # how Linux tells that nobody is there any more
        pass
    assert os.waitpid(process, 0)[1] == 0, seen
    assert b"secret" not in seen
    assert answer(bundle, locked.with_suffix(".pub"))[0] is True
