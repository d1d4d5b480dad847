"""Pruning through the command line: kept, taken back, refused, and alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_headline import AGAIN

from edgekit.bundle.directory import check_bundle
from edgekit.report import validate

Run = Callable[..., subprocess.CompletedProcess[str]]

QUICK = "latency: {runs: 30, max_seconds: 0.1}\nimages: 96\ncalibration: {images: 40}\n"


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK)
    return path


def pruned_by_a_ratio(quick: Path) -> tuple[object, ...]:
    """What the shipped network is pruned with where a test asks what comes of it, for small pictures."""
    how = ("--model", "inception_resnet_v1", "--recipe", quick, "--size", 96, "--prune", 0.3, "--max-drop", 100)
    return (*how, "--recovery-minutes", 0.1, "--no-sensitivity")


def variants(report: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in report["variants"]}


def test_a_ratio_is_pruned_recovered_quantized_and_judged_as_one(
    quick: Path, tmp_path: Path, edgekit: Run, shared_store: Path
) -> None:
    out, arguments = tmp_path / "out", ("build", *pruned_by_a_ratio(quick))
    told = edgekit(*arguments, "--out", out, "--json")
    assert told.returncode == 0, told.stderr
    report = json.loads(told.stdout)
    report.pop("bundle")
    validate(report)
    found, pruning = variants(report), report["pruning"]
    assert found["pruned-int8"]["params"] == pruning["params"]["after"] < found["int8"]["params"]
    assert found["pruned-int8"]["macs"] == pruning["macs"]["after"] < found["int8"]["macs"]
    assert pruning["recovery"]["method"] == "distillation with labels"
    assert pruning["recovery"]["batch_norm_images"] > 0
    assert pruning["recovery"]["tuning"]["recovered_top1"] > pruning["recovery"]["tuning"]["pruned_top1"]
    assert [stage["name"] for stage in report["stages"]].count("quantize") == 2
    assert "left" in told.stderr, "progress says how much time is left"
    assert check_bundle(out) == []
    # where pruning does not pay, what paid before it: with pictures so small that may be nothing
    assert report["chosen"] == "pruned-int8" if pruning["kept"] else report["chosen"] in ("int8", "bf16", "fp32")
    shown = edgekit("inspect", out)
    assert shown.returncode == 0
    assert ("features.8.branch1.0.conv" in shown.stdout) is pruning["kept"]
    command = [
        sys.executable,
        "-c",
        AGAIN,
        json.dumps([str(each) for each in arguments] + ["-q", "--json", "--out", str(out)]),
    ]
    cached = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert all(stage["cached"] for stage in json.loads(cached.stdout)["stages"])
    assert json.loads(cached.stderr.splitlines()[-1]) == {"code": 0, "heavy": []}
    again = edgekit(*arguments, "--max-drop", 0.0, "--out", tmp_path / "again", "--json")
    strict = json.loads(again.stdout)
    is_worse = found["pruned-int8"]["accuracy"]["top1"] < found["fp32"]["accuracy"]["top1"]
    assert strict["pruning"]["kept"] is (pruning["kept"] and not is_worse)
    assert (strict["chosen"] == "pruned-int8") is strict["pruning"]["kept"]
    assert ("more than the budget" in (strict["pruning"]["reason"] or "")) is is_worse


@pytest.mark.slow
def test_random_weights_meet_a_latency_budget_without_training(quick: Path, tmp_path: Path, edgekit: Run) -> None:
    random = ("--weights", "random", "--width", 0.25, "--num-classes", 10, "--recipe", quick, "--json")
    dense = edgekit("build", *random, "--out", tmp_path / "dense")
    report = json.loads(dense.stdout)
    assert report["pruning"]["reason"].startswith("the weights are random")
    # milliseconds of one build may be out of reach of the next, on a machine that wanders
    share = tmp_path / "share.yaml"
    share.write_text(f"{QUICK}pruning: {{latency_share: 0.7}}\n")
    told = edgekit("build", *(share if each == quick else each for each in random), "--out", tmp_path / "out")
    report = json.loads(told.stdout)
    pruning = report["pruning"]
    assert pruning["latency"]["budget_ms"] == pytest.approx(0.7 * pruning["latency"]["dense_ms"])
    assert pruning["recovery"]["method"] == "none"
    assert pruning["recovery"]["why"]
    assert pruning["importance"] == "magnitude"
    assert pruning["channels"]["after"] < pruning["channels"]["before"]
    assert told.returncode == (0 if report["verdict"]["ok"] else 3)
    unreachable = edgekit("build", *random[:-1], "--latency-budget", 0.05, "--out", tmp_path / "never")
    assert unreachable.returncode == 3
    assert "cannot be reached by pruning" in unreachable.stdout + unreachable.stderr
    assert check_bundle(tmp_path / "never") == [], "the best found is written all the same"
    alone = edgekit("prune", "--model", "inception_v4", *random[:6], "--latency-budget", 0.05, "--out", tmp_path / "no")
    assert alone.returncode == 3
    assert "the narrowest network" in alone.stderr
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("ratio", ["0", "1", "1.5", "-0.2", "some"])
def test_a_ratio_out_of_range_is_refused(ratio: str, tmp_path: Path, edgekit: Run) -> None:
    for verb in ("build", "prune"):
        told = edgekit(verb, "--model", "inception_v4", f"--prune={ratio}", "--out", tmp_path / "out")
        assert told.returncode == 2
        assert "ratio" in told.stderr
        assert not (tmp_path / "out").exists()


def test_an_onnx_network_is_pruned_alone_and_quantized(
    tiny_onnx: Any, photos: Any, quick: Path, tmp_path: Path, edgekit: Run
) -> None:
    images = photos("train", classes=4, count=12, seed=1)
    out = tmp_path / "pruned"
    told = edgekit(
        "prune", tiny_onnx(), "--prune", 0.5, "--train-data", images, "--recovery-minutes", 0.02, "--sensitivity",
        "--out", out, "--json",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    pruning = json.loads(told.stdout)
    looked = pruning["sensitivity"]
    assert looked["images"] == pruning["recovery"]["tuning"]["images"] > 0
    assert looked["dense_top1"] == pruning["recovery"]["tuning"]["dense_top1"]
    assert [share for share, _ in looked["blocks"][0]["points"]] == [0.3, 0.6]
    assert pruning["channels"]["after"] < pruning["channels"]["before"]
    assert {path.name for path in out.iterdir()} == {"weights.safetensors", "model.onnx", "pruning.json"}
    built = edgekit(
        "build", "--recipe", quick, "--model", out / "model.onnx", "--data", photos("eval", classes=4, count=8, seed=2),
        "--calibration", images, "--max-drop", 100, "--out", tmp_path / "bundle", "--json",
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert (
        json.loads(built.stdout)["pruning"]["reason"] == "there are no training images to recover with (--train-data)"
    )


def test_training_images_that_are_evaluated_on_are_refused(
    tiny_onnx: Any, photos: Any, tmp_path: Path, edgekit: Run
) -> None:
    images = photos("both", classes=4, count=12)
    told = edgekit("build", "--model", tiny_onnx(), "--data", images, "--train-data", images, "--out", tmp_path / "out")
    assert told.returncode == 2
    assert "both in --train-data and among those evaluated on" in told.stderr


def test_a_network_that_cannot_be_traced_names_the_operation(
    tmp_path: Path, edgekit: Run, photos: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "oddnets.py").write_text(
        "import torch\n"
        "class Odd(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = torch.nn.Conv2d(3, 8, 3)\n"
        "        self.head = torch.nn.Linear(8, 4)\n"
        "    def forward(self, x):\n"
        "        return self.head(torch.cumsum(self.conv(x), 1).mean((2, 3)))\n"
    )
    monkeypatch.chdir(tmp_path)
    images = photos("train", classes=4, count=12, seed=1)
    common = ("--model", "oddnets:Odd", "--size", 32, "--train-data", images)
    told = edgekit("prune", *common, "--prune", 0.5, "--out", tmp_path / "out")
    assert told.returncode == 2
    assert "the operation Cumsum" in told.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_network_that_was_refit_and_not_trained_is_made_again_from_its_lock(
    quick: Path, tmp_path: Path, edgekit: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = ("--recipe", quick, "--size", 107, "--no-sensitivity", "--max-drop", 100, "--json")
    told = edgekit("build", *small, "--prune", 0.1, "--out", tmp_path / "first")
    assert told.returncode == 0, told.stderr
    recovery = json.loads(told.stdout)["pruning"]["recovery"]
    assert (recovery["method"], recovery["steps"]) == ("new statistics", 0)
    assert recovery["refit_images"] == 256
    assert recovery["batch_norm_images"] == 320
    assert recovery["why"].startswith("nothing was trained: it loses ")
    assert recovery["tuning"]["recovered_top1"] > recovery["tuning"]["dense_top1"] - 20
    lock = tmp_path / "first" / "recipe.lock.yaml"
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "another"))
    again = edgekit("build", "--locked", lock, "--out", tmp_path / "again", "--json")
    assert again.returncode == 0, again.stderr
    graphs = [(tmp_path / name / "model.onnx").read_bytes() for name in ("first", "again")]
    assert graphs[0] == graphs[1]


ODD = """
import os
import signal

import torch
from torch import nn


class Ends(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.more, self.head = nn.Conv2d(3, 32, 3, 2), nn.Conv2d(32, 32, 3), nn.Linear(32, 4)

    def forward(self, x):
        if self.training:
            os.kill(os.getpid(), signal.SIGSEGV)
        return self.head(torch.relu(self.more(torch.relu(self.conv(x)))).mean((2, 3)))


class Norms(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 32, 3, 2), nn.GroupNorm(4, 32), nn.Linear(32, 4)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))
"""


@pytest.fixture
def odd(tmp_path: Path, photos: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """What a build of one of the networks of ODD takes beside its name."""
    (tmp_path / "oddnets.py").write_text(ODD)
    (tmp_path / "quick.yaml").write_text("latency: {runs: 10, max_seconds: 0.1}\n")
    monkeypatch.chdir(tmp_path)
    train, data = photos("train", classes=4, count=12, seed=1), photos("eval", classes=4, count=8, seed=2)
    common = ("--size", 32, "--train-data", train, "--data", data, "--max-drop", 100, "--recovery-minutes", 0.05)
    return (*common, "--recipe", tmp_path / "quick.yaml", "--json")


def test_a_training_process_that_dies_ends_the_step_and_not_the_build(
    odd: tuple[object, ...], tmp_path: Path, edgekit: Run
) -> None:
    told = edgekit("build", "--model", "oddnets:Ends", "--prune", 0.5, *odd, "--out", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    report = json.loads(told.stdout)
    assert report["pruning"]["reason"] == "training was ended by signal SIGSEGV"
    assert not report["pruning"]["kept"]
    assert any("signal SIGSEGV; built without pruning" in line for line in report["warnings"])
    alone = edgekit("prune", "--model", "oddnets:Ends", "--prune", 0.5, *odd[:4], "--out", tmp_path / "alone")
    assert alone.returncode == 2
    assert "training was ended by signal SIGSEGV" in alone.stderr
    assert not (tmp_path / "alone").exists()


def test_nothing_that_can_be_pruned_is_a_reason_for_auto_and_an_error_for_a_ratio(
    odd: tuple[object, ...], tmp_path: Path, edgekit: Run
) -> None:
    told = edgekit("build", "--model", "oddnets:Norms", *odd, "--out", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    assert "through the operation GroupNorm" in json.loads(told.stdout)["pruning"]["reason"]
    asked = edgekit("build", "--model", "oddnets:Norms", "--prune", 0.5, *odd, "--out", tmp_path / "asked")
    assert asked.returncode == 2
    assert "through the operation GroupNorm" in asked.stderr


def test_recovery_that_diverges_leaves_the_network_unpruned(
    tiny_onnx: Any, odd: tuple[object, ...], tmp_path: Path, edgekit: Run
) -> None:
    (tmp_path / "quick.yaml").write_text(
        "latency: {runs: 10, max_seconds: 0.1}\npruning: {images: 320, learning_rate: 1.0e+30}\n"
    )
    told = edgekit("build", "--model", tiny_onnx(), "--prune", 0.5, *odd[2:], "--out", tmp_path / "out")
    assert told.returncode == 0, told.stderr
    report = json.loads(told.stdout)
    assert "training diverged at step" in report["pruning"]["reason"]
    assert report["chosen"] in ("int8", "bf16", "fp32")
