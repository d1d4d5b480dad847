"""Bundles across releases: what 0.1.0 wrote is opened, and what it would misread it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundles import make_bundle

from edgekit.bundle.directory import check_bundle, read_manifest
from edgekit.bundle.manifest import Manifest
from edgekit.data.preprocessing import Preprocessing
from edgekit.runtime import Bundle

OLD = Path(__file__).parents[2] / "fixtures" / "bundle-0.1.0"
"""Built by edgekit 0.1.0 of a network of two convolutions for 32x32 pictures in BGR."""


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_bundle_of_0_1_0_is_opened_by_both_runtimes(runtime: str) -> None:
    with Bundle.open(OLD, runtime=runtime) as bundle, np.load(OLD / "golden.npz") as golden:
        assert (bundle.size, bundle.labels) == ((32, 32), ["a", "b", "c", "d"])
        assert bundle.check_golden() > 0.999
        np.testing.assert_allclose(bundle.logits(golden["inputs"]), golden["logits"], atol=1e-3)
        (first, share), *_ = bundle.session().classify(golden["inputs"][0])
        assert first in bundle.labels
        assert 0.25 <= share <= 1


def test_its_manifest_is_read_and_written_as_it_was() -> None:
    assert check_bundle(OLD) == []
    told = json.loads((OLD / "manifest.json").read_text())
    manifest = read_manifest(OLD)
    wanted = Preprocessing((32, 32), 0.875, "bicubic", (0.4, 0.5, 0.6), (0.25, 0.25, 0.25), "bgr")
    assert manifest.preprocessing == wanted
    assert manifest.as_json() == told


SCHEMA_2: list[dict[str, Any]] = [
    {"resize": "letterbox"},
    {"resize": "pad"},
    {"resize": "squash"},
    {"antialias": False},
    {"interpolation": "area"},
    {"exif": True},
]
USUAL = {"size": 32, "crop_fraction": 1.0, "interpolation": "bicubic"}


def asked_of_0_1_0(bundle: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(OLD / "edgekit_runtime.pyz"), "verify", str(bundle), "--runtime", "onnxruntime"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_what_0_1_0_understands_is_still_written_for_it(tmp_path: Path) -> None:
    done = asked_of_0_1_0(make_bundle(tmp_path / "bundle"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("more", SCHEMA_2, ids=str)
def test_what_0_1_0_would_misread_it_refuses(tmp_path: Path, more: dict[str, Any]) -> None:
    bundle = make_bundle(tmp_path / "bundle", preprocessing=USUAL | more)
    told = json.loads((bundle / "manifest.json").read_text())
    assert told["schema"] == 2
    assert told["preprocessing"].items() >= more.items()
    assert read_manifest(bundle).preprocessing == Preprocessing(**(USUAL | more))
    with Bundle.open(bundle) as opened:
        assert opened.session().classify(np.zeros((40, 50, 3), np.uint8))
    done = asked_of_0_1_0(bundle)
    assert done.returncode == 2
    assert "schema 2" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("output", "schema"),
    [
        ({"activation": "softmax", "task": "classify"}, 1),
        ({"activation": "sigmoid", "task": "multilabel"}, 2),
        ({"activation": "none"}, 2),
        ({"task": "embed"}, 2),
    ],
)
def test_outputs_that_are_no_classes_by_softmax_are_schema_2(output: dict[str, str], schema: int) -> None:
    from bundles import manifest

    assert manifest(output=output).as_json()["schema"] == schema
    assert Manifest.of(manifest(output=output).as_json()).as_json()["output"] == output
