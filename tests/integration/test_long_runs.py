"""Long runs: many builds in one process, very many images, a large network. Nothing grows but what must."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from long_runs import Command, large_network, many_pictures, of_small_network, small_network, watched

TESTS = Path(__file__).parents[1]

BUILDS, WARM = 50, 10
"""Builds in one process, and after how many of them nothing is new to it."""

MOST_GROWTH_MB = 40
"""Of the last builds above those after warming up."""

FEW, MANY = 10_000, 100_000

BYTES_AN_IMAGE = {"evaluate": 2_000, "build": 7_000}
TIMES_ITS_WEIGHTS = {"bf16": 9.5, "int8": 11.5}
"""With the network's files in the page cache, which all that read them are told to hold."""


def lines(count: int, folder: Path) -> list[dict[str, Any]]:
    """What a process held after each of so many builds."""
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(temporary),
        "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]),
    }
    command = [sys.executable, str(TESTS / "long_runs.py"), str(count), str(folder)]
    told = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3_000, check=False)
    assert told.returncode == 0, told.stderr[-2_000:]
    found = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("{")]
    assert len(found) == count
    return found


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_a_process_that_builds_again_and_again_holds_no_more(tmp_path: Path) -> None:
    small_network(tmp_path)
    found = lines(BUILDS, tmp_path)
    warm, last = found[WARM - 5 : WARM], found[-5:]

    def grown(what: str) -> float:
        return median(each[what] for each in last) - median(each[what] for each in warm)

    assert grown("files") <= 0
    assert grown("threads") <= 0
    assert grown("resident_mb") <= MOST_GROWTH_MB
    assert found[-1]["children"] == found[WARM]["children"]
    assert found[-1]["temporary"] == 0


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("verb", ["evaluate", "build"])
def test_memory_grows_by_little_for_each_image(verb: str, tmp_path: Path) -> None:
    """Ten times as many images take so many bytes more for each: what is known of its file, and its logits."""
    small_network(tmp_path)
    found: dict[int, Command] = {}
    for count in (FEW, MANY):
        folder = tmp_path / str(count)
        how = (verb, *of_small_network(tmp_path), "--data", many_pictures(folder / "photos", count))
        more = (*quick_build(tmp_path), "--out", folder / "out") if verb == "build" else ("--json",)
        found[count] = watched((*how, *more), folder)
        assert found[count].code == 0, found[count].stderr[-2_000:]
    each = 1e6 * (found[MANY].peak_mb - found[FEW].peak_mb) / (MANY - FEW)
    assert each < BYTES_AN_IMAGE[verb]


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_large_network_takes_a_few_times_its_weights(precision: str, tmp_path: Path) -> None:
    network = large_network(tmp_path / "large.onnx", 300)
    small_network(tmp_path)
    weights_mb = network.stat().st_size / 1e6
    assert 290 <= weights_mb <= 330
    data = ("--data", tmp_path / "photos" / "labels.csv")
    quick = quick_build(tmp_path, precision)
    how = ("build", "--model", network, *of_small_network(tmp_path)[2:], *data, *quick)
    told = watched((*how, "--out", tmp_path / "out"), tmp_path / "run")
    assert told.code == 0, told.stderr[-2_000:]
    assert told.peak_mb < TIMES_ITS_WEIGHTS[precision] * weights_mb


def quick_build(folder: Path, precision: str = "bf16") -> tuple[Any, ...]:
    """Flags of a build that times little and judges by all images; nothing is quantized unless asked for."""
    recipe = folder / "quick.yaml"
    recipe.write_text("latency: {runs: 10, max_seconds: 0.1}\nprune: none\ndecide: point\n")
    return "--recipe", recipe, "--precision", precision, "--max-drop", 100, "--allow-chance"
