"""Networks whose outputs are no classes by softmax: vectors, label sets, and probabilities that nobody announced."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classifiers import PLAIN, Graph, answers, balanced, patches
from PIL import Image

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
QUICK = "latency: {runs: 10, max_seconds: 0.1}\n"
COLOURS = {"red": (200, 40, 40), "green": (40, 190, 60), "blue": (50, 60, 210)}


@pytest.fixture
def quick(tmp_path: Path, shared_store: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text(QUICK)
    return path


def noisy(colour: Sequence[int], seed: int) -> np.ndarray:
    """A picture of one colour with noise, uint8 (32, 32, 3)."""
    dice = np.random.Generator(np.random.PCG64(seed))
    return np.clip(np.asarray(colour) + dice.normal(0, 25, (32, 32, 3)), 0, 255).astype(np.uint8)


def built(edgekit: Edgekit, network: Path, data: Path, quick: Path, *flags: str) -> tuple[Path, Any]:
    out = quick.parent / "out"
    answer = edgekit(
        "build", "--model", network, "--data", data, "--recipe", quick, "--prune", "none", *PLAIN, "--json",
        "--out", out, *flags,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return out, json.loads(answer.stdout)


def test_vectors_are_judged_by_their_neighbours(edgekit: Edgekit, tmp_path: Path, quick: Path) -> None:
    graph = Graph()
    graph.head(graph.convolution("x", 3, 16), 16, classes=8, out="embedding")
    network = balanced(graph.save(tmp_path / "net.onnx", [("embedding", (1, 8))]), patches(20))
    for name, colour in COLOURS.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        for place in range(12):
            Image.fromarray(noisy(colour, place)).save(tmp_path / "photos" / name / f"{place}.png")
    out, report = built(edgekit, network, tmp_path / "photos", quick, "--task", "embed")
    fp32, int8 = (next(each for each in report["variants"] if each["name"] == name) for name in ("fp32", "int8"))
    assert report["task"] == "embed"
    assert fp32["accuracy"]["top1"] == 100, "three colours are told apart by any network"
    assert fp32["accuracy"]["cosine"] == {"mean": 1, "p1": 1}
    assert int8["accuracy"]["cosine"]["mean"] > 0.9
    assert fp32["accuracy"]["pairs"]["threshold"] == int8["accuracy"]["pairs"]["threshold"]
    assert report["verdict"]["accuracy"]["drop"] is not None
    output = json.loads((out / "manifest.json").read_text())["output"]
    assert (output["task"], output["activation"]) == ("embed", "none")
    assert output["threshold"] == pytest.approx(fp32["accuracy"]["pairs"]["threshold"])
    picture = tmp_path / "photos" / "red" / "0.png"
    told = json.loads(edgekit("run", out, picture, "--json").stdout)["images"][0]
    wanted = answers(network, np.asarray(Image.open(picture))[None])[0]
    cosine = np.dot(told["vector"], wanted) / np.linalg.norm(told["vector"]) / np.linalg.norm(wanted)
    assert cosine > 0.95
    judged = edgekit("evaluate", out, "--data", tmp_path / "photos", "--json")
    assert json.loads(judged.stdout)["accuracy"]["top1"] == 100, judged.stderr


def test_sets_of_labels_are_judged_by_average_precision(edgekit: Edgekit, tmp_path: Path, quick: Path) -> None:
    graph = Graph()
    raw = graph.head(graph.convolution("x", 3, 16), 16, classes=4, out="raw")
    graph.node("Sigmoid", raw, out="probabilities")
    network = balanced(graph.save(tmp_path / "net.onnx", [("probabilities", (1, 4))]), patches(60))
    pictures = patches(60, seed=1)
    (tmp_path / "images").mkdir()
    names, rows = ["car", "dog", "sky", "tree"], ["path,labels"]
    for place, given in enumerate(answers(network, pictures) >= 0.5):
        Image.fromarray(pictures[place]).save(tmp_path / "images" / f"{place}.png")
        rows.append(f"{place}.png,{'|'.join(name for name, has in zip(names, given, strict=True) if has)}")
    table = tmp_path / "images" / "labels.csv"
    table.write_text("\n".join(rows) + "\n")
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    out, report = built(edgekit, network, table, quick, "--task", "multilabel", "--labels", str(tmp_path / "names.txt"))
    fp32 = report["variants"][0]["accuracy"]
    assert (report["task"], fp32["map"], fp32["f1"]) == ("multilabel", 100, 100)
    output = json.loads((out / "manifest.json").read_text())
    assert (output["schema"], output["output"]["activation"], output["output"]["threshold"]) == (2, "sigmoid", 0.5)
    told = json.loads(edgekit("run", out, tmp_path / "images" / "0.png", "--json").stdout)["images"][0]
    wanted = answers(network, pictures[:1])[0]
    sure, possible = (
        {names[at] for at in np.flatnonzero(wanted >= least)} for least in (0.55, 0.45)
    )  # INT8 may be built
    assert sure <= {each["label"] for each in told["classes"]} <= possible
    for each in told["classes"]:
        assert each["probability"] == pytest.approx(wanted[names.index(each["label"])], abs=0.05)


def unannounced(graph: Graph, raw: str) -> str:
    """A softmax that no one reads off the graph: powers of 2.718, over their sum by a matrix of ones."""
    powers = graph.node("Pow", graph.constant(np.float32(np.e)), raw)
    total = graph.node("MatMul", powers, graph.constant(np.ones((5, 1))))
    return graph.node("Div", powers, total, out="answer")


def test_probabilities_that_only_pictures_show_get_no_second_softmax(
    edgekit: Edgekit, tmp_path: Path, quick: Path
) -> None:
    graph = Graph()
    unannounced(graph, graph.head(graph.convolution("x", 3, 16), 16, out="raw"))
    network = balanced(graph.save(tmp_path / "net.onnx", [("answer", (1, 5))]), patches(40))
    (tmp_path / "photos").mkdir()
    pictures = patches(30, seed=2)
    for place, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "photos" / f"{place:02}.png")
    out, report = built(edgekit, network, tmp_path / "photos", quick, "--precision", "fp32")
    assert any("no softmax is put on them again" in line for line in report["warnings"])
    told = json.loads(edgekit("run", out, tmp_path / "photos" / "00.png", "--json").stdout)["images"][0]["classes"]
    wanted = np.sort(answers(network, pictures[:1])[0])[::-1]
    assert [each["probability"] for each in told] == pytest.approx(wanted.tolist(), abs=1e-3)
