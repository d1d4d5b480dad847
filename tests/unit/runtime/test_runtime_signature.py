"""Signatures by SSH keys: made, checked against allowed signers, refused when they are of something or someone else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from bundles import make_bundle, rewrite

from edgekit.bundle.signing import sign
from edgekit.errors import InputError, UnavailableError
from edgekit.runtime import Bundle, BundleError, MissingError
from edgekit.runtime.verify import exit_code, verify

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen here")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of two people, and a file that allows one of them, under two names."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ada", "eve"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(command, check=True)
    public = (folder / "ada.pub").read_text()
    (folder / "signers").write_text(f"ada@example.com {public}other@example.com {public}")
    return folder


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "it", runtime="onnxruntime")


@pytest.fixture
def bundle(unsigned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unsigned, tmp_path / "bundle"))


def test_a_signed_bundle_opens_for_who_allows_its_signer(bundle: Path, keys: Path) -> None:
    made = sign(bundle, keys / "ada")
    assert made == bundle / "manifest.json.sig"
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["bundle"]
    with Bundle.open(bundle, allowed_signers=keys / "signers") as opened:
        assert opened.signer == "ada@example.com"
    with Bundle.open(bundle, allowed_signers=keys / "signers", identity="other@example.com") as opened:
        assert opened.signer == "other@example.com"
    with Bundle.open(bundle) as opened:
        assert opened.signer is None
    checks = {check.name: check for check in verify(str(bundle))}
    assert checks["signature"].ok
    assert "SHA256:" in checks["signature"].detail
    sign(bundle, keys / "ada")  # in place of the earlier one
    assert exit_code(verify(str(bundle), str(keys / "signers"))) == 0


def test_who_did_not_sign_is_not_taken_for_the_signer(bundle: Path, keys: Path) -> None:
    with pytest.raises(BundleError, match="not signed"):
        Bundle.open(bundle, allowed_signers=keys / "signers")
    sign(bundle, keys / "eve")
    with pytest.raises(BundleError, match="by none of those"):
        Bundle.open(bundle, allowed_signers=keys / "signers")
    sign(bundle, keys / "ada")
    with pytest.raises(BundleError, match=r"not by eve@example\.com"):
        Bundle.open(bundle, allowed_signers=keys / "signers", identity="eve@example.com")
    with pytest.raises(BundleError, match="no file of allowed signers"):
        Bundle.open(bundle, allowed_signers=keys / "nobody")


def test_a_signature_made_for_something_else_does_not_count(bundle: Path, keys: Path) -> None:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "git", "-f", str(keys / "ada"), str(bundle / "manifest.json")]
    subprocess.run(command, check=True)
    with pytest.raises(BundleError):
        Bundle.open(bundle, allowed_signers=keys / "signers")
    assert exit_code(verify(str(bundle))) == 2


def test_a_signature_of_another_manifest(bundle: Path, keys: Path) -> None:
    sign(bundle, keys / "ada")
    rewrite(bundle, lambda told: told.update(labels=[]))
    with pytest.raises(BundleError, match="not of this manifest"):
        Bundle.open(bundle, allowed_signers=keys / "signers")
    assert exit_code(verify(str(bundle))) == 2, "even when nobody asked"
    (bundle / "manifest.json.sig").write_bytes(b"x" * 100_000)
    with pytest.raises(BundleError, match="larger than"):
        Bundle.open(bundle, allowed_signers=keys / "signers")
    (bundle / "manifest.json.sig").unlink()
    (bundle / "manifest.json.sig").symlink_to(keys / "ada")
    assert exit_code(verify(str(bundle))) == 2


def test_signed_files_are_checked_even_without_verifying(bundle: Path, keys: Path) -> None:
    sign(bundle, keys / "ada")
    (bundle / "model.onnx").write_bytes(b"x")
    with pytest.raises(BundleError, match="has changed"):
        Bundle.open(bundle, verify=False, allowed_signers=keys / "signers")


def test_what_cannot_be_signed(bundle: Path, keys: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no key"):
        sign(bundle, tmp_path / "none")
    (tmp_path / "text").write_text("no key")
    with pytest.raises(InputError, match="did not sign"):
        sign(bundle, tmp_path / "text")
    assert not (bundle / "manifest.json.sig").exists()
    (bundle / "model.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match="is damaged"):
        sign(bundle, keys / "ada")


def test_without_ssh_keygen(bundle: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign(bundle, keys / "ada")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingError, match="ssh-keygen is not installed"):
        Bundle.open(bundle, allowed_signers=keys / "signers")
    assert exit_code(verify(str(bundle), golden=False)) == 4
    with pytest.raises(UnavailableError, match="ssh-keygen"):
        sign(bundle, keys / "ada")


def test_an_ssh_keygen_that_knows_no_signatures(
    bundle: Path, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(bundle, keys / "ada")
    old = tmp_path / "ssh-keygen"
    old.write_text("#!/bin/sh\necho 'unknown option -- Y' >&2\nexit 1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(MissingError, match="too old"):
        Bundle.open(bundle, allowed_signers=keys / "signers")
