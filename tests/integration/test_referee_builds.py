"""Networks that a runtime computes otherwise than the file says: found, named, and given to one that does not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classifiers import PLAIN, Graph, balanced, labelled_by, patches

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
QUICK = "latency: {runs: 10, max_seconds: 0.1}\n"


def antialiased(path: Path) -> Path:
    """OpenVINO leaves out the antialiasing of Resize."""
    graph = Graph(size=(64, 64), opset=18)
    sizes = graph.constant([1, 3, 16, 16], np.int64)
    mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel", "antialias": 1}
    small = graph.node("Resize", "x", "", "", sizes, **mode)
    graph.head(graph.convolution(small, 3, 16), 16)
    return graph.save(path)


def kept_inside(path: Path) -> Path:
    """OpenVINO gives weight to pixels outside of the picture, although Resize excludes them."""
    graph = Graph(size=(64, 64), opset=18)
    sizes = graph.constant([1, 3, 10, 10], np.int64)
    mode = {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "exclude_outside": 1, "antialias": 1}
    small = graph.node("Resize", "x", "", "", sizes, **mode)
    graph.head(graph.convolution(small, 3, 16), 16)
    return graph.save(path)


def rounded_up(path: Path) -> Path:
    """OpenVINO would add windows that lie in the padding alone; the canonical graph says it without rounding up."""
    graph = Graph(size=(33, 33))
    stem = graph.convolution("x", 3, 16, strides=[2, 2])
    pooled = graph.node("MaxPool", stem, kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1)
    graph.head(graph.convolution(pooled, 16, 16), 16)
    return graph.save(path)


def fine_stripes(count: int) -> np.ndarray:
    """Pictures in which a resize without antialiasing sees something else, uint8 (count, 64, 64, 3)."""
    dice = np.random.Generator(np.random.PCG64(3))
    lines = (np.arange(64)[None, :] + dice.integers(0, 4, (count, 1))) % 4 == 0
    colours = dice.integers(0, 256, (count, 2, 1, 1, 3))
    return np.where(lines[:, None, :, None], colours[:, 0], colours[:, 1]).repeat(64, 1).astype(np.uint8)


CASES: dict[str, tuple[Callable[[Path], Path], str, Callable[[], np.ndarray]]] = {
    "antialiased resize": (antialiased, "Resize", lambda: fine_stripes(60)),
    "resize that excludes the outside": (kept_inside, "Resize", lambda: fine_stripes(60)),
}


def build(
    edgekit: Edgekit, folder: Path, make: Callable[[Path], Path], pictures: np.ndarray, *flags: str
) -> tuple[subprocess.CompletedProcess[str], Any]:
    network = balanced(make(folder / "net.onnx"), pictures)
    table = labelled_by(network, pictures, folder / "images")
    (folder / "quick.yaml").write_text(QUICK)
    answer = edgekit(
        "build", "--model", network, "--data", table, "--recipe", folder / "quick.yaml", "--prune", "none", *PLAIN,
        "--json", "--out", folder / "out", *flags,
    )  # fmt: skip
    return answer, json.loads(answer.stdout) if answer.stdout else None


@pytest.mark.parametrize("case", CASES)
def test_another_runtime_is_taken_where_the_first_computes_otherwise(
    case: str, edgekit: Edgekit, tmp_path: Path
) -> None:
    make, operator, drawn = CASES[case]
    answer, report = build(edgekit, tmp_path, make, drawn())
    assert answer.returncode == 0, answer.stderr
    fp32 = report["variants"][0]
    assert (fp32["name"], fp32["runtime"], fp32["accuracy"]["top1"]) == ("fp32", "onnxruntime", 100)
    assert (report["referee"]["runtime"], report["referee"]["agreement"]) == ("onnxruntime", 100)
    assert report["referee"]["max_logit_difference"] <= report["referee"]["tolerance"]
    assert any("openvino computes this network otherwise" in line and operator in line for line in report["warnings"])


@pytest.mark.parametrize("case", CASES)
def test_a_runtime_that_was_asked_for_is_refused_with_the_operator(case: str, edgekit: Edgekit, tmp_path: Path) -> None:
    make, operator, drawn = CASES[case]
    answer, _ = build(edgekit, tmp_path, make, drawn(), "--runtime", "openvino")
    assert answer.returncode == 4, answer.stderr
    line = answer.stderr.splitlines()[-1]
    assert operator in line
    assert "--runtime onnxruntime" in line
    assert not (tmp_path / "out").exists()


def test_a_pool_that_rounds_up_is_computed_right_by_the_usual_runtime(edgekit: Edgekit, tmp_path: Path) -> None:
    answer, report = build(edgekit, tmp_path, rounded_up, patches(60, (33, 33)))
    assert answer.returncode == 0, answer.stderr
    fp32 = report["variants"][0]
    assert (fp32["runtime"], fp32["accuracy"]["top1"], report["referee"]["agreement"]) == ("openvino", 100, 100)
