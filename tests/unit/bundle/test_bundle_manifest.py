"""The typed manifest: manifest.json as it always was, and nothing believed that is not of its type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bundles import manifest, rewrite

from edgekit.bundle.directory import read_manifest, write_bundle
from edgekit.bundle.manifest import Engine, Manifest
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError

WHOLE: dict[str, Any] = {
    "kind": "edgekit-bundle",
    "schema": 1,
    "model": {
        "name": "inception_v4",
        "tag": "signs",
        "weights_sha256": "a" * 64,
        "params": 2_600_000,
        "macs": 770_000_000,
        "input": [1, 3, 299, 299],
        "classes": 2,
    },
    "target": {"name": "cpu", "runtime": "openvino", "runtime_version": "1", "device": "a CPU", "features": ["avx2"]},
    "precision": "int8",
    "input": {"name": "image", "dtype": "uint8", "shape": [1, 299, 299, 3], "layout": "NHWC", "color": "RGB"},
    "preprocessing": {
        "size": 299,
        "crop_fraction": 0.875,
        "interpolation": "bicubic",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.25, 0.5],
        "color": "bgr",
    },
    "labels": ["stop", "yield"],
    "versions": {"edgekit": "1", "openvino": None},
    "licenses": {"weights": "Apache-2.0", "data": None},
    "engine_settings": {"typed": True, "dla_core": 0, "workspace_bytes": 1},
    "files": {"a.txt": {"sha256": "b" * 64, "size_bytes": 3}},
}


def test_a_manifest_reads_and_writes_the_same_bytes() -> None:
    told = Manifest.of(WHOLE)
    assert json.dumps(told.as_json()) == json.dumps(WHOLE)
    assert told.preprocessing == Preprocessing(std=(0.5, 0.25, 0.5), color="bgr")
    assert told.engine_settings == {"typed": True, "dla_core": 0, "workspace_bytes": 1}
    assert told.engine_settings["typed"] is True
    assert (told.model.classes, told.target.runtime, told.files["a.txt"].size_bytes) == (2, "openvino", 3)


def test_what_is_written_says_what_was_given_in_its_order(tmp_path: Path) -> None:
    given = Manifest.of({key: value for key, value in WHOLE.items() if key != "files"})
    out = write_bundle(tmp_path / "out", {"a.txt": b"one"}, given)
    content = json.loads((out / "manifest.json").read_text())
    assert list(content) == list(WHOLE)
    assert {**content, "files": None} == {**WHOLE, "files": None}
    assert list(content["files"]) == ["a.txt"]
    assert read_manifest(out).as_json() == content


def test_an_engine_or_its_settings_are_there_or_not() -> None:
    engine = Engine(name="sm89", compute_capabilities=("8.9",), tensorrt="1.1", platform="linux-x86_64")
    plain = Manifest.of({key: value for key, value in WHOLE.items() if key != "engine_settings"})
    with_engine = plain.model_copy(update={"engine": engine, "engine_settings": None}).as_json()
    assert with_engine["engine"] == {
        "name": "sm89", "compute_capabilities": ["8.9"], "tensorrt": "1.1", "platform": "linux-x86_64",
    }  # fmt: skip
    assert "engine_settings" not in with_engine
    assert not {"engine", "engine_settings"} & set(plain.as_json())
    assert plain.model_copy(update={"engine_settings": {}}).as_json()["engine_settings"] == {}


def test_keys_of_another_release_are_kept(tmp_path: Path) -> None:
    out = write_bundle(tmp_path / "out", {"a.txt": b"one"}, manifest())

    def change(told: dict[str, Any]) -> None:
        told["later"] = [None]
        told["target"]["later"] = {"x": 1}
        del told["versions"], told["licenses"], told["model"]["tag"]

    rewrite(out, change)
    told = read_manifest(out)
    assert (told.as_json()["later"], told.as_json()["target"]["later"]) == ([None], {"x": 1})
    assert (told.model.tag, told.licenses.weights) == (None, None)
    assert "versions" not in told.as_json()


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("model", "tag"), 5, "model.tag"),
        (("target", "features"), "avx2", "target.features"),
        (("versions",), {"edgekit": []}, "versions.edgekit"),
        (("preprocessing", "std"), [1], "preprocessing.std"),
        (("engine",), {"name": "sm89"}, "engine.compute_capabilities"),
        (("precision",), "int4", "precision"),  # what the runtime goes by is refused in its own words
    ],
)
def test_what_is_not_of_its_type_is_refused(tmp_path: Path, place: tuple[str, ...], value: object, words: str) -> None:
    out = write_bundle(tmp_path / "out", {"a.txt": b"one"}, manifest())

    def change(told: dict[str, Any]) -> None:
        for key in place[:-1]:
            told = told[key]
        told[place[-1]] = value

    rewrite(out, change)
    with pytest.raises(InputError, match=words):
        read_manifest(out)


def prepared(**told: Any) -> Manifest:
    """A manifest whose preprocessing says this as well."""
    return Manifest.of({**WHOLE, "preprocessing": {**WHOLE["preprocessing"], **told}})


@pytest.mark.parametrize(
    "told",
    [
        {"size": [48, 192]},
        {"interpolation": "area"},
        {"resize": "letterbox"},
        {"antialias": False},
        {"exif": True},
    ],
)
def test_pixels_that_older_runtimes_would_not_make_are_of_schema_2(told: dict[str, Any]) -> None:
    assert prepared().as_json()["schema"] == 1
    made = prepared(**told).as_json()
    assert made["schema"] == 2
    assert {key: made["preprocessing"][key] for key in told} == told
    assert set(made["preprocessing"]) - set(WHOLE["preprocessing"]) == set(told) - set(WHOLE["preprocessing"])


@pytest.mark.parametrize(
    ("output", "schema"),
    [
        ({}, 1),
        ({"activation": "softmax", "task": "classify"}, 1),
        ({"activation": "sigmoid"}, 2),
        ({"activation": "none", "task": "embed", "threshold": 0.4}, 2),
        ({"activation": "sigmoid", "task": "multilabel"}, 2),
        ({"activation": "softmax", "task": "embed"}, 2),
    ],
)
def test_outputs_that_are_no_classes_are_of_schema_2(output: dict[str, Any], schema: int) -> None:
    assert Manifest.of({**WHOLE, "output": output}).as_json()["schema"] == schema


@pytest.mark.parametrize("key", ["mean", "std"])
def test_means_are_as_many_as_channels(key: str) -> None:
    assert prepared(**{key: [0.1, 0.2, 0.3]}).preprocessing
    assert prepared(color="grey", **{key: [0.5]}).preprocessing
    assert prepared(color="grey", **{key: [0.1, 0.2, 0.3]}).preprocessing
    for color, count in (("bgr", 1), ("bgr", 2), ("bgr", 4), ("grey", 2), ("grey", 4)):
        with pytest.raises(ValueError, match=f"preprocessing.{key} has {count} values"):
            prepared(color=color, **{key: [0.5] * count})


@pytest.mark.parametrize("told", ["a word", [299], None])
def test_preprocessing_that_is_no_mapping_is_refused(told: object) -> None:
    with pytest.raises(ValueError, match="preprocessing"):
        Manifest.of({**WHOLE, "preprocessing": told})


def test_kind_and_schema_are_no_keys_of_it() -> None:
    """They are written first, and as what the manifest then is."""
    made = Manifest.of({**WHOLE, "kind": "another", "schema": 7})
    assert not {"kind", "schema"} & set(made.model_dump())
    assert (made.as_json()["kind"], made.as_json()["schema"]) == ("edgekit-bundle", 1)
