"""A lock makes the same network again, from nothing; what is measured then changes nothing that is built."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import json_of
from test_pruning import QUICK, pruned_by_a_ratio

from edgekit.build.lock import read_lock
from edgekit.bundle.directory import check_bundle
from edgekit.errors import InputError

Edgekit = Callable[..., Any]


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory, common_store: Path) -> Path:
    """The bundle of a build that pruned, recovered and quantized: test_pruning.py makes the same."""
    folder = tmp_path_factory.mktemp("pruned")
    (folder / "quick.yaml").write_text(QUICK)
    json_of(common_store, "build", *pruned_by_a_ratio(folder / "quick.yaml"), "--out", str(folder / "out"))
    return folder / "out"


def test_the_lock_tells_every_decision(pruned: Path) -> None:
    lock = read_lock(pruned / "recipe.lock.yaml")
    report = json.loads((pruned / "report.json").read_text())
    assert lock.chosen == report["chosen"]
    assert lock.pruning is not None
    assert [each.layer for each in lock.pruning.widths] == [each["layer"] for each in report["pruning"]["widths"]]
    recovery = lock.pruning.recovery
    assert recovery is not None
    assert sum(stage.images for stage in recovery.recipe.stages) == report["pruning"]["recovery"]["images"]
    assert len(recovery.rates) == report["pruning"]["recovery"]["steps"]
    assert recovery.threads >= 1
    assert recovery.number_format in ("bf16", "fp32")
    assert lock.calibration is not None
    assert lock.calibration.digest == report["calibration"]["digest"]
    assert lock.versions["torch"]
    assert yaml.safe_load((pruned / "recipe.lock.yaml").read_text())["recipe"]["prune"] == 0.3
    assert check_bundle(pruned) == []


def test_the_same_network_is_built_again_from_nothing(pruned: Path, tmp_path: Path) -> None:
    arguments = ("build", "--locked", str(pruned / "recipe.lock.yaml"), "--out", str(tmp_path / "again"))
    report = json_of(tmp_path / "store", *arguments)
    again = Path(report["bundle"])
    assert (again / "model.onnx").read_bytes() == (pruned / "model.onnx").read_bytes()
    names = [stage["name"] for stage in report["stages"]]
    assert "prune" not in names, "no layer is timed, no width is chosen"
    assert not any(stage["cached"] for stage in report["stages"])
    assert all(each["latency"]["p50"] > 0 for each in report["variants"]), "it is measured all the same"
    before, after = read_lock(pruned / "recipe.lock.yaml"), read_lock(again / "recipe.lock.yaml")
    assert before == after


def test_a_lock_of_other_weights_is_refused(pruned: Path, tmp_path: Path, edgekit: Edgekit) -> None:
    lock = (pruned / "recipe.lock.yaml").read_text()
    sha = read_lock(pruned / "recipe.lock.yaml").weights_sha256
    other = tmp_path / "other.yaml"
    other.write_text(lock.replace(str(sha), "a" * 64))
    done = edgekit("build", "--locked", other, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "other weights" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_lock_of_other_calibration_images_is_refused(pruned: Path, tmp_path: Path, edgekit: Edgekit) -> None:
    lock = read_lock(pruned / "recipe.lock.yaml")
    assert lock.calibration is not None
    other = tmp_path / "other.yaml"
    other.write_text((pruned / "recipe.lock.yaml").read_text().replace(lock.calibration.digest, "f" * 64))
    done = edgekit("build", "--locked", other, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "calibration" in done.stderr


def test_what_a_lock_decides_cannot_be_told_beside_it(pruned: Path, tmp_path: Path, edgekit: Edgekit) -> None:
    done = edgekit("build", "--locked", pruned / "recipe.lock.yaml", "--prune", "none", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "--prune" in done.stderr


@pytest.mark.parametrize("content", ["", "- a list", "recipe: {}", "format: edgekit lock, schema 9", "a: [1", "\0"])
def test_what_is_no_lock_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.lock.yaml"
    path.write_text(content)
    with pytest.raises(InputError):
        read_lock(path)
