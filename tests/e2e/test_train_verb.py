"""`edgekit train` through the command line: stopped, gone on with, and evaluated."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

Edgekit = Callable[..., subprocess.CompletedProcess[str]]

RECIPE = """
model: inception_v4
width: 0.05
optimizer: muon
schedule: one-cycle
learning_rate: 0.02
auxiliary: [features.5]
ema: 0.9
stages:
  - {size: 75, images: 24, batch: 8}
  - {size: 91, images: 16, batch: 8}
"""


def test_train_stop_go_on_and_evaluate(edgekit: Edgekit, tmp_path: Path) -> None:
    recipe, out = tmp_path / "small.yaml", tmp_path / "run"
    recipe.write_text(RECIPE)
    first = edgekit("train", "--recipe", recipe, "--out", out, "--stop-after", 2, "--json")
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["weights"] is None
    second = edgekit("train", "--recipe", recipe, "--out", out, "--json")
    assert second.returncode == 0, second.stderr
    told = json.loads(second.stdout)
    assert (told["step"], told["steps"]) == (5, 5)
    assert {path.name for path in out.iterdir()} == {
        *("checkpoint.pt", "curve.svg", "log.jsonl", "recipe.json", "weights.safetensors")
    }
    assert json.loads((out / "log.jsonl").read_text().splitlines()[-1])["images"] == 40
    answer = edgekit(
        "evaluate", "--model", "inception_v4", "--weights", told["weights"], "--width", 0.05, "--num-classes", 24,
        "--size", 91, "--data", "signs", "--images", 48, "--json",
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["accuracy"]["images"] == 48


def test_another_recipe_and_an_unknown_one_are_refused(edgekit: Edgekit, tmp_path: Path) -> None:
    recipe, out = tmp_path / "small.yaml", tmp_path / "run"
    recipe.write_text(RECIPE)
    assert edgekit("train", "--recipe", recipe, "--out", out, "--stop-after", 1).returncode == 0
    other = edgekit("train", "--recipe", recipe, "--out", out, "--seed", 9)
    assert other.returncode == 2
    assert "another recipe" in other.stderr
    unknown = edgekit("train", "--recipe", "nothing", "--out", out)
    assert unknown.returncode == 2
    assert "signs-modern" in unknown.stderr
