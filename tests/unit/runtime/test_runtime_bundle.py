"""Bundles that were changed, lie or are not whole: each refused with one clear line, before anything is run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import LABELS, fit, make_bundle, network, packed, rewrite

from edgekit.runtime import Bundle, BundleError, MissingError
from edgekit.runtime.verify import exit_code, verify

FILES = ("manifest.json", "model.onnx", "model.xml", "model.bin", "golden.npz", "edgekit_runtime.pyz")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "whole")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def refused(directory: Path, words: str, **more: Any) -> None:
    """Both ways to look at a bundle refuse it, each with a line that says why."""
    with pytest.raises(BundleError, match=words) as caught:
        Bundle.open(directory, **more)
    assert "\n" not in str(caught.value)
    assert exit_code(verify(str(directory), runtime=more.get("runtime"))) == 2


def test_a_whole_bundle_opens_and_is_good(whole: Path) -> None:
    with Bundle.open(whole) as bundle:
        assert (bundle.runtime, bundle.size, bundle.labels, bundle.signer) == ("openvino", (32, 32), LABELS, None)
        assert bundle.check_golden() > 0.9999
    checks = verify(str(whole))
    assert {check.name: check.ok for check in checks} == {
        "manifest": True, "files": True, "signature": None, "golden outputs": True,
    }  # fmt: skip
    assert exit_code(checks) == 0
    with pytest.raises(BundleError, match="closed"):
        bundle.logits(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(BundleError, match="closed"):
        bundle.session()


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_any_file(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    # In the manifest a bit of what is only said can change: that is what signatures are for.
    content[content.index(b'"sha256"') + 12 if name == "manifest.json" else len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    refused(copy, "has changed: its SHA-256" if name != "manifest.json" else "SHA-256")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_and_a_truncated_file(copy: Path, name: str) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: len(content) // 2])
    refused(copy, "no bundle" if name == "manifest.json" else f"{name} has changed: it has")
    (copy / name).unlink()
    refused(copy, "no bundle" if name == "manifest.json" else f"{name} is missing")


@pytest.mark.parametrize("kind", ["file", "hidden file", "folder", "link"])
def test_what_the_manifest_does_not_name(copy: Path, kind: str) -> None:
    name = ".more" if kind == "hidden file" else "more"
    if kind == "folder":
        (copy / name).mkdir()
    elif kind == "link":
        (copy / name).symlink_to("/etc/passwd")
    else:
        (copy / name).write_text("x")
    refused(copy, rf"{name} is not in the manifest")


@pytest.mark.parametrize("name", ["model.xml", "golden.npz", "manifest.json"])
def test_a_link_out_of_the_bundle(copy: Path, tmp_path: Path, name: str) -> None:
    """Even one to the very same content."""
    outside = tmp_path / "outside"
    shutil.move(copy / name, outside)
    (copy / name).symlink_to(outside)
    refused(copy, f"{name} is a symbolic link")


def test_a_link_to_a_folder_and_a_pipe(copy: Path, tmp_path: Path) -> None:
    (copy / "model.bin").unlink()
    (copy / "model.bin").symlink_to(tmp_path)
    refused(copy, r"model\.bin is a symbolic link")
    (copy / "model.bin").unlink()
    os.mkfifo(copy / "model.bin")
    refused(copy, r"model\.bin is not a regular file")
    (copy / "manifest.json").unlink()
    os.mkfifo(copy / "manifest.json")
    refused(copy, "not a regular file")


def told(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change of what a manifest says at a place such as a.b."""

    def change(manifest: dict[str, Any]) -> None:
        *into, last = path.split("/")
        for key in into:
            manifest = manifest[key]
        if value is DELETED:
            del manifest[last]
        else:
            manifest[last] = value

    return change


class Deleted:
    """In the place of a value: the key is taken out."""

    def __repr__(self) -> str:
        return "deleted"


DELETED = Deleted()
LIES: list[tuple[str, Any, str]] = [
    ("schema", 3, "schema 3, this runtime knows up to 2; use a newer edgekit"),
    ("schema", 10**400, "use a newer edgekit|no bundle"),
    ("schema", 0, "its schema is 0"),
    ("schema", "1", "its schema is '1'"),
    ("schema", True, "its schema is True"),
    ("schema", DELETED, "its schema is None"),
    ("kind", "other", "no bundle of edgekit's"),
    ("files", [], "no table files"),
    ("files", DELETED, "no table files"),
    ("files/model.bin/size_bytes", -1, r"size of model\.bin is -1"),
    ("files/model.bin/size_bytes", "12", r"size of model\.bin is '12'"),
    ("files/model.bin/size_bytes", 1e3, r"size of model\.bin is 1000\.0"),
    ("files/model.bin/size_bytes", 2**70, r"model\.bin has changed: it has \d+ bytes"),
    ("files/model.bin/size_bytes", DELETED, r"size of model\.bin is None"),
    ("files/model.bin/sha256", "0" * 64, r"model\.bin has changed: its SHA-256"),
    ("files/model.bin/sha256", "A" * 64, r"model\.bin has no SHA-256"),
    ("files/model.bin/sha256", 5, r"model\.bin has no SHA-256"),
    ("files/model.bin", "x", r"model\.bin has no SHA-256"),
    ("files/model.bin", DELETED, r"model\.bin is not in the manifest"),
    ("labels", LABELS[:3], "3 labels for 4 classes"),
    ("labels", [*LABELS, "elder"], "5 labels for 4 classes"),
    ("labels", "apple", "no list of text"),
    ("labels", [1, 2, 3, 4], "no list of text"),
    ("labels", DELETED, "nothing of labels"),
    ("model", None, "no table model"),
    ("model/classes", -4, r"model\.classes is -4"),
    ("precision", "fp8", "precision is 'fp8'"),
    ("precision", ["int8"], "precision is"),
    ("target/runtime", 3, r"target\.runtime is no text"),
    ("target/runtime", "other", None),  # type: ignore[list-item]  # falls back to what can run its files
    ("input/shape", [1, -32, -32, 3], "shape is"),
    ("input/shape", [1, 32, 32], "shape is"),
    ("input/shape", [1, 10**9, 10**9, 3], "shape is"),
    ("input/shape", [1, 32, 64, 3], r"preprocessing\.size is 32, the input is 32 x 64"),
    ("input/shape", [1, 16, 16, 3], r"preprocessing\.size is 32, the input is 16 x 16"),
    ("input/dtype", "float32", "not uint8 NHWC RGB"),
    ("preprocessing/size", 31, r"preprocessing\.size is 31"),
    ("preprocessing/crop_fraction", 0, "crop_fraction is 0"),
    ("preprocessing/crop_fraction", 1e-9, "crop_fraction is 1e-09"),
    ("preprocessing/crop_fraction", "1", "crop_fraction is '1'"),
    ("preprocessing/crop_fraction", float("nan"), "crop_fraction is nan"),
    ("preprocessing/interpolation", "magic", "interpolation is 'magic'"),
    ("preprocessing/interpolation", {}, "interpolation is {}"),
    ("preprocessing/size", [32, 31], r"preprocessing\.size is \[32, 31\]"),
    ("preprocessing/size", [32], r"preprocessing\.size is \[32\]"),
    ("preprocessing/resize", "stretch", "resize is 'stretch'"),
    ("preprocessing/resize", None, "resize is None"),
    ("preprocessing/antialias", 0, "antialias is 0"),
    ("preprocessing/exif", "yes", "exif is 'yes'"),
    ("preprocessing/pad_align", "middle", "pad_align is 'middle'"),
    ("preprocessing/pad_color", [0, 0], r"pad_color is \[0, 0\]"),
    ("preprocessing/pad_color", [0, 0, 256], "pad_color is"),
    ("preprocessing/pad_color", [0, 0, True], "pad_color is"),
    ("output", [], "output is no table"),
    ("output", {"activation": "magic"}, r"output\.activation is 'magic'"),
    ("output", {"task": {}}, r"output\.task is \{\}"),
    ("engine_settings", 5, "engine_settings"),
    ("engine_settings", {"typed": "yes"}, r"engine_settings\.typed is 'yes'"),
    ("engine_settings", {"dla_core": -1}, r"engine_settings\.dla_core is -1"),
]


@pytest.mark.parametrize(("place", "value", "words"), LIES, ids=lambda each: str(each)[:40])
def test_a_manifest_that_lies(copy: Path, place: str, value: Any, words: str | None) -> None:
    rewrite(copy, told(place, value))
    if words is None:
        with Bundle.open(copy) as bundle:
            assert bundle.runtime == "openvino"
    else:
        refused(copy, words)


@pytest.mark.parametrize(
    "name", ["../secret", "a/b", "/etc/passwd", "..", "", ".hidden", "a\\b", "a\nb", "manifest.json"]
)
def test_names_that_point_out(copy: Path, name: str) -> None:
    rewrite(copy, lambda manifest: manifest["files"].update({name: manifest["files"]["model.bin"]}))
    refused(copy, "points out of the bundle")


TWICE = b'{"kind": "edgekit-bundle", "kind": 1}'


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe", b"null", b"[" * 200_000, TWICE, b"9" * 9_000],
    ids=["empty", "list", "cut", "binary", "null", "deep", "twice", "long number"],
)
def test_a_manifest_that_is_none(copy: Path, content: bytes) -> None:
    (copy / "manifest.json").write_bytes(content)
    refused(copy, "holds no bundle")


def test_a_manifest_too_large_to_read(copy: Path) -> None:
    with (copy / "manifest.json").open("wb") as file:
        file.truncate(1 << 40)  # takes no room on the disk
    refused(copy, "larger than")


def test_rightly_hashed_content_of_the_wrong_kind(copy: Path, tmp_path: Path) -> None:
    """Who writes the manifest too can put anything in: it is still refused in a line."""
    pictures, logits = np.zeros((2, 32, 32, 3), np.uint8), np.ones((2, 4), np.float32)
    objects = np.array([object()], dtype=object)
    cases = {
        "golden outputs of 5": packed(inputs=pictures, logits=np.ones((2, 5), np.float32)),
        "are float64": packed(inputs=pictures.astype(float), logits=logits),
        "inputs are uint8": packed(inputs=pictures[:, :16], logits=logits),
        "no logits": packed(inputs=pictures, logits=logits * np.nan),
        "cannot read the golden inputs": packed(inputs=objects, logits=logits),
        "not a zip": b"x" * 100,
        "computes otherwise": packed(inputs=pictures + 9, logits=logits * np.float32([1, -2, 3, -4])),
        "unpacks to": packed(inputs=np.zeros((300_000_000,), np.uint8), logits=logits),
    }
    for words, content in cases.items():
        fit(copy, {"golden.npz": content})
        refused(copy, words)


def test_a_network_that_is_none_or_of_other_classes(copy: Path, tmp_path: Path) -> None:
    fit(copy, {"model.xml": b"<net", "model.bin": b""})
    refused(copy, "OpenVINO cannot load")
    fit(copy, {"model.onnx": b"onnx"})
    refused(copy, "ONNX Runtime cannot load", runtime="onnxruntime")
    fit(copy, {"model.onnx": network(tmp_path / "other.onnx", 16).read_bytes()})
    with pytest.raises(BundleError):
        Bundle.open(copy, runtime="onnxruntime")


def test_runtimes_are_chosen_from_what_is_there(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bundle.open(whole, runtime="onnxruntime") as bundle:
        assert bundle.runtime == "onnxruntime"
    hidden = ["openvino"]
    find = importlib_find(hidden)
    monkeypatch.setattr("edgekit.runtime.engines.importlib.util.find_spec", find)
    with Bundle.open(whole) as bundle, bundle.session() as session:
        assert session.runtime == "onnxruntime"
    hidden.append("onnxruntime")
    with pytest.raises(MissingError, match="pip install openvino; or pip install onnxruntime"):
        Bundle.open(whole)
    assert exit_code(verify(str(whole))) == 4
    with pytest.raises(MissingError, match="tensorrt is not installed on this device"):
        Bundle.open(whole, runtime="tensorrt")
    with pytest.raises(BundleError, match="there is no runtime 'abacus'"):
        Bundle.open(whole, runtime="abacus")


def importlib_find(hidden: list[str]) -> Callable[[str], Any]:
    from importlib.util import find_spec

    return lambda name: None if name in hidden else find_spec(name)


def test_what_was_compiled_is_kept_and_not_believed_when_damaged(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_ENGINES", str(tmp_path / "kept"))
    Bundle.open(whole).close()
    (blob,) = (tmp_path / "kept").glob("*.blob")
    made = blob.stat().st_mtime_ns
    Bundle.open(whole).close()
    assert blob.stat().st_mtime_ns == made
    blob.write_bytes(b"x" * 100)
    Bundle.open(whole).close()
    assert blob.stat().st_size > 100
    monkeypatch.setenv("EDGEKIT_ENGINES", "/proc/nothing/can/be/written")
    with Bundle.open(whole) as bundle:
        assert bundle.check_golden() > 0.99


def test_a_bundle_opens_without_verifying(copy: Path) -> None:
    (copy / "more").write_text("x")
    with Bundle.open(copy, verify=False) as bundle:
        assert bundle.logits(np.zeros((32, 32, 3), np.uint8)).shape == (1, 4)


def test_nothing_of_torch_is_loaded() -> None:
    assert "edgekit.runtime" in sys.modules
    import subprocess

    code = (
        "import json, sys, edgekit.runtime, edgekit.cli.run, edgekit.cli.verify;"
        "print(json.dumps([name for name in ('torch', 'onnx', 'PIL') if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
