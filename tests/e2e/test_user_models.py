"""Models of the user's: ONNX of every kind that is taken, torch factories, and what comes with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.runtime import Bundle

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
QUICK = "latency: {runs: 10, max_seconds: 0.1}\n"


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK)
    return path


KINDS: dict[str, dict[str, Any]] = {
    "static": {},
    "opset 13": {"opset": 13},
    "dynamic batch": {"batch": "N"},
    "open size": {"batch": "N", "size": "S"},
    "NHWC": {"layout": "NHWC"},
    "NHWC, dynamic batch": {"layout": "NHWC", "batch": "N"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_onnx_of_every_kind(
    kind: str,
    edgekit: Edgekit,
    tiny_onnx: Callable[..., Path],
    photos: Callable[..., Path],
    quick: Path,
    tmp_path: Path,
) -> None:
    """The same weights in every form: the same answers, those of the network run by hand on normalised pixels."""
    import onnxruntime

    folder, path = photos(classes=3, count=6), tiny_onnx(**KINDS[kind])
    flags = ("--mean", "0.4,0.5,0.6", "--std", "0.25", "--crop-fraction", 1, "--color", "bgr", "--size", 32)
    out = tmp_path / "out"
    answer = edgekit(
        "build", "--model", path, "--data", folder, "--recipe", quick, *flags, "--precision", "fp32", "--out", out
    )
    assert answer.returncode in (0, 3), answer.stderr
    with Bundle.open(out) as bundle:
        pictures = np.random.Generator(np.random.PCG64(5)).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
        made = bundle.logits(pictures)
    floats = (pictures[..., ::-1] / 255.0 - np.array([0.4, 0.5, 0.6])) / 0.25
    reference = onnxruntime.InferenceSession(str(tiny_onnx()), providers=["CPUExecutionProvider"])
    wanted = [reference.run(None, {"x": f[None].transpose(0, 3, 1, 2).astype(np.float32)})[0][0] for f in floats]
    np.testing.assert_allclose(made, np.stack(wanted), rtol=1e-3, atol=1e-4)


def test_int8_of_the_users_with_images_set_aside(
    edgekit: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path], quick: Path, tmp_path: Path
) -> None:
    folder = photos(classes=3, count=10)
    answer = edgekit(
        "build", "--model", tiny_onnx(), "--data", folder, "--recipe", quick, "--max-drop", 100, "--json",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert (report["data"]["images"], report["calibration"]["images"]) == (20, 10)
    assert any("set aside" in text for text in report["warnings"])
    pinned = json.loads((tmp_path / "out" / "calibration.json").read_text())
    assert len(pinned["items"]) == 10


def test_unlabelled_images_give_fidelity_instead(
    edgekit: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path], quick: Path, tmp_path: Path
) -> None:
    folder = photos(classes=1, count=9) / "a"
    answer = edgekit(
        "build", "--model", tiny_onnx(), "--data", folder, "--recipe", quick, "--json", "--out", tmp_path / "out"
    )
    assert answer.returncode == 0, answer.stderr
    report = json.loads(answer.stdout)
    assert report["verdict"]["accuracy"]["drop"] is None
    assert report["verdict"]["accuracy"]["why"]
    chosen = next(each for each in report["variants"] if each["name"] == report["chosen"])
    assert chosen["accuracy"]["agreement"] is not None


FACTORY = """
import torch
from torch import nn

def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
"""


def test_a_torch_factory_with_weights(
    edgekit: Edgekit, photos: Callable[..., Path], quick: Path, tmp_path: Path
) -> None:
    import torch
    from torch import nn

    (tmp_path / "mynets.py").write_text(FACTORY)
    torch.manual_seed(4)
    trained = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    torch.save(trained.state_dict(), tmp_path / "trained.pth")
    flags = ("--size", 32, "--crop-fraction", 1, "--mean", 0, "--std", 1, "--precision", "fp32", "--recipe", quick)
    answer = edgekit(
        "build", "--model", "mynets:network", "--weights", tmp_path / "trained.pth", *flags, "--out", tmp_path / "out",
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    pictures = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    with Bundle.open(tmp_path / "out") as bundle, torch.no_grad():
        wanted = trained(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255).numpy()
        np.testing.assert_allclose(bundle.logits(pictures), wanted, rtol=1e-3, atol=1e-4)


def test_two_different_models_never_share_an_entry(
    edgekit: Edgekit, tiny_onnx: Callable[..., Path], quick: Path, tmp_path: Path
) -> None:
    """The same file name with other weights inside is another model."""
    model, made = tmp_path / "net.onnx", []
    for seed in (0, 1):
        model.write_bytes(tiny_onnx(seed=seed).read_bytes())
        out = tmp_path / f"out{seed}"
        answer = edgekit("build", "--model", model, "--recipe", quick, "--json", "--out", out)
        assert answer.returncode == 0, answer.stderr
        report = json.loads(answer.stdout)
        assert not any(stage["cached"] for stage in report["stages"] if stage["name"] != "calibrate")
        made.append((out / "model.onnx").read_bytes())
    assert made[0] != made[1]


def test_a_killed_build_goes_on_from_its_last_finished_stage(
    edgekit: Edgekit, tiny_onnx: Callable[..., Path], quick: Path, tmp_path: Path, own_store: Path
) -> None:
    arguments = ["build", "--model", str(tiny_onnx()), "--recipe", str(quick), "--out", str(tmp_path / "out")]
    process = subprocess.Popen([sys.executable, "-m", "edgekit", *arguments], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("quantize: started"):
            time.sleep(0.2)
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    assert not (tmp_path / "out").exists()
    answer = edgekit(*arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    cached = {stage["name"]: stage["cached"] for stage in json.loads(answer.stdout)["stages"]}
    assert cached["export"]
    assert not cached["measure"]
    assert json.loads(edgekit("cache", "verify", "--json").stdout)["ok"]


def test_stages_alone_on_files(
    edgekit: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path], tmp_path: Path
) -> None:
    """calibrate, quantize, compile, inspect, evaluate and bench, each on what the one before it left."""
    folder, model, manifest = photos(classes=4, count=6), tiny_onnx(), tmp_path / "set.json"

    def run(*arguments: object) -> dict[str, Any]:
        answer = edgekit(*arguments, "--json")
        assert answer.returncode == 0, answer.stderr
        told: dict[str, Any] = json.loads(answer.stdout)
        return told

    flags = ("--mean", 0.5, "--std", 0.25)
    chosen = run(
        *("calibrate", "--data", photos("more", classes=4, count=6, seed=8), "--images", 8, "--strategy", "coverage"),
        *("--model", model, *flags, "--out", manifest),
    )
    assert chosen["calibration"]["images"] == 8
    made = run("quantize", model, "--calibration", manifest, *flags, "--out", tmp_path / "int8.onnx")
    assert made["calibration"]["digest"] == chosen["calibration"]["digest"]
    assert run("inspect", tmp_path / "int8.onnx")["quantized"] is True
    assert run("compile", tmp_path / "int8.onnx", "--out", tmp_path / "compiled")["precision"] == "int8"
    assert (tmp_path / "compiled" / "model.bin").is_file()
    one = run("evaluate", tmp_path / "int8.onnx", "--data", folder)["accuracy"]
    assert one["images"] == 24
    timed = run("bench", model, tmp_path / "int8.onnx", "--runs", 30, "--max-seconds", 0.3)
    assert [row["name"].partition(":")[2] for row in timed["subjects"]] == [model.stem, "int8"]
    assert timed["latency"]["p50"] > 0


@pytest.mark.parametrize("given", ["folder", "manifest"])
def test_calibration_images_may_be_renamed(
    edgekit: Edgekit,
    tiny_onnx: Callable[..., Path],
    photos: Callable[..., Path],
    quick: Path,
    tmp_path: Path,
    given: str,
) -> None:
    """The choice is kept, and called what the files are called now; a note beside the bundle's files is kept too."""
    folder, out, model = photos("cal", count=4), tmp_path / "out", tiny_onnx()
    calibration: Path = folder
    if given == "manifest":
        calibration = tmp_path / "set.json"
        assert edgekit("calibrate", "--data", folder, "--images", 8, "--out", calibration).returncode == 0
    for name in ("0.png", "00.png"):  # which keeps the order, and so the choice
        answer = edgekit(
            "build", "--model", model, "--recipe", quick, "--calibration", calibration, "--json", "--out", out
        )
        assert answer.returncode == 0, answer.stderr
        chosen = json.loads((out / "calibration.json").read_text())
        assert f"a/{name}" in [item["identifier"] for item in chosen["items"]]
        (out / "notes.txt").write_text("mine", encoding="utf-8")
        if name == "0.png":
            (folder / "a" / "0.png").rename(folder / "a" / "00.png")
    assert all(stage["cached"] for stage in json.loads(answer.stdout)["stages"] if stage["name"] == "quantize")
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
