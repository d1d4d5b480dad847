"""A bundle for a Raspberry Pi, built where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.usefixtures("shared_store")
def test_a_raspberry_pi_is_built_for_without_one(tmp_path: Path, edgekit: Run) -> None:
    out = tmp_path / "pi"
    asked = ("--model", "inception_resnet_v1", "--target", "raspberry-pi-5", "--prune", "none", "--max-drop", 10)
    built = edgekit("build", *asked, "--images", 40, "--calibration-images", 20, "--out", out, "--json")
    assert built.returncode == 0, built.stderr
    told = json.loads(built.stdout)
    assert (told["chosen"], told["target"]["runtime"], told["target"]["device"]) == ("int8", "onnxruntime", None)
    assert told["target"]["features"] == ["asimd", "asimdhp", "asimddp"]
    assert [each["name"] for each in told["variants"]] == ["fp32", "fp16", "int8"]
    for each in told["variants"]:
        assert each["latency"]["p50"] is None
        assert "no device" in each["latency"]["why"]
        assert each["accuracy"]["top1"] > 80
    assert {"model.onnx", "model.fp16.onnx"} <= {file.name for file in out.iterdir()}
    assert not (out / "model.xml").exists()
    command = [sys.executable, str(out / "edgekit_runtime.pyz"), "verify", str(out)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "4 of 4 pictures have the answer that they had" in checked.stdout
    assert "good  INT8: 127 of 128 layers on integer kernels (com.microsoft.QLinearConv)" in checked.stdout
