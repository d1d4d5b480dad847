"""Bundles for ARM boards, on a real sshd with this machine as the board: sent, both forms timed, one kept."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ssh_server import Server

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def network(tiny_onnx: Callable[..., Path], photos: Callable[..., Path]) -> tuple[object, ...]:
    """A small network and pictures for it, as flags of `build`."""
    return (
        "--model",
        tiny_onnx(),
        "--size",
        32,
        "--data",
        photos(classes=4, count=8),
        "--prune",
        "none",
        "--max-drop",
        100,
    )


def test_a_board_keeps_the_form_that_is_faster_there(
    pi: Server, network: tuple[object, ...], tmp_path: Path, edgekit: Run
) -> None:
    out = tmp_path / "bundle"
    built = edgekit("build", "--target", "raspberry-pi-5", *network, "--out", out)
    assert built.returncode == 0, built.stderr
    assert (out / "model.fp16.onnx").exists()
    sent = edgekit("device", "deploy", "pi", out, "--json")
    assert sent.returncode == 0, sent.stderr
    told = json.loads(sent.stdout)
    assert told["golden_cosine"] > 0.99
    assert told["form"]["form"] in ("int8", "fp16")
    assert "INT8 is" in told["form"]["why"]
    again = json.loads(edgekit("device", "deploy", "pi", out, "--json").stdout)
    assert again["form"]["form"] in ("int8", "fp16")


def test_a_build_on_a_device_times_fp16_beside_int8(
    pi: Server, network: tuple[object, ...], tmp_path: Path, edgekit: Run
) -> None:
    out = tmp_path / "there"
    recipe = tmp_path / "quick.yaml"
    recipe.write_text("latency: {runs: 30, max_seconds: 0.1}\n")
    built = edgekit(
        "build", "--recipe", recipe, "--target", "arm64", *network, "--device", "pi", "--out", out, "--json"
    )
    assert built.returncode == 0, built.stderr
    told = json.loads(built.stdout)
    assert {each["name"] for each in told["variants"]} == {"fp32", "fp16", "int8"}
    assert all(each["latency"]["p50"] > 0 for each in told["variants"])
    assert not (out / "model.fp16.onnx").exists()  # the device has said which is faster
    unlike = f"the device is {platform.machine()}, no arm64"
    assert any(unlike in each for each in told["warnings"]) is (platform.machine() not in ("aarch64", "arm64"))
