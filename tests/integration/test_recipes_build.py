"""Every recipe of recipes/ is built from, with small files laid at the paths that it names."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doc_sandbox import network, pictures

from edgekit.backends import backend

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SHORT = ("--images", 48, "--calibration-images", 24, "--prune", "none")
"""What a build gets beside its recipe, where its network is a real one."""
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def skip_without_rtx() -> None:
    if backend("tensorrt-rtx").available() is None:
        pytest.skip("TensorRT for RTX is not here")


def built(edgekit: Run, folder: Path, name: str, *more: object) -> dict[str, Any]:
    """The report of a build from a recipe that lies in the folder where the command runs."""
    shutil.copy(RECIPES / name, folder / name)
    done = edgekit("build", "--recipe", name, *more, "--out", "out", "--json", cwd=folder)
    assert done.returncode in (0, 3), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert (folder / "out" / "model.onnx").is_file()
    return told


@pytest.mark.slow
@pytest.mark.usefixtures("shared_store")
def test_for_the_processor(tmp_path: Path, edgekit: Run) -> None:
    told = built(edgekit, tmp_path, "cpu.yaml", *SHORT)
    assert (told["target"]["name"], told["data"]["name"]) == ("cpu", "signs")
    assert {"fp32", "int8"} <= {each["name"] for each in told["variants"]}


@pytest.mark.slow
@pytest.mark.usefixtures("shared_store")
@pytest.mark.parametrize(
    ("name", "target", "chosen"),
    [
        ("raspberry-pi.yaml", "raspberry-pi-5", "int8"),
        ("jetson.yaml", "jetson-orin-nx", "int8"),
        ("jetson-nano.yaml", "jetson-nano", "fp16"),
        ("rtx.yaml", "rtx", "int8"),
    ],
)
def test_for_others_without_one(name: str, target: str, chosen: str, tmp_path: Path, edgekit: Run) -> None:
    if target == "rtx":
        skip_without_rtx()
    told = built(edgekit, tmp_path, name, *SHORT)
    assert (told["target"]["name"], told["chosen"]) == (target, chosen)
    assert all(each["latency"]["p50"] is None for each in told["variants"])
    assert (tmp_path / "out" / "model.engine").is_file() is (target == "rtx")


@pytest.mark.parametrize("name", ["own-onnx.yaml", "ci-gate.yaml"])
def test_an_onnx_file_and_photos(name: str, tmp_path: Path, edgekit: Run) -> None:
    """The whole recipe, pruning by recovery included: only its network is small, and its pictures are few."""
    network(tmp_path / "model.onnx", (224, 224))
    for seed, folder in enumerate(("photos", "photos-to-train"), 1):
        pictures(tmp_path / folder, seed, network(tmp_path / "labeller.onnx"))
    short = ("--recovery-images", 64, "--no-sensitivity", "--allow-chance")
    told = built(edgekit, tmp_path, name, *short)
    assert told["model"]["input"] == [1, 3, 224, 224]
    assert told["data"]["name"] == "photos"
    assert told["verdict"]["ok"]


@pytest.mark.slow
def test_public_weights(tmp_path: Path, edgekit: Run) -> None:
    """Without weights and images, which are large and elsewhere: a narrow network of random weights, and few photos.

    What fetches them from a hub is in test_hub.py.
    """
    pictures(tmp_path / "val", 1, network(tmp_path / "labeller.onnx"), most=1)
    small = ("--model", "inception_v4", "--weights", "random", "--width", 0.05, "--num-classes", 24, "--size", 75)
    told = built(edgekit, tmp_path, "imagenet.yaml", *small, "--images", 24)
    assert told["data"]["images"] > 0
    assert told["model"]["input"] == [1, 3, 75, 75]


@pytest.mark.slow
def test_the_face_network(tmp_path: Path, edgekit: Run) -> None:
    """With weights of the file's form: a state dict of the network, an eighth as wide, with 128 numbers."""
    import torch

    from edgekit.models import create

    network_of_faces = create("inception_resnet_v1_face", 128, 0.125)
    torch.save(network_of_faces.state_dict(), tmp_path / "faces.pth")
    pictures(tmp_path / "faces", 1, network(tmp_path / "labeller.onnx"))
    told = built(edgekit, tmp_path, "face.yaml", "--weights", "faces.pth", "--width", 0.125, "--size", 96)
    assert told["task"] == "embed"
    assert {each["accuracy"]["metric"] for each in told["variants"] if each["accuracy"].get("metric")} != {"top1"}
