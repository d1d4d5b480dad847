"""`edgekit evaluate --cluster` as users run it: two nodes that are joined, drivers that are killed or interrupted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_nodes import OtherNode, RunningCluster, may_hide, ray_nodes

import edgekit as package

Edgekit = Callable[..., subprocess.CompletedProcess[str]]
Tiny = Callable[..., Path]
Photos = Callable[..., Path]
FLAGS = ("--mean", 0.4, "--std", 0.25)
ROOT = Path(package.__file__).parent

pytestmark = pytest.mark.slow


def told(answer: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert answer.returncode == 0, answer.stderr
    made: dict[str, Any] = json.loads(answer.stdout)
    return made


def errors(answer: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line that says what is wrong."""
    assert answer.returncode == code, answer.stderr
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("edgekit: error: ")]
    return line


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this edgekit with one line more."""
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(ROOT, folder / "edgekit", ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "edgekit" / "size.py").open("a", encoding="utf-8") as file:
        file.write("\nCHANGED = True\n")
    return folder


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the second node sees empty."""
    return tmp_path_factory.mktemp("hidden")


@pytest.fixture(scope="module")
def two(hidden: Path) -> Iterator[RunningCluster]:
    """Two nodes on this machine."""
    if not may_hide():
        pytest.skip("this user cannot give a node folders of its own")
    own = {"PYTHONPATH": str(ROOT.parent)}
    with ray_nodes(OtherNode(own, hidden)) as made:
        yield made


def joined(cluster: RunningCluster) -> dict[str, str]:
    return {**os.environ, **cluster.environment}


def test_two_nodes_share_the_work(two: RunningCluster, edgekit: Edgekit, tiny_onnx: Tiny) -> None:
    run = ("evaluate", tiny_onnx(classes=24), "--data", "signs", "--images", 600, *FLAGS, "--json")
    alone = told(edgekit(*run))
    made = told(edgekit(*run, "--cluster", "auto", env=joined(two)))
    assert made["accuracy"] == alone["accuracy"]
    assert made["data"] == alone["data"]
    cluster = made["cluster"]
    assert (cluster["where"], cluster["workers"], cluster["cached_shards"]) == ("auto", 2, 0)
    assert len({each["name"] for each in cluster["nodes"]}) == 2
    assert sum(each["images"] for each in cluster["nodes"]) == 600
    assert all(each["images"] > 0 for each in cluster["nodes"])
    by_client = told(edgekit(*run, "--cluster", two.client, env=joined(two)))
    assert by_client["accuracy"] == alone["accuracy"]
    assert by_client["cluster"]["cached_shards"] == cluster["shards"]


def test_a_driver_that_is_no_node_has_its_work_done(two: RunningCluster, edgekit: Edgekit, tiny_onnx: Tiny) -> None:
    run = ("evaluate", tiny_onnx(classes=24, seed=9), "--data", "signs", "--images", 600, *FLAGS, "--json")
    made = told(edgekit(*run, "--cluster", two.client, env=joined(two)))
    cluster = made["cluster"]
    assert (cluster["where"], cluster["workers"], cluster["cached_shards"]) == (two.client, 2, 0)
    assert sum(each["images"] for each in cluster["nodes"]) == 600
    assert made["accuracy"] == told(edgekit(*run))["accuracy"]


def test_images_that_a_node_does_not_see_are_named_or_sent(
    two: RunningCluster, hidden: Path, edgekit: Edgekit, tiny_onnx: Tiny, photos: Photos
) -> None:
    folder = hidden / "photos"
    shutil.copytree(photos(classes=2, count=50), folder)
    run = ("evaluate", tiny_onnx(), "--data", folder, *FLAGS, "--json")
    said = errors(edgekit(*run, "--cluster", "auto", env=joined(two)), 2)
    assert "the node" in said
    assert f"does not see the images: {folder}/a/0.png: No such file or directory" in said
    assert "--send-data" in said
    made = told(edgekit(*run, "--cluster", "auto", "--send-data", env=joined(two)))
    assert made["accuracy"] == told(edgekit(*run))["accuracy"]
    assert all(each["images"] > 0 for each in made["cluster"]["nodes"])


def test_a_node_with_another_edgekit_is_refused_or_given_this_one(
    changed: Path, edgekit: Edgekit, tiny_onnx: Tiny, tmp_path: Path
) -> None:
    run = ("evaluate", tiny_onnx(classes=24), "--data", "signs", "--images", 96, *FLAGS, "--json", "--cluster", "auto")
    with ray_nodes(OtherNode({"PYTHONPATH": str(changed)})) as cluster:
        said = errors(edgekit(*run, env=joined(cluster)), 4)
        assert "the nodes of the cluster do not run what runs here" in said
        assert f"has edgekit {package.__version__} with other code" in said
        assert "--wheel" in said
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, "."],
            cwd=ROOT.parent,
            check=True,
        )
        (wheel,) = tmp_path.glob("*.whl")
        made = told(edgekit(*run, "--wheel", wheel, env=joined(cluster)))
        assert len(made["cluster"]["nodes"]) == 2


def processes_of_ray(home: Path) -> list[int]:
    """Those that a run with that home has started."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            try:
                environment, command = (each / "environ").read_bytes(), (each / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(f"HOME={home}") in environment and b"ray" in command:
                found.append(int(each.name))
    return found


def until(wanted: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_ends_early_leaves_no_process_and_its_shards(
    number: signal.Signals, edgekit: Edgekit, tiny_onnx: Tiny, tmp_path: Path, own_store: Path
) -> None:
    home, temporary = tmp_path / "home", Path(f"/tmp/ek-{os.getpid()}-{int(number)}")
    home.mkdir()
    temporary.mkdir()
    run = (
        "evaluate",
        tiny_onnx(classes=24, size=96),
        "--data",
        "signs",
        "--images",
        2000,
        *FLAGS,
        "--json",
        "--cluster",
    )
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
    shards = own_store / "entries"

    def kept() -> int:
        return (
            sum("evaluate-shard" in each.read_text() for each in shards.glob("*/entry.json")) if shards.exists() else 0
        )

    process = subprocess.Popen(
        [sys.executable, "-m", "edgekit", *map(str, run)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until(lambda: kept() >= 3 or process.poll() is not None)
        assert process.poll() is None
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does it
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert out == ""
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number], err
    until(lambda: processes_of_ray(home) == [])  # Ray's agents look once a minute whether they are still needed
    assert list(home.iterdir()) == []
    if number != signal.SIGKILL:
        assert list(temporary.iterdir()) == []
        assert "Traceback" not in err
    before = kept()
    made = told(edgekit(*run, env=environment))
    assert made["cluster"]["cached_shards"] == before >= 3
    assert made["cluster"]["shards"] > before
    assert made["accuracy"]["images"] == 2000
    assert list(temporary.iterdir()) == []
    temporary.rmdir()
