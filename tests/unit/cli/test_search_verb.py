"""`edgekit search` before any cluster is started: what it refuses, and what it says of itself."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Edgekit = Callable[..., subprocess.CompletedProcess[str]]


def test_its_help_has_examples(edgekit: Edgekit) -> None:
    answer = edgekit("search", "--help")
    assert answer.returncode == 0
    assert "edgekit build --locked search/front/trial-007/recipe.lock.yaml" in " ".join(answer.stdout.split())


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--model", "inception_v5"], "inception_v5"),
        (["--space", "space.yaml"], "unknown key 'prunning' in the space. Did you mean 'pruning'?"),
        (["--space", "nothing.yaml"], "cannot read the space nothing.yaml"),
        (["--objectives", "accuracy"], "two or three of accuracy, latency, size"),
        (["--cluster", "somewhere"], "'somewhere' names no cluster"),
        (["--target", "nothing"], "nothing"),
        (["--data", "nowhere/"], "nowhere"),
        (["--trials", "0"], "--trials"),
    ],
)
def test_what_is_wrong_is_said_at_once(edgekit: Edgekit, tmp_path: Path, flags: list[str], says: str) -> None:
    (tmp_path / "space.yaml").write_text("prunning: [none]\n")
    answer = edgekit("search", "--out", tmp_path / "out", *flags, cwd=tmp_path)
    assert answer.returncode == 2, answer.stderr
    assert says in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "out").exists()


def test_a_target_that_is_not_here_is_not_available(edgekit: Edgekit, tmp_path: Path) -> None:
    answer = edgekit("search", "--target", "jetson", "--out", tmp_path / "out", cwd=tmp_path)
    assert answer.returncode == 4, answer.stderr
    assert "nothing here runs jetson" in answer.stderr
