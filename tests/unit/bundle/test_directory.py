"""Bundles: never written over what is not ours, never believed when they lie; their runtime is old Python."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bundles import make_bundle, manifest

import edgekit.runtime
from edgekit.bundle.directory import check_bundle, claim_directory, place_file, read_manifest, write_bundle
from edgekit.bundle.runtime_archive import runtime_archive
from edgekit.errors import InputError
from edgekit.runtime import Bundle, BundleError


def bundle(out: Path, text: bytes = b"one") -> Path:
    return write_bundle(out, {"a.txt": text, "b.txt": b"two"}, manifest())


def test_what_is_written_is_whole(tmp_path: Path) -> None:
    out = bundle(tmp_path / "x" / "out")
    assert check_bundle(out) == []
    told = read_manifest(out)
    assert told.files["a.txt"].size_bytes == 3
    assert sorted(path.name for path in out.parent.iterdir()) == ["out"]


def test_an_earlier_bundle_is_replaced_as_a_whole(tmp_path: Path) -> None:
    out = write_bundle(tmp_path / "out", {"a.txt": b"one", "left.txt": b"over"}, manifest())
    (out / "manifest.json.sig").write_text("of the earlier one")
    bundle(out, b"three")
    assert (out / "a.txt").read_bytes() == b"three"
    assert sorted(path.name for path in out.iterdir()) == ["a.txt", "b.txt", "manifest.json"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert check_bundle(out) == []


@pytest.mark.parametrize("what", ["folder", "file", "foreign manifest"])
def test_what_is_not_ours_is_refused_and_untouched(tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "manifest.json").write_text('{"kind": "other"}' if what == "foreign manifest" else "mine")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    for attempt in (claim_directory, bundle):
        with pytest.raises(InputError, match="not a bundle"):
            attempt(out)
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


def test_an_empty_directory_is_taken(tmp_path: Path) -> None:
    assert check_bundle(bundle(tmp_path)) == []


def test_damage_is_named(tmp_path: Path) -> None:
    out = bundle(tmp_path / "out")
    (out / "a.txt").write_bytes(b"eno")
    (out / "b.txt").unlink()
    (out / "more.txt").write_text("x")
    assert check_bundle(out) == [
        "a.txt has changed: its SHA-256 is not the manifest's",
        "b.txt is missing",
        "more.txt is not in the manifest",
    ]


def test_a_manifest_that_points_out_of_the_bundle(tmp_path: Path) -> None:
    out = bundle(tmp_path / "out")
    told = json.loads((out / "manifest.json").read_text())
    told["files"]["../secret"] = told["files"]["a.txt"]
    (out / "manifest.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"\.\./secret points out of the bundle"):
        check_bundle(out)


def test_the_runtime_refuses_before_it_loads_anything(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle"):
        Bundle.open(tmp_path)
    out = bundle(tmp_path / "out")
    with pytest.raises(BundleError, match=r"does not name golden\.npz|has no other model"):
        Bundle.open(out)
    with pytest.raises(BundleError, match=r"does not name model\.xml"):
        Bundle.open(out, runtime="openvino")


def test_a_file_is_placed_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    place_file(tmp_path / "a", tmp_path / "deep" / "b")
    assert (tmp_path / "deep" / "b").read_text() == "x"
    with pytest.raises(InputError):
        place_file(tmp_path / "a", tmp_path / "a" / "b")


RUNTIME_PACKAGES = ("openvino", "onnxruntime", "tensorrt", "tensorrt_rtx", "PIL")


def test_the_runtime_is_written_for_python_36() -> None:
    folder = Path(edgekit.runtime.__file__).parent
    for file in folder.glob("*.py"):
        tree = ast.parse(file.read_text(), feature_version=(3, 6))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        outside = {alias.name.split(".")[0] for node in imports if isinstance(node, ast.Import) for alias in node.names}
        outside |= {
            (node.module or "").split(".")[0] for node in imports if isinstance(node, ast.ImportFrom) and not node.level
        }
        assert outside - sys.stdlib_module_names <= {"numpy", *RUNTIME_PACKAGES}, file


def test_the_runtime_needs_nothing_newer_than_python_36() -> None:
    """What vermin finds, the standard library's own history included."""
    files = sorted(str(file) for file in Path(edgekit.runtime.__file__).parent.glob("*.py"))
    command = [sys.executable, "-c", "from vermin import main; main()", "--no-tips", "--violations", "-t=3.6-", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def sign_with_new_key(made: Path, public: Path) -> None:
    """Signs a bundle as OpenSSF Model Signing has it, and writes the public key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    from edgekit.bundle.oms_signing import sign

    key = ec.generate_private_key(ec.SECP256R1())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = public.with_suffix(".pem")
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    sign(made, private)


OLD_PYTHON = os.environ.get("EDGEKIT_OLD_PYTHON")


@pytest.mark.skipif(OLD_PYTHON is None, reason="EDGEKIT_OLD_PYTHON names no Python 3.6 with numpy, onnxruntime, PIL")
def test_the_runtime_runs_on_the_oldest_python(tmp_path: Path) -> None:
    """The one file alone, on a bundle made here; see runtime_on_old_python.py for what it does there."""
    made = make_bundle(tmp_path / "made", runtime="onnxruntime", crop_fraction=0.875)
    (tmp_path / "runtime.pyz").write_bytes(runtime_archive())
    if importlib.util.find_spec("cryptography"):
        sign_with_new_key(made, tmp_path / "key.pub")
    script = Path(__file__).with_name("runtime_on_old_python.py")
    command = [str(OLD_PYTHON), "-I", str(script), str(tmp_path / "runtime.pyz"), str(made), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("fine on 3."), done.stdout
