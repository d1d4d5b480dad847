"""`edgekit build --precision mixed`: the budget loop on a small real network, from the command line to the bundle."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgekit.runtime import Bundle

Edgekit = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text("latency: {runs: 10, max_seconds: 0.1}\nprune: none\n")
    return path


FLAGS = ("--mean", 0.5, "--std", 0.5, "--crop-fraction", 1, "--size", 32, "--precision", "mixed")


def test_a_build_within_a_budget_tells_what_was_tried(
    edgekit: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path], quick: Path, tmp_path: Path
) -> None:
    folder, out = photos(classes=3, count=30), tmp_path / "out"
    said = ("build", "--model", tiny_onnx(), "--data", folder, "--recipe", quick, *FLAGS, "--time-budget", 0.5)
    answer = edgekit(*said, "--max-drop", 100, "--out", out)
    assert answer.returncode in (0, 3), answer.stderr
    report = json.loads((out / "report.json").read_text())
    told = report["tuning"]
    assert told["ended"] == "within the budget"
    assert told["trials"][0]["name"] == "plain"
    assert told["images"] >= 8
    assert told["images"] + report["data"]["images"] + report["calibration"]["images"] == 90  # none is in two sets
    names = [variant["name"] for variant in report["variants"]]
    assert "mixed" in names
    assert next(each for each in report["variants"] if each["name"] == "mixed")["precision"] == "mixed"
    assert "held back" in " ".join(report["warnings"])
    page = (out / "report.html").read_text()
    assert "The budget loop" in page
    assert "The budget loop" in (out / "report.md").read_text()
    with Bundle.open(out) as bundle:
        assert bundle.logits(np.zeros((1, 32, 32, 3), np.uint8)).shape[0] == 1


def test_a_budget_that_cannot_be_kept_ends_and_leaves_the_best(
    edgekit: Edgekit, tiny_onnx: Callable[..., Path], photos: Callable[..., Path], quick: Path, tmp_path: Path
) -> None:
    folder, out = photos(classes=3, count=30), tmp_path / "out"
    said = ("build", "--model", tiny_onnx(), "--data", folder, "--recipe", quick, *FLAGS, "--time-budget", 0.05)
    answer = edgekit(*said, "--max-drop", 0, "--latency-budget", 0.0001, "--out", out)
    assert answer.returncode == 3, answer.stderr
    told = json.loads((out / "report.json").read_text())["tuning"]
    drops, one = [each["drop"] for each in told["trials"]], 100 / told["images"] + 1e-9
    assert told["drop"] <= min(drops) + 2 * one, "the best of them is what is left; two images are a tie"
    kept = told["drop"] <= one  # one image is no evidence against it
    assert (told["ended"] == "within the budget") is kept, (told["ended"], drops)
    # A trial is not begun that by what the others took would not end in time.
    over = told["seconds"] + max(each["seconds"] for each in told["trials"]) >= told["budget_seconds"]
    assert told["ended"] in ("within the budget", "the time was over", "everything was tried")
    assert over or told["ended"] != "the time was over", (told["seconds"], told["trials"])
