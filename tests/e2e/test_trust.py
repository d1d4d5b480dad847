"""Signed, pushed, pulled and checked as users do it: by the command line, and by the one file that devices have."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundles import make_bundle
from image_registry import running

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle", runtime="onnxruntime")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A key made as the help of `edgekit sign` says; the public one ends with .pub.pem."""
    pytest.importorskip("cryptography")
    private, public = str(tmp_path / "key.pem"), str(tmp_path / "key.pub.pem")
    how = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "genpkey", *how, "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return tmp_path / "key.pem"


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_sign_and_verify_with_a_key(bundle: Path, key: Path, tmp_path: Path, edgekit: Run) -> None:
    public = key.with_name("key.pub.pem")
    missing = edgekit("sign", bundle, "--format", "oms", "--key", tmp_path / "none.pem")
    assert missing.returncode == 2
    assert "openssl genpkey -algorithm EC" in missing.stderr
    assert len(missing.stderr.splitlines()) == 1
    unsigned = edgekit("verify", bundle, "--key", public, "--no-golden")
    assert unsigned.returncode == 2
    assert "there is no model.sig" in unsigned.stdout
    signed = edgekit("sign", bundle, "--format", "oms", "--key", key, "--json")
    assert (signed.returncode, signed.stderr) == (0, "")
    assert json.loads(signed.stdout) == {"signature": str(bundle / "model.sig")}
    told = json.loads(edgekit("verify", bundle, "--key", public, "--json").stdout)
    assert told["ok"] is True
    assert [check["name"] for check in told["checks"]] == ["manifest", "files", "model signature", "golden outputs"]
    device = [sys.executable, "-I", str(bundle / "edgekit_runtime.pyz"), "verify", str(bundle), "--no-golden"]
    assert subprocess.run([*device, "--key", str(public)], check=False, capture_output=True).returncode == 0
    (bundle / "golden.npz").write_bytes(b"x")
    assert subprocess.run([*device, "--key", str(public)], check=False, capture_output=True).returncode == 2
    assert edgekit("verify", bundle, "--key", public, "--identity", "me").returncode == 2


def test_push_and_pull(bundle: Path, key: Path, tmp_path: Path, edgekit: Run) -> None:
    pytest.importorskip("oras")
    public = key.with_name("key.pub.pem")
    assert edgekit("sign", bundle, "--format", "oms", "--key", key).returncode == 0
    with running(tmp_path / "registry") as registry:
        ref = f"{registry.host}/models/signs:1.0"
        pushed = edgekit("push", bundle, ref, "--json")
        assert pushed.returncode == 0, pushed.stderr
        told = json.loads(pushed.stdout)
        assert (told["reference"], told["sent"]) == (ref, told["files"])
        pulled = edgekit("pull", ref, tmp_path / "out", "--key", public, "--json")
        assert pulled.returncode == 0, pulled.stderr
        assert json.loads(pulled.stdout)["digest"] == told["digest"]
        assert contents(tmp_path / "out") == contents(bundle)
    gone = edgekit("pull", ref, tmp_path / "late")
    assert gone.returncode == 4
    assert gone.stderr.splitlines()[-1].startswith("edgekit: error: the registry 127.0.0.1")
    assert not (tmp_path / "late").exists()


def test_what_is_wrong_before_anything_is_sent(bundle: Path, tmp_path: Path, edgekit: Run) -> None:
    pytest.importorskip("oras")
    named = edgekit("push", bundle, "signs:1.0")
    assert named.returncode == 2
    assert "HOST[:PORT]/REPOSITORY" in named.stderr
    assert edgekit("push", bundle, f"localhost:1/a@sha256:{'0' * 64}").returncode == 2
    assert edgekit("pull", "localhost:1/a", tmp_path / "out", "--identity", "me").returncode == 2
    (bundle / "golden.npz").write_bytes(b"x")
    damaged = edgekit("push", bundle, "localhost:1/a")
    assert damaged.returncode == 2
    assert "golden.npz has changed" in damaged.stderr
