"""`edgekit train` through the command line: stopped, gone on with, and evaluated."""

from __future__ import annotations

import json
import os
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


FACTORY = """
from torch import nn

def part(into, out, stride):
    yield nn.Conv2d(into, into, 3, stride, 1, groups=into, bias=False)
    yield nn.BatchNorm2d(into)
    yield nn.ReLU()
    yield nn.Conv2d(into, out, 1)

def small():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU(), *part(8, 16, 2), *part(16, 16, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 24),
    )
"""


def test_a_network_of_the_users_own(edgekit: Edgekit, tmp_path: Path) -> None:
    """Trained, stopped, gone on with; its weights are those that a build of the same factory takes."""
    (tmp_path / "mynets.py").write_text(FACTORY)
    recipe, out = tmp_path / "small.yaml", tmp_path / "run"
    recipe.write_text(RECIPE.replace("inception_v4", "mynets:small").replace("features.5", "features.5, '4'"))
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    first = edgekit("train", "--recipe", recipe, "--out", out, "--stop-after", 2, "--json", env=env)
    assert first.returncode == 0, first.stderr
    assert "'width' of the training recipe is not used" in first.stderr
    assert "no classifiers in training on features.5: mynets:small has no such modules" in first.stderr
    second = edgekit("train", "--recipe", recipe, "--out", out, "--json", env=env)
    assert second.returncode == 0, second.stderr
    told = json.loads(second.stdout)
    assert (told["step"], told["steps"]) == (5, 5)
    answer = edgekit(
        "evaluate", "--model", "mynets:small", "--weights", told["weights"], "--size", 91, "--data", "signs",
        "--images", 48, "--json", env=env,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["accuracy"]["images"] == 48
    other = edgekit("train", "--recipe", recipe, "--num-classes", 10, "--out", tmp_path / "other", env=env)
    assert other.returncode == 2
    assert "mynets:small gives 24 answers to an image, and there are 10 classes" in other.stderr
