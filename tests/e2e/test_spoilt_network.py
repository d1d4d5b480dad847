"""A network whose channels were made outliers on purpose, through the command line: found, explained, brought back."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from command import json_of
from spoilt import with_outliers

from edgekit.models.export import export_network
from edgekit.models.source import make_network, resolve
from edgekit.recipe import Recipe

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
MINUTES, IMAGES, PAIRS = 12.0, 480, 20


@pytest.mark.slow
@pytest.mark.timeout(2700)
def test_an_inception_v4_with_outlier_channels_comes_back(edgekit: Edgekit, tmp_path: Path) -> None:
    graph, guilty = _spoilt_inception_v4(tmp_path)
    how = ("--size", "299", "--mean", "0.5", "--std", "0.5", "--calibration", "signs")
    told = json_of(tmp_path / "store", "quantize", str(graph), *how, "--out", str(tmp_path / "q.onnx"), "--explain")
    named = {name for each in told["explain"]["worst"] for name in _outliers(each)}
    assert len(named & set(guilty)) >= 3

    recipe, out = tmp_path / "quick.yaml", tmp_path / "out"
    recipe.write_text("prune: none\nlatency: {runs: 10, max_seconds: 0.1}\n")
    mixed = ("--precision", "mixed", "--max-drop", 1, "--time-budget", MINUTES)
    said = ("build", "--model", graph, "--data", "signs", "--images", IMAGES, "--recipe", recipe, *how, *mixed)
    answer = edgekit(*said, "--out", out, timeout=2400)
    assert answer.returncode == 0, answer.stderr
    report = json.loads((out / "report.json").read_text())
    top1 = {each["name"]: each["accuracy"]["top1"] for each in report["variants"]}
    assert top1["fp32"] - top1["int8"] >= 5
    assert top1["fp32"] - top1["mixed"] <= 1
    tuning = report["tuning"]
    assert tuning["ended"] == "within the budget"
    assert "equalised channels" in tuning["way"]
    assert "trained" not in tuning["way"]
    assert tuning["seconds"] <= 60 * MINUTES + max(trial["seconds"] for trial in tuning["trials"])


def _spoilt_inception_v4(folder: Path) -> tuple[Path, list[str]]:
    """The file, and the convolutions that make outliers or read them."""
    export_network(make_network(resolve(Recipe())), (299, 299), folder / "core.onnx")
    core, pairs = with_outliers(onnx.load(str(folder / "core.onnx")), PAIRS)
    assert len(pairs) == PAIRS
    onnx.save(core, str(folder / "hard.onnx"))
    return folder / "hard.onnx", [name for pair in pairs for name in pair]


def _outliers(worst: dict[str, object]) -> list[str]:
    causes = worst["causes"]
    assert isinstance(causes, list)
    return [str(worst["name"])] if any(cause["code"] == "outlier-channels" for cause in causes) else []
