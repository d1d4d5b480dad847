"""Builds for processors with and without VNNI, and what is said where a bundle runs on the other kind.

ONEDNN_MAX_CPU_ISA=AVX2 makes a processor of x86-64 one of the older kind; a lock makes what is for either kind
anywhere.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import make_bundle

from edgekit.build.lock import read_lock, to_yaml
from edgekit.runtime.processor import int8_sums_here

pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="only x86-64 adds INT8 products up in 16 bits"
)

Edgekit = Callable[..., "subprocess.CompletedProcess[str]"]
QUICK = "latency: {runs: 10, max_seconds: 0.1}\n"
PIXELS = ("--mean", "0.5", "--std", "0.25", "--crop-fraction", 1, "--size", 32)
WARNED = {"exact": "edgekit: warning: INT8 sums may saturate here", "16-bit": "edgekit: warning: answers are right; "}


@pytest.fixture
def older() -> dict[str, str]:
    """The environment of a processor without VNNI."""
    return os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}


@pytest.fixture
def own() -> dict[str, str]:
    """That of this processor as it is."""
    return {key: value for key, value in os.environ.items() if "MAX_CPU_ISA" not in key}


def for_processors(out: Path, sums: str) -> Path:
    """A small bundle whose manifest says what its INT8 sums are for."""
    return make_bundle(out, precision="int8", arithmetic={"int8_sums": sums})


@pytest.mark.parametrize("sums", ["exact", "16-bit"])
def test_verify_and_run_tell_of_another_kind_of_processor(
    sums: str, photos: Callable[..., Path], edgekit: Edgekit, older: dict[str, str], own: dict[str, str], tmp_path: Path
) -> None:
    bundle, picture = for_processors(tmp_path / "bundle", sums), photos() / "a" / "0.png"
    for environment, here in ((older, "16-bit"), (own, int8_sums_here())):
        if environment is own and here == "16-bit":
            continue  # seen already: this processor is of the older kind
        verified = edgekit("verify", bundle, "--json", env=environment)
        assert verified.returncode == 0, verified.stderr
        checks = [each for each in json.loads(verified.stdout)["checks"] if each["name"] == "int8 sums"]
        ran = edgekit("run", bundle, picture, "--json", env=environment)
        alone = subprocess.run(
            [sys.executable, bundle / "edgekit_runtime.pyz", "classify", bundle, picture],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        with_other = edgekit("run", bundle, picture, "--runtime", "onnxruntime", env=environment)
        assert "warning" not in with_other.stderr
        if here == sums:
            assert (checks, verified.stderr, json.loads(ran.stdout)["warnings"], alone.stderr) == ([], "", [], "")
            continue
        assert [(each["ok"], each["warning"]) for each in checks] == [(None, True)]
        assert checks[0]["detail"] == json.loads(ran.stdout)["warnings"][0]
        for said in (verified.stderr, ran.stderr, alone.stderr):
            assert said.startswith(WARNED[sums]), said


def test_a_build_is_for_the_processor_that_it_is_made_on(
    edgekit: Edgekit,
    tiny_onnx: Callable[..., Path],
    photos: Callable[..., Path],
    older: dict[str, str],
    tmp_path: Path,
) -> None:
    """On one without VNNI every sum fits; what a lock holds is kept anywhere, and told of."""
    (tmp_path / "quick.yaml").write_text(QUICK)
    asked = ("--recipe", tmp_path / "quick.yaml", "--data", photos(classes=4, count=8))
    first = edgekit("build", "--model", tiny_onnx(), *asked, *PIXELS, "--out", tmp_path / "first", env=older)
    assert first.returncode in (0, 3), first.stderr
    report = json.loads((tmp_path / "first" / "report.json").read_text())
    told = report["calibration"]["int8_sums"]
    assert told["how"] == "16-bit"
    assert "bf16" not in [each["name"] for each in report["variants"]], "what oneDNN may not use is not asked for"
    assert (told["layers"], told["channels"]) == (3, 28)
    assert told["widened_channels"] > 0
    assert "INT8: this processor adds products two at a time in 16 bits" in first.stdout
    assert "no sum can saturate" in (tmp_path / "first" / "report.md").read_text()
    lock = read_lock(tmp_path / "first" / "recipe.lock.yaml")
    assert lock.int8_sums == "16-bit"
    manifests = {}
    for sums in ("exact", "16-bit"):
        path, out = tmp_path / f"{sums}.lock.yaml", tmp_path / sums
        path.write_text(to_yaml(lock.model_copy(update={"chosen": "int8", "int8_sums": sums})))
        made = edgekit("build", "--locked", path, "--out", out, env=older)
        assert made.returncode in (0, 3), made.stderr
        assert ("the lock's INT8 weights are for processors that add products exactly" in made.stderr) == (
            sums == "exact"
        )
        manifests[sums] = json.loads((out / "manifest.json").read_text())["arithmetic"]
        verified = edgekit("verify", out, "--no-golden", env=older)
        assert ("INT8 sums may saturate here" in verified.stdout) == (sums == "exact")
        assert read_lock(out / "recipe.lock.yaml").int8_sums == sums
    assert manifests["16-bit"] == {"int8_sums": "16-bit", "features": []}
    assert manifests["exact"]["int8_sums"] == "exact"
    assert "avx512_vnni" in manifests["exact"]["features"]
    graphs: list[Any] = [(tmp_path / sums / "model.onnx").read_bytes() for sums in manifests]
    assert graphs[0] != graphs[1]
