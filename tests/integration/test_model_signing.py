"""Signatures across tools: what edgekit signs, OpenSSF's own model-signing checks, and the other way round."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import make_bundle

pytest.importorskip("model_signing")
pytest.importorskip("OpenSSL", reason="model-signing needs pyopenssl, and does not say so")

from edgekit.runtime.verify import Check, verify

Run = Callable[..., "subprocess.CompletedProcess[str]"]
CURVES = ("P-256", "P-384", "P-521")
CLIENT = Path(__file__).resolve().parents[1] / "oms_client.py"


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "it", runtime="onnxruntime")


@pytest.fixture
def bundle(unsigned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(unsigned, tmp_path / "bundle"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by openssl, as the help of `edgekit sign` says."""
    folder = tmp_path_factory.mktemp("keys")
    for curve in CURVES:
        private, public = str(folder / f"{curve}.pem"), str(folder / f"{curve}.pub.pem")
        how = ["-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}"]
        subprocess.run(["openssl", "genpkey", *how, "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return folder


def theirs(verb: str, *arguments: object) -> int:
    """Runs model-signing's own command."""
    command = [sys.executable, "-m", "model_signing", verb, "key", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False).returncode


def ours(bundle: Path, key: Path) -> Check:
    (check,) = [each for each in verify(str(bundle), golden=False, key=str(key)) if each.name == "model signature"]
    return check


@pytest.mark.parametrize("curve", [CURVES[0], *(pytest.param(each, marks=pytest.mark.slow) for each in CURVES[1:])])
def test_each_checks_what_the_other_signed(curve: str, bundle: Path, keys: Path, edgekit: Run) -> None:
    private, public, signature = keys / f"{curve}.pem", keys / f"{curve}.pub.pem", bundle / "model.sig"
    signed = edgekit("sign", bundle, "--format", "oms", "--key", private)
    assert signed.returncode == 0, signed.stderr
    assert theirs("verify", "--public_key", public, "--signature", signature, bundle) == 0
    wrong = keys / f"{CURVES[curve == 'P-256']}.pub.pem"
    assert theirs("verify", "--public_key", wrong, "--signature", signature, bundle) != 0

    signature.unlink()
    assert theirs("sign", "--private_key", private, "--signature", signature, bundle) == 0
    assert ours(bundle, public).ok
    assert not ours(bundle, wrong).ok


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen here")
def test_a_bundle_that_is_signed_with_an_ssh_key_too(bundle: Path, keys: Path, tmp_path: Path, edgekit: Run) -> None:
    """Before or after: neither signature is of the other, unless their signer has listed it."""
    ssh = tmp_path / "ssh"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(ssh)], check=True)
    private, public, signature = keys / "P-256.pem", keys / "P-256.pub.pem", bundle / "model.sig"
    assert edgekit("sign", bundle, "--format", "oms", "--key", private).returncode == 0
    assert edgekit("sign", bundle, "--key", ssh).returncode == 0
    assert theirs("verify", "--public_key", public, "--signature", signature, bundle) == 0
    signature.unlink()
    assert theirs("sign", "--private_key", private, "--signature", signature, bundle) == 0
    assert ours(bundle, public).ok
    (bundle / "manifest.json.sig").unlink()
    assert "manifest.json.sig was signed and is not there" in ours(bundle, public).detail


def test_what_was_changed_is_refused_by_both(bundle: Path, keys: Path, edgekit: Run) -> None:
    private, public, signature = keys / "P-256.pem", keys / "P-256.pub.pem", bundle / "model.sig"
    assert edgekit("sign", bundle, "--format", "oms", "--key", private).returncode == 0
    (bundle / "golden.npz").write_bytes(b"x")
    assert theirs("verify", "--public_key", public, "--signature", signature, bundle) != 0
    assert edgekit("verify", bundle, "--key", public, "--no-golden").returncode == 2


def test_any_folder_through_the_client_of_the_conformance_suite(tmp_path: Path, keys: Path) -> None:
    model = tmp_path / "model"
    for name in ("weights.bin", "deep/config.json", ".cache/a b", "模型.bin", ".git/config"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text(name)
    private, public, bundle = keys / "P-256.pem", keys / "P-256.pub.pem", tmp_path / "model.sig"

    def client(*arguments: object) -> int:
        command = [sys.executable, str(CLIENT), *map(str, arguments), "--method", "key", "--model-path", str(model)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert client("sign-model", "--private-key", private, "--output-bundle", bundle) == 0
    assert theirs("verify", "--public_key", public, "--signature", bundle, model) == 0
    assert theirs("sign", "--private_key", private, "--signature", bundle, model) == 0
    assert client("verify-model", "--public-key", public, "--bundle", bundle) == 0
    (model / "deep" / "more").write_text("x")
    assert client("verify-model", "--public-key", public, "--bundle", bundle) == 1
    assert client("verify-model", "--public-key", public, "--bundle", bundle, "--ignore-unsigned-files") == 0
    (model / "deep" / "more").unlink()
    (model / "link").symlink_to("weights.bin")
    assert client("sign-model", "--private-key", private, "--output-bundle", bundle) == 1
