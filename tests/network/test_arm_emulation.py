"""Bundles on an emulated 64-bit ARM processor, with Debian's packages and the wheels that are locked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from build_answer import Build
from bundles import make_bundle, rewrite
from package_index import CACHE

from edgekit.targets import TARGETS

pytestmark = [pytest.mark.network, pytest.mark.slow]

SCRIPT: Final = Path(__file__).resolve().parents[2] / "docker" / "arm64-root.sh"
Verified = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture(scope="session")
def root() -> Path:
    """An arm64 root, made once; what is there of an earlier run is kept, by the script itself."""
    made = CACHE / "arm64-root"
    command = ["sh", str(SCRIPT), "--root", str(made)]
    ran = subprocess.run(
        command, capture_output=True, text=True, timeout=500, check=False, env=os.environ | {"PYTHON": sys.executable}
    )
    if ran.returncode == 4:
        pytest.skip(f"no arm64 root can be made here: {ran.stderr.strip()[-300:]}")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"{made} is ready: Python 3.")
    return made


@pytest.fixture
def verified(root: Path) -> Verified:
    """Runs `edgekit verify BUNDLE --emulate`: its exit code, its JSON and standard error."""

    def run(bundle: Path, processor: str, *more: object) -> tuple[int, dict[str, Any], str]:
        asked = ["verify", str(bundle), "--emulate", processor, "--root", str(root), "--json", *map(str, more)]
        command = [sys.executable, "-m", "edgekit", *asked]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=590, check=False)
        return ran.returncode, json.loads(ran.stdout) if ran.stdout else {}, ran.stderr

    return run


@pytest.mark.parametrize("processor", ["raspberry-pi-4", "arm64", "arm64-i8mm"])
def test_each_processor_has_its_features(verified: Verified, tmp_path: Path, processor: str) -> None:
    code, told, said = verified(make_bundle(tmp_path / "tiny", runtime="onnxruntime"), processor)
    assert code == 0, said
    emulation = told["emulation"]
    features = set(emulation["machine"]["features"])
    wanted = {"raspberry-pi-4": set(), "arm64": {"asimddp"}, "arm64-i8mm": {"asimddp", "i8mm"}}[processor]
    assert features & {"asimddp", "i8mm"} == wanted
    assert emulation["machine"]["architecture"] == "aarch64"
    assert emulation["runtime"]["name"] == "onnxruntime"
    assert (emulation["archive_is_own"], emulation["latency"]) == (True, "not_measured: emulated")


def test_other_answers_are_bad(verified: Verified, tmp_path: Path) -> None:
    """Golden outputs of another network: nothing is damaged, and the processor computes otherwise."""
    import numpy as np
    from bundles import SIZE, fit, packed

    bundle = make_bundle(tmp_path / "tiny", runtime="onnxruntime")
    with np.load(bundle / "golden.npz") as golden:
        inputs, logits = golden["inputs"], golden["logits"]
    assert inputs.shape[1:] == (SIZE, SIZE, 3)
    fit(bundle, {"golden.npz": packed(inputs=inputs, logits=-10 * logits)})
    code, told, _ = verified(bundle, "arm64")
    assert code == 2
    assert [each["ok"] for each in told["checks"] if each["name"] == "golden outputs"] == [False]


def test_a_bundle_for_another_runtime_says_what_ran_it(verified: Verified, tmp_path: Path) -> None:
    code, told, _ = verified(make_bundle(tmp_path / "tiny"), "arm64")
    assert (code, told["emulation"]["built_for"], told["emulation"]["runtime"]["name"]) == (
        0,
        "openvino",
        "onnxruntime",
    )
    bare = make_bundle(tmp_path / "bare")
    rewrite(bare, lambda manifest: manifest["files"].pop("model.onnx"))
    (bare / "model.onnx").unlink()
    code, _, said = verified(bare, "arm64")
    assert code == 4
    assert "has no openvino. Get it with: sh docker/arm64-root.sh" in said


def test_a_shipped_network_in_int8_answers_as_exact_arithmetic_does(
    build: Build, verified: Verified, tmp_path: Path
) -> None:
    """A bundle that was built without its device, whose INT8 graph ONNX Runtime's arm64 kernels compute."""
    target = "raspberry-pi-5" if "raspberry-pi-5" in TARGETS else "jetson"
    build("--model", "inception_v4", "--target", target, "--prune", "none", "--images", 64, "--no-sensitivity").check()
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["precision"] == "int8"
    code, told, said = verified(tmp_path / "out", "raspberry-pi-5", "--images", 6)
    assert code == 0, said
    pictures = told["emulation"]["pictures"]
    assert (pictures["images"], pictures["same"], pictures["data"]) == (6, 100, "signs")
    assert pictures["cosine"] > 0.999
