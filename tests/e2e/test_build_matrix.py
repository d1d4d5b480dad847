"""`edgekit build --matrix` on small networks: one that fails does not stop the others, what is done is kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from classifiers import Graph, balanced, patches
from command import run_edgekit
from PIL import Image

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
MATRIX = """
recipe:
  data: photos/
  prune: none
  latency: {runs: 10, max_seconds: 0.1}
  preprocessing: {mean: [0], std: [1], crop_fraction: 1}
models: [one.onnx, {model: two.onnx, name: second}]
targets: [cpu, jetson]
exclude: [{model: second, target: cpu}]
builds: [{model: bad.onnx, target: jetson}]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small networks, a file that is none, pictures and a matrix."""
    folder = tmp_path_factory.mktemp("matrix")
    pictures = patches(40)
    (folder / "photos").mkdir()
    for number, each in enumerate(pictures):
        Image.fromarray(each).save(folder / "photos" / f"{number}.png")
    for seed, name in enumerate(("one", "two")):
        graph = Graph(seed=seed)
        graph.head(graph.convolution(graph.convolution("x", 3, 16), 16, 16), 16, 5)
        balanced(graph.save(folder / f"{name}.onnx"), pictures)
    (folder / "bad.onnx").write_bytes(b"no network")
    (folder / "matrix.yaml").write_text(MATRIX)
    return folder


@pytest.fixture(scope="module")
def first(place: Path) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """The first run of the matrix, and what its JSON says."""
    answer = run_edgekit("build", "--matrix", "matrix.yaml", "--out", "out", cwd=place, env=environment(place))
    return answer, json.loads((place / "out" / "matrix.json").read_text())


def environment(place: Path) -> dict[str, str]:
    return os.environ | {"EDGEKIT_CACHE": str(place / "store")}


def test_all_are_built_but_the_one_that_cannot_be(
    place: Path, first: tuple[subprocess.CompletedProcess[str], dict[str, Any]]
) -> None:
    answer, told = first
    assert answer.returncode == 2, answer.stderr
    found = {each["name"]: each for each in told["builds"]}
    assert list(found) == ["one-cpu", "one-jetson", "second-jetson", "bad-jetson"]
    assert {name: each["state"] for name, each in found.items()} == {
        **dict.fromkeys(["one-cpu", "one-jetson", "second-jetson"], "built"),
        "bad-jetson": "failed",
    }
    assert found["bad-jetson"]["exit_code"] == 2
    assert "not a whole ONNX model" in found["bad-jetson"]["error"]
    assert not told["ok"]
    assert found["one-cpu"]["figures"]["p50"] > 0
    assert found["one-jetson"]["figures"]["p50"] is None
    for name in ("one-cpu", "one-jetson", "second-jetson"):
        assert (place / found[name]["bundle"] / "manifest.json").exists()
    assert not (place / "out" / "bad-jetson").exists()
    assert "build 2 of 4: one-jetson" in answer.stderr
    assert "failed: bad.onnx is not a whole ONNX model" in answer.stdout
    assert "not measured" in answer.stdout


def test_again_everything_is_there_and_json_is_one_object(
    place: Path, edgekit: Edgekit, first: tuple[subprocess.CompletedProcess[str], dict[str, Any]]
) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "key")], check=True)
    flags = ("--out", "out", "--json", "-q", "--sign", "key")
    answer = edgekit("build", "--matrix", "matrix.yaml", *flags, cwd=place, env=environment(place))
    told = json.loads(answer.stdout)
    assert all(each["stages"] == each["cached"] > 0 for each in told["builds"] if each["state"] == "built")
    assert answer.returncode == 2
    assert json.loads((place / "out" / "matrix.json").read_text()) == told
    signed = {path.parent.name for path in (place / "out").glob("*/manifest.json.sig")}
    assert signed == {each["name"] for each in told["builds"] if each["bundle"] is not None}


def test_nothing_is_built_where_one_cannot_be(place: Path, edgekit: Edgekit) -> None:
    (place / "wrong.yaml").write_text("builds: [{target: jetson}, {target: cpx}]")
    answer = edgekit("build", "--matrix", "wrong.yaml", "--out", "nowhere", cwd=place)
    assert answer.returncode == 2
    assert "`builds` 2: there is no target 'cpx'" in answer.stderr
    assert not (place / "nowhere").exists()
    for flags in (("--model", "inception_v4"), ("--target", "cpu"), ("--locked", "x"), ("--track", "mlflow")):
        answer = edgekit("build", "--matrix", "matrix.yaml", *flags, cwd=place)
        assert answer.returncode == 2
        assert f"--matrix goes without {flags[0]}" in answer.stderr


def test_ctrl_c_keeps_what_is_done(
    place: Path, tmp_path: Path, first: tuple[subprocess.CompletedProcess[str], dict[str, Any]]
) -> None:
    shutil.copytree(place / "store", tmp_path / "store")
    (place / "long.yaml").write_text(MATRIX.replace("builds:", "builds: [{model: two.onnx, target: cpu}]\nunused:"))
    text = (place / "long.yaml").read_text().partition("unused:")[0]
    (place / "long.yaml").write_text(text)
    command = [sys.executable, "-m", "edgekit", "build", "--matrix", "long.yaml", "--out", str(tmp_path / "out")]
    going = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place,
        env=os.environ | {"EDGEKIT_CACHE": str(tmp_path / "store")},
    )
    state = tmp_path / "out" / "matrix.json"
    until = time.monotonic() + 120
    while time.monotonic() < until and (not state.exists() or '"state": "built"' not in state.read_text()):
        time.sleep(0.01)
    going.send_signal(signal.SIGINT)
    _, err = going.communicate(timeout=60)
    assert going.returncode == 130, err
    assert "what is done is in" in err
    told = json.loads(state.read_text())
    states = [each["state"] for each in told["builds"]]
    assert states[0] == "built"
    assert states[-1] == "waiting"
    assert not told["ok"]
    assert (tmp_path / "out" / told["builds"][0]["name"] / "manifest.json").exists()
