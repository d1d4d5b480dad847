"""`edgekit evaluate` with several crops, several networks and images left out, through the command line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.backends import backend
from edgekit.build.runnable import prepare
from edgekit.data.folder import open_images
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.validate.accuracy import accuracy
from edgekit.validate.evaluation import predict

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
Tiny = Callable[..., Path]
Photos = Callable[..., Path]
FLAGS = ("--mean", 0.4, "--std", 0.25)


def told(answer: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert answer.returncode == 0, answer.stderr
    made: dict[str, Any] = json.loads(answer.stdout)
    return made


def refused(answer: subprocess.CompletedProcess[str], what: str) -> None:
    """Exit code 2, and beside progress one line that says what is wrong."""
    assert answer.returncode == 2
    assert answer.stdout == ""
    errors = [line for line in answer.stderr.splitlines() if line.startswith("edgekit: error: ")]
    assert len(errors) == 1
    assert what in errors[0]
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(("crops", "views"), [(10, 11), (12, 13), (144, 49)])
def test_crops_on_signs(edgekit: Edgekit, tiny_onnx: Tiny, crops: int, views: int) -> None:
    net = tiny_onnx(classes=24)
    run = ("evaluate", net, "--data", "signs", "--images", 24, *FLAGS, "--json")
    plain, made = told(edgekit(*run)), told(edgekit(*run, "--crops", crops))
    assert (plain["crops"], plain["views"], plain["excluded"]) == (1, 1.0, 0)
    assert "gain" not in plain
    assert "members" not in plain
    assert (made["crops"], made["views"]) == (crops, views)
    assert made["single_crop"] == plain["accuracy"]
    assert made["data"] == plain["data"]
    assert made["gain"]["points"] == pytest.approx(made["accuracy"]["top1"] - plain["accuracy"]["top1"])
    assert made["gain"]["ci95"][0] <= made["gain"]["points"] <= made["gain"]["ci95"][1]
    assert made["views_per_second"] == pytest.approx(made["throughput_ips"] * views)


def test_an_ensemble_is_the_average_of_its_members(
    edgekit: Edgekit, tiny_onnx: Tiny, photos: Photos, tmp_path: Path
) -> None:
    """Against numpy, from the logits of each network alone; photos, and networks of other sizes."""
    nets, folder = [tiny_onnx(seed=0), tiny_onnx(seed=1, size=24), tiny_onnx(seed=2)], photos(classes=4, count=12)
    images = open_images(folder)
    assert images.labels is not None
    chances = []
    for net in nets:
        preprocessing = {"mean": (0.4,) * 3, "std": (0.25,) * 3}
        runnable = prepare(Recipe.model_validate({"model": str(net), "preprocessing": preprocessing}), None, Store())
        with backend(runnable.compiled.backend).load(runnable.compiled, "throughput") as session:
            made_of = predict({"it": session}, images, runnable.preprocessing, range(len(images)))["it"]
        logits = made_of.astype(np.float64)
        chances.append(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    beside = f"{nets[1]},{nets[2]}"
    run = ("evaluate", nets[0], "--ensemble", beside, "--data", folder, *FLAGS)
    made = told(edgekit(*run, "--json"))
    wanted = accuracy(np.mean(chances, 0).astype(np.float32), images.labels)
    assert (made["accuracy"]["top1"], made["accuracy"]["top5"]) == pytest.approx((wanted.top1, wanted.top5))
    assert [each["model"] for each in made["members"]] == [net.name for net in nets]
    alone = [accuracy(each.astype(np.float32), images.labels).top1 for each in chances]
    assert [each["accuracy"]["top1"] for each in made["members"]] == pytest.approx(alone)
    assert made["ensemble_gain"]["points"] == pytest.approx(wanted.top1 - max(alone))
    assert made["ensemble_gain"]["over"] == nets[int(np.argmax(alone))].name
    said = edgekit(*run, "--crops", 12).stdout.splitlines()
    assert [line.split()[:2] for line in said[2:10]] == [
        [name, crops] for name in (*(net.name for net in nets), "ensemble") for crops in ("1", "12")
    ]
    assert said[10].startswith(f"{nets[0].name}: 12 crops against 1: ")
    assert said[-1].startswith("the ensemble against its best member, ")


def test_ensembles_that_are_refused(edgekit: Edgekit, tiny_onnx: Tiny, photos: Photos, tmp_path: Path) -> None:
    net, folder = tiny_onnx(), photos(classes=4)
    again = tmp_path / "again.onnx"
    again.write_bytes(net.read_bytes())
    for beside, what in (
        (tiny_onnx(classes=3), "has 4 classes and"),
        (net, "would count twice"),
        (again, f"again.onnx is the same network as {net.name}"),
        ("inception_v5", "no model 'inception_v5'"),
        (f"{net},", "empty member"),
        (tmp_path, "manifest"),
    ):
        refused(edgekit("evaluate", net, "--ensemble", beside, "--data", folder, *FLAGS), what)


@pytest.mark.slow
def test_weights_of_a_file_and_bundles_beside(
    edgekit: Edgekit, tiny_onnx: Tiny, photos: Photos, tmp_path: Path
) -> None:
    """NAME=FILE takes --width, --num-classes and preprocessing; a bundle brings its own, INT8 here."""
    import torch

    from edgekit.models import create

    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(create("inception_v4", num_classes=4, width=0.05).state_dict(), tmp_path / f"{seed}.pth")
    (tmp_path / "quick.yaml").write_text("prune: none\nmax_drop: 100\nlatency: {runs: 10, max_seconds: 0.1}\n")
    folder, bundle = photos(classes=4, count=6), tmp_path / "net-cpu"
    answer = edgekit(
        "build", "--model", tiny_onnx(), "--data", folder, *FLAGS, "--recipe", tmp_path / "quick.yaml", "--out", bundle
    )
    assert answer.returncode == 0, answer.stderr
    main = ("--model", "inception_v4", "--weights", tmp_path / "0.pth", "--width", 0.05, "--num-classes", 4)
    beside = f"inception_v4={tmp_path / '1.pth'},{bundle}"
    made = told(
        edgekit("evaluate", *main, "--size", 75, "--ensemble", beside, "--data", folder, "--crops", 10, "--json")
    )
    assert [each["model"] for each in made["members"]] == ["inception_v4=0.pth", "inception_v4=1.pth", "net-cpu"]
    assert made["members"][2]["precision"] == json.loads((bundle / "manifest.json").read_text())["precision"]
    assert made["views"] == 11
    again = f"inception_v4={tmp_path / '0.pth'}"
    same = edgekit("evaluate", *main, "--size", 75, "--ensemble", again, "--data", folder)
    refused(same, "would count twice")


def test_images_are_left_out(edgekit: Edgekit, tiny_onnx: Tiny, photos: Photos, tmp_path: Path) -> None:
    folder, listed = photos(classes=2, count=6), tmp_path / "list.txt"
    listed.write_text("# bad ones\na/0.png\nb/1\nnothing.png\n5\n")
    run = ("evaluate", tiny_onnx(), "--data", folder, *FLAGS, "--exclude", listed)
    answer = edgekit(*run, "--json")
    made = told(answer)
    assert (made["excluded"], made["data"]["images"], made["accuracy"]["images"]) == (4, 8, 8)
    assert "1 of 4 lines of" in answer.stderr
    assert "'nothing.png'" in answer.stderr
    said = edgekit(*run, "--images", 4).stdout.splitlines()
    assert " on 4 images of " in said[0]
    assert said[1:] == ["4 images left out by --exclude"]
    signs = told(
        edgekit("evaluate", tiny_onnx(classes=24), "--data", "signs", "--images", 24, "--exclude", listed, "--json")
    )
    assert (signs["excluded"], signs["data"]["images"]) == (1, 24)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot read the list"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "cannot read the list"),
        (b"# none\n", "names none"),
        (b"elsewhere.png\n99\n", "none of the 2 lines"),
        (b"0\n1\n", "leaves out all 4 images"),
    ],
)
def test_lists_that_are_refused(
    edgekit: Edgekit, tiny_onnx: Tiny, photos: Photos, tmp_path: Path, content: bytes | None, what: str
) -> None:
    listed = tmp_path / "list.txt"
    if content is not None:
        listed.write_bytes(content)
    refused(edgekit("evaluate", tiny_onnx(), "--data", photos(count=2), *FLAGS, "--exclude", listed), what)


def test_a_number_of_crops_that_no_protocol_has(edgekit: Edgekit, tiny_onnx: Tiny) -> None:
    refused(edgekit("evaluate", tiny_onnx(), "--data", "signs", "--crops", 6), "--crops")


@pytest.mark.slow
def test_the_papers_figures_stand_beside_a_network_of_imagenet(edgekit: Edgekit, photos: Photos) -> None:
    """A narrow network with random weights and 1000 classes: what is looked at is where the figures appear."""
    table = photos(classes=2, count=2) / "table.csv"
    table.write_text("path,label\na/0.png,5\nb/0.png,999\n")
    run = ("evaluate", "--model", "inception_v4", "--weights", "random", "--width", 0.05, "--size", 75, "--crops", 144)
    said = edgekit(*run, "--data", table)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[1].endswith("paper, top-1 / top-5")
    assert [line.rpartition("  ")[2] for line in lines[2:4]] == ["20.0 / 5.0", "17.7 / 3.8"]
    assert lines[5].startswith("paper: Szegedy et al. 2016")
    elsewhere = edgekit(*run, "--data", table.parent)
    assert "paper" not in elsewhere.stdout


@pytest.mark.slow
def test_the_shipped_network_with_12_crops(edgekit: Edgekit) -> None:
    made = told(edgekit("evaluate", "--model", "inception_v4", "--images", 24, "--crops", 12, "--json"))
    assert (made["model"], made["precision"], made["views"]) == ("inception_v4", "fp32", 13.0)
    assert made["single_crop"]["top1"] > 85
    assert made["accuracy"]["top1"] > 75


def test_ctrl_c_ends_it_with_one_line(tiny_onnx: Tiny, own_store: Path) -> None:
    command = [sys.executable, "-m", "edgekit", "evaluate", str(tiny_onnx(classes=24)), "--data", "signs"]
    process = subprocess.Popen(
        [*command, "--crops", "144", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("evaluate: started"):
            process.send_signal(signal.SIGINT)
            break
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    *before, last = errors.strip().splitlines()
    assert (out, last) == ("", "edgekit: interrupted")
    assert all(line.startswith("evaluate: ") for line in before)  # a slow machine may have told of progress
