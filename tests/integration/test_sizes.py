"""Builds that try other input sizes: each is a variant with its own latency and accuracy, and any can be the bundle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from classifiers import PLAIN, Graph, balanced, labelled_by, of_any_size, patches
from command import json_of, run_edgekit

SIZE = 32


@dataclass(frozen=True)
class Place:
    """A network that takes pictures of any size and has its own right at 32 pixels, and a store."""

    network: Path
    table: Path
    store: Path
    quick: tuple[str, ...]

    def build(self, out: Path, *more: object) -> dict[str, Any]:
        how = ("--model", self.network, "--data", self.table, "--size", SIZE, *PLAIN, *self.quick)
        return json_of(self.store, "build", *how, "--prune", "none", "--out", out, *more)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("sizes")
    graph = Graph(size=(SIZE, SIZE), seed=2)
    last = graph.convolution(graph.convolution("x", 3, 16, strides=[2, 2]), 16, 32)
    graph.head(last, 32)
    pictures = patches(60, (SIZE, SIZE))
    network = balanced(graph.save(folder / "fixed.onnx", [("logits", ("n", 5))]), pictures)
    table = labelled_by(network, pictures, folder / "eval")
    (folder / "quick.yaml").write_text("latency: {runs: 30, max_seconds: 0.3}\ncalibration: {images: 12}\n")
    open_size = of_any_size(network, folder / "open.onnx")
    return Place(open_size, table, folder / "store", ("--recipe", str(folder / "quick.yaml")))


@pytest.fixture(scope="module")
def tried(place: Place, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A build that may lose anything, so that the fastest size is in the bundle."""
    out = tmp_path_factory.mktemp("tried") / "bundle"
    return place.build(out, "--sizes", "24,16x20,32", "--max-drop", 100, "--keep-answers"), out


def by_name(report: Mapping[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in report["variants"]}


def test_each_size_is_a_variant_and_is_told_of(tried: tuple[dict[str, Any], Path]) -> None:
    report, _ = tried
    variants = by_name(report)
    assert [name for name in variants if name.startswith("int8")] == ["int8", "int8-24", "int8-16x20"]
    assert variants["int8-24"]["macs"] < variants["int8"]["macs"]
    assert variants["fp32"]["accuracy"]["top1"] == 100.0, "the labels are the network's own answers"
    for each in ("int8-24", "int8-16x20"):
        assert variants[each]["parent"] == "int8"
        assert variants[each]["latency"]["p50"] > 0
        assert variants[each]["accuracy"]["images"] == variants["fp32"]["accuracy"]["images"]
    assert [(each["size"], each["variant"], each["begun"]) for each in report["sizes"]] == [
        ([24, 24], "int8-24", False),
        ([16, 20], "int8-16x20", False),
    ]


def test_answers_are_of_pictures_at_that_size(place: Place, tried: tuple[dict[str, Any], Path]) -> None:
    """The same graph, bundled alone at 24 pixels, has as many right."""
    report, out = tried
    alone = place.build(out.parent / "alone", "--size", 24, "--max-drop", 100)
    theirs, ours = by_name(alone)["int8"]["accuracy"], by_name(report)["int8-24"]["accuracy"]
    assert (theirs["top1"], theirs["images"]) == (ours["top1"], ours["images"])
    assert "sizes" not in alone


def test_the_bundle_takes_pictures_of_the_size_that_was_chosen(tried: tuple[dict[str, Any], Path]) -> None:
    report, out = tried
    manifest = json.loads((out / "manifest.json").read_text())
    chosen = report["chosen"]
    size = {"int8-24": [24, 24], "int8-16x20": [16, 20], "int8": [32, 32]}.get(chosen, [32, 32])
    assert manifest["input"]["shape"] == [1, *size, 3]
    assert report["model"]["input"] == [1, 3, *size]
    with np.load(out / "golden.npz") as golden:
        assert golden["inputs"].shape[1:] == (*size, 3)
    ran = run_edgekit("verify", out)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_builds_of_two_sizes_are_timed_side_by_side(place: Place, tried: tuple[dict[str, Any], Path]) -> None:
    _, out = tried
    own = out.parent / "own"
    place.build(own, "--max-drop", 100)
    ran = run_edgekit("compare", own, out, "--remeasure", "--runs", 30, "--max-latency", "100x", "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    ran = run_edgekit("bench", own, out, "--runs", 30, "--max-seconds", 0.3, "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert all(each["p50"] > 0 for each in json.loads(ran.stdout)["subjects"])


def test_a_lock_with_a_size_builds_that_again(place: Place, tried: tuple[dict[str, Any], Path]) -> None:
    _, out = tried
    lock = (out / "recipe.lock.yaml").read_text()
    (chosen,) = (line for line in lock.splitlines() if line.startswith("chosen:"))
    path = out.parent / "again.lock.yaml"
    path.write_text(lock.replace(chosen, "chosen: int8-16x20"))
    again = json_of(place.store, "build", "--locked", path, "--out", out.parent / "again")
    assert again["chosen"] == "int8-16x20"
    manifest = json.loads((out.parent / "again" / "manifest.json").read_text())
    assert manifest["input"]["shape"] == [1, 16, 20, 3]
    with np.load(out.parent / "again" / "golden.npz") as golden:
        assert golden["inputs"].shape == (4, 16, 20, 3)
    assert run_edgekit("verify", out.parent / "again").returncode == 0


def test_pruning_begins_with_the_size_that_pays_and_a_lock_does_it_again(place: Place, tmp_path: Path) -> None:
    train = labelled_by(place.network.with_name("fixed.onnx"), patches(80, (SIZE, SIZE), seed=5), tmp_path / "train")
    how = ("--model", place.network, "--data", place.table, "--size", 96, *PLAIN, *place.quick)
    pruned = ("--prune", 0.5, "--train-data", train, "--recovery-images", 64, "--max-drop", 100)
    report = json_of(place.store, "build", *how, *pruned, "--sizes", "24,20x28", "--out", tmp_path / "out")
    told = {each["variant"]: each for each in report["sizes"]}
    assert {name: each["images"] for name, each in told.items()} == {"int8-24": 8, "int8-20x28": 8}
    (begun,) = (each for each in told.values() if each["begun"])
    variants, size = by_name(report), begun["variant"].removeprefix("int8-")
    narrow = variants[f"pruned-int8-{size}"]
    assert narrow["parent"] == begun["variant"]
    assert report["pruning"]["macs"] == {"before": variants[begun["variant"]]["macs"], "after": narrow["macs"]}
    lock = tmp_path / "out" / "recipe.lock.yaml"
    again = json_of(place.store, "build", "--locked", lock, "--no-cache", "--out", tmp_path / "again")
    assert again["chosen"] == report["chosen"]
    assert [(each["variant"], each["begun"]) for each in again["sizes"]] == [
        (each["variant"], each["begun"]) for each in report["sizes"]
    ]
    assert by_name(again)[narrow["name"]]["macs"] == narrow["macs"]


def test_a_size_that_the_network_does_not_take_is_left_out_by_name(place: Place, tmp_path: Path) -> None:
    fixed = place.network.with_name("fixed.onnx")
    how = ("--model", fixed, "--data", place.table, *PLAIN, *place.quick, "--prune", "none")
    report = json_of(place.store, "build", *how, "--sizes", "24", "--out", tmp_path / "out")
    (told,) = report["sizes"]
    assert told["variant"] is None
    assert told["why"]
    assert any("input size 24 is left out" in line for line in report["warnings"])
    assert "Input of 24: left out" in (tmp_path / "out" / "report.md").read_text()


def test_what_is_no_size_is_refused() -> None:
    ran = run_edgekit("build", "--model", "inception_v4", "--sizes", "224,x")
    assert ran.returncode == 2
    assert "'x' is no size" in ran.stderr
