"""Bundles as ModelPack artifacts, and the names of places that they go to; nothing is sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundles import make_bundle, manifest

from edgekit.bundle.directory import names_of, write_bundle
from edgekit.bundle.modelpack import artifact_of, media_type_of, read_artifact
from edgekit.bundle.registry import Reference
from edgekit.errors import InputError

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost:5000/signs", ("localhost:5000", "signs", "latest", None)),
        ("localhost/signs:1", ("localhost", "signs", "1", None)),
        ("r.example.com/a/b-c/d__e.f:V1.0-x", ("r.example.com", "a/b-c/d__e.f", "V1.0-x", None)),
        (f"[::1]:5000/a@{DIGEST}", ("[::1]:5000", "a", None, DIGEST)),
        (f"r.example.com/my.org/a:1@{DIGEST}", ("r.example.com", "my.org/a", "1", DIGEST)),
    ],
)
def test_places_are_read(text: str, parts: tuple[object, ...]) -> None:
    read = Reference.parse(text)
    assert (read.host, read.repository, read.tag, read.digest) == parts
    assert Reference.parse(str(read)) == read


@pytest.mark.parametrize(
    "text",
    [
        *("", "signs", "signs:1", "me/signs", "localhost:5000", "localhost:5000/", "localhost:5000/Signs"),
        *("r.io/a/../b", "r.io//a", "r.io/a:", "r.io/a@sha256:00", "http://r.io/a", "r.io/a b", "r.io/a?b"),
        *("u:p@r.io/a", "r.io/a:1\n"),
    ],
)
def test_what_names_no_place(text: str) -> None:
    with pytest.raises(InputError, match="names no artifact"):
        Reference.parse(text)


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        *((host, "http") for host in ("localhost", "localhost:5000", "127.0.0.1:5000", "127.9.9.9", "[::1]:5000")),
        *(
            (host, "https")
            for host in ("r.example.com", "10.0.0.1:5000", "localhost.example.com", "128.0.0.1", "[::2]")
        ),
    ],
)
def test_plain_http_is_for_this_machine_alone(host: str, scheme: str) -> None:
    reference = Reference(host, "a", "latest")
    assert (reference.scheme(False), reference.scheme(True)) == (scheme, "http")


def test_the_same_bundle_is_the_same_artifact(tmp_path: Path) -> None:
    out = make_bundle(tmp_path / "out", runtime="onnxruntime")
    made = artifact_of(out, names_of(out))
    assert artifact_of(out, names_of(out)) == made
    told = json.loads(made.manifest)
    assert told["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    kinds = {each["annotations"]["org.cncf.model.filepath"]: each["mediaType"] for each in told["layers"]}
    assert kinds == {
        "edgekit_runtime.pyz": "application/vnd.cncf.model.code.v1.raw",
        "golden.npz": "application/vnd.cncf.model.dataset.v1.raw",
        "manifest.json": "application/vnd.cncf.model.weight.config.v1.raw",
        "model.onnx": "application/vnd.cncf.model.weight.v1.raw",
    }
    assert [each.name for each in read_artifact(made.manifest, "it")] == sorted(names_of(out))
    (out / "model.sig").write_text("{}")
    assert artifact_of(out, names_of(out)).digest != made.digest


def test_the_configuration_says_what_is_known_and_nothing_else(tmp_path: Path) -> None:
    report = json.dumps({"created": "2026-11-02T10:11:12+00:00"}).encode()
    told = manifest(
        model={"name": "net", "tag": "x", "classes": 2, "params": 42_654_321},
        precision="int8",
        labels=[],
        licenses={"weights": "MIT", "data": None},
        output={"activation": "none", "task": "embed"},
    )
    out = write_bundle(tmp_path / "out", {"model.onnx": b"x", "report.json": report}, told)
    config = json.loads(artifact_of(out, names_of(out)).config)
    assert set(config) == {"descriptor", "config", "modelfs"}
    assert config["descriptor"]["createdAt"] == "2026-11-02T10:11:12+00:00"
    assert (config["descriptor"]["name"], config["descriptor"]["licenses"]) == ("net.x", ["MIT"])
    assert (config["config"]["paramSize"], config["config"]["precision"]) == ("42.7M", "int8")
    assert config["config"]["capabilities"] == {"inputTypes": ["image"], "outputTypes": ["embedding"]}
    assert config["modelfs"]["type"] == "layers"
    assert len(config["modelfs"]["diffIds"]) == 3
    bare = json.loads(artifact_of(make_bare(tmp_path / "bare"), ["manifest.json"]).config)
    assert set(bare["descriptor"]) == {"family", "name", "description"}
    assert "precision" not in bare["config"], "a mix of several has no name there"


def make_bare(out: Path) -> Path:
    return write_bundle(out, {"report.json": b"none"}, manifest(precision="mixed"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.xml", "weight"),
        ("model.fp16.engine", "weight"),
        ("recipe.lock.yaml", "weight.config"),
        ("manifest.json.sig", "weight.config"),
        ("report.html", "doc"),
        ("sbom.json", "doc"),
        ("calibration.json", "dataset"),
        ("anything", "doc"),
    ],
)
def test_kinds_of_layers(name: str, kind: str) -> None:
    assert media_type_of(name) == f"application/vnd.cncf.model.{kind}.v1.raw"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"schemaVersion": 2, "layers": []}'])
def test_what_is_no_artifact(content: bytes) -> None:
    with pytest.raises(InputError, match="no artifact that is known"):
        read_artifact(content, "it")
