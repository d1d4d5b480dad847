"""A search on a real Ray cluster: what it leaves, what it survives, and that nothing is timed beside anything else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import dying
import pytest
from classifiers import PLAIN, Graph, balanced, labelled_by, patches
from ray_nodes import OtherNode, ray_nodes

import edgekit
from edgekit.build.lock import read_lock
from edgekit.bundle.directory import check_bundle
from edgekit.cluster.connection import Cluster, ClusterSettings, connected
from edgekit.cluster.search.batches import OnCluster
from edgekit.cluster.search.course import go_on
from edgekit.cluster.search.journal import Journal, TrialRecord
from edgekit.cluster.search.request import Request, Settled, settled, with_whole_paths
from edgekit.cluster.search.trials import referred
from edgekit.cluster.search.workers import Lost, Part, Workers
from edgekit.recipe import merged
from edgekit.store import Store
from edgekit.store.opening import StoreSettings

SIZE = (64, 64)
WIDTHS = (48, 64, 64, 64)
RECIPE = """
calibration: {images: 12}
pruning: {sensitivity: false}
latency: {runs: 30, max_seconds: 0.1}
"""
CALIBRATED = """
pruning: [none]
precisions: [int8, bf16]
calibration_images: [6, 9, 12]
calibration_strategies: [random, stratified]
"""
PRUNED = """
pruning: [none, auto, 0.8]
importances: [magnitude, fisher]
precisions: [int8]
calibration_images: [8, 12]
calibration_strategies: [random]
"""


@dataclass(frozen=True)
class Place:
    """A network that has its pictures right, and files that are searched with."""

    folder: Path

    def flags(self, space: str, trials: int, out: Path) -> list[str]:
        """Of a command that searches."""
        path = self.folder / f"space-{len(space)}.yaml"
        path.write_text(space)
        folder = self.folder
        return [
            "search", "--model", str(folder / "net.onnx"), "--data", str(folder / "eval" / "labels.csv"),
            "--train-data", str(folder / "train" / "labels.csv"), "--recipe", str(folder / "recipe.yaml"),
            "--space", str(path), "--trials", str(trials), "--images", "90", "--trial-minutes", "0.05",
            "--out", str(out), *PLAIN, "--size", str(SIZE[0]),
        ]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("search")
    graph, last, inside = Graph(size=SIZE, seed=1), "x", 3
    for number, outside in enumerate(WIDTHS):
        last = graph.convolution(last, inside, outside, strides=[2, 2] if number == 0 else [1, 1])
        inside = outside
    graph.head(last, inside, 5)
    pictures = patches(220, SIZE)
    network = balanced(graph.save(folder / "net.onnx", [("logits", ("n", 5))]), pictures[:60])
    labelled_by(network, pictures[:110], folder / "eval")
    labelled_by(network, pictures[110:], folder / "train")
    (folder / "recipe.yaml").write_text(RECIPE)
    return Place(folder)


def known(place: Place, space: str, trials: int, store: Store) -> Settled:
    """A search as Python has it."""
    import yaml

    path = place.folder / "space.yaml"
    path.write_text(space)
    recipe = merged(
        yaml.safe_load(RECIPE),
        {
            "model": str(place.folder / "net.onnx"),
            "data": str(place.folder / "eval" / "labels.csv"),
            "preprocessing": {"size": SIZE, "mean": [0.0] * 3, "std": [1.0] * 3, "crop_fraction": 1.0},
        },
    )
    request = Request(with_whole_paths(recipe), path, trials, 4, 90, 0.05)
    return settled(request, store, lambda event: None)


BUILDS, TIMES = "task::on_worker", "task::alone"
"""In Ray's timeline."""


def ray_processes(of: int) -> dict[int, str]:
    """Processes of Ray that a process has started, by their numbers: what each calls itself."""
    parents, lines = dict[int, int](), dict[int, str]()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            lines[int(entry.name)] = line
    found = {}
    for pid, line in lines.items():
        above = pid
        while above in parents and above != of:
            above = parents[above]
        if above == of and pid != of and ("ray::" in line or "/ray/" in line):
            found[pid] = line
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two workers on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(dying.__file__).parent), prepend=os.pathsep)  # workers import it
        with connected(ClusterSettings("local", 2), lambda event: None) as found:
            yield found


def test_a_worker_that_dies_loses_its_own_part_alone(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    parts = {n: Part(os.getpid, ()) for n in range(3)} | {
        3: Part(dying.die_once, (str(tmp_path / "died"),)),
        4: Part(dying.die, ()),
    }
    found = Workers(cluster).side_by_side(parts)
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert isinstance(found[4], Lost)
    tries = [each.tries for each in found.values() if not isinstance(each, Lost)]
    assert tries == [1, 1, 1, 2]
    time.sleep(2)
    assert capfd.readouterr() == ("", ""), "results belong on stdout, and nothing else"


def test_nothing_is_timed_beside_anything_else_though_a_worker_is_killed(
    cluster: Cluster, place: Place, tmp_path: Path
) -> None:
    store = Store(tmp_path / "store")
    search = known(place, CALIBRATED, 6, store)
    workers, journal = Workers(cluster), Journal(tmp_path)
    reference, _ = workers.alone(Part(referred, (search.job(StoreSettings(store.root)),)))
    killed: list[int] = []
    over = threading.Event()

    def kill_one() -> None:
        while not killed and not over.wait(0.05):
            for pid, line in ray_processes(os.getpid()).items():
                if line.startswith("ray::on_worker") and not killed:
                    time.sleep(0.3)
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    watcher = threading.Thread(target=kill_one)
    watcher.start()
    try:
        batches = OnCluster(
            workers, lambda each: search.job_of(StoreSettings(store.root), each), reference, lambda what: None
        )
        records = go_on(search.settings, 6, journal, lambda: batches, lambda record, cached: None)
    finally:
        over.set()
        watcher.join()
    assert killed
    own = [each for each in records if each.same_as is None]
    assert {each.state for each in own} == {"complete"}
    assert max(each.built.tries for each in own if each.built is not None) >= 2
    assert_alone(cluster, own)
    (tmp_path / "again").mkdir()
    batches = OnCluster(
        workers, lambda each: search.job_of(StoreSettings(store.root), each), reference, lambda what: None
    )
    again = go_on(search.settings, 4, Journal(tmp_path / "again"), lambda: batches, lambda record, cached: None)
    assert [each.accuracy for each in again] == [each.accuracy for each in records[:4]]
    assert all(each.cached == each.stages for each in (each.built for each in again) if each is not None)


def assert_alone(cluster: Cluster, records: list[TrialRecord]) -> None:
    """No timing overlaps a build or another timing: neither by Ray's timeline nor by the journal."""
    windows = sorted({(each.latency.began, each.latency.ended) for each in records if each.latency is not None})
    deadline = time.monotonic() + 30
    while True:  # events reach the timeline a little later
        events = [each for each in cluster.ray.timeline() if each["cat"] in (BUILDS, TIMES)]
        if sum(each["cat"] == TIMES for each in events) > len(windows) or time.monotonic() > deadline:
            break
        time.sleep(1)
    spans = [(each["ts"], each["ts"] + each["dur"], each["cat"]) for each in events]
    timings = [each for each in spans if each[2] == TIMES]
    assert len(timings) == 1 + len(windows), "of the reference, and of each batch"
    assert windows
    assert any(each[2] == BUILDS for each in spans)
    for one in timings:
        others = [each for each in spans if each is not one]
        assert all(each[1] <= one[0] or each[0] >= one[1] for each in others), (one, others)
    assert all(before[1] <= after[0] for before, after in pairwise(windows))
    for each in records:
        assert each.built is not None
        assert all(each.built.ended <= began or each.built.began >= ended for began, ended in windows)


def run(flags: list[str], store: Path, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "edgekit", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"EDGEKIT_CACHE": str(store)} | environment,
    )


def told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a search that succeeds says."""
    said, errors = process.communicate(timeout=550)
    assert process.returncode == 0, errors
    found: dict[str, Any] = json.loads(said)
    return found


def lines(out: Path) -> int:
    path = out / "trials.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.1)


def is_of_ray(pid: int) -> bool:
    """Whether a process is one of Ray's, and runs."""
    try:
        return b"ray" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.fixture(scope="module")
def whole(place: Place, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, Any]]:
    """The folder and the store of a whole search, and what it said."""
    folder = tmp_path_factory.mktemp("whole")
    flags = place.flags(PRUNED, 8, folder / "out")
    found = told(run([*flags, "--front", "2", "--front-minutes", "0.05", "--json"], folder / "store"))
    return folder / "out", folder / "store", found


@pytest.mark.slow
def test_a_whole_search_leaves_its_front(whole: tuple[Path, Path, dict[str, Any]]) -> None:
    out, _, found = whole
    assert len(found["trials"]) == lines(out) == 8
    assert json.loads((out / "search.json").read_text())["front"] == found["front"]
    first = found["trials"][0]["setting"]
    assert (first["pruning"], first["importance"]) == ("auto", "fisher")
    assert found["counts"]["complete"] >= 2
    assert found["hypervolume"]["value"] == found["hypervolume"]["by_trial"][-1] >= 0
    assert found["built"][0]["number"] is None
    assert len(found["built"]) == 1 + min(2, len(found["front"]) + len(found["undecided"]))
    for each in found["built"]:
        assert check_bundle(out / each["bundle"]) == []
        if each["number"] is not None:
            assert each["against_default"]["slower"] > 0
            assert each["against_default"]["paired"]
    assert found["timed_together"] == 5
    assert "trial-" in (out / "index.html").read_text()
    for each in found["trials"]:
        complete = each["state"] == "complete" and each["same_as"] is None
        assert (each["accuracy"] is not None) == complete
        assert complete or each["reason"]


@pytest.mark.slow
def test_a_point_of_the_front_is_built_again_from_its_lock(
    whole: tuple[Path, Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _, found = whole
    bundle = out / found["built"][1]["bundle"]
    flags = ["build", "--locked", str(bundle / "recipe.lock.yaml"), "--out", str(tmp_path / "again"), "--json"]
    process = run(flags, tmp_path / "store")
    _, errors = process.communicate(timeout=300)
    assert process.returncode in (0, 3), errors
    assert (tmp_path / "again" / "model.onnx").read_bytes() == (bundle / "model.onnx").read_bytes()
    assert read_lock(tmp_path / "again" / "recipe.lock.yaml") == read_lock(bundle / "recipe.lock.yaml")


@pytest.mark.slow
def test_a_second_run_does_nothing_again(whole: tuple[Path, Path, dict[str, Any]], place: Place) -> None:
    out, store, found = whole
    before = (out / "trials.jsonl").read_bytes()
    flags = place.flags(PRUNED, 8, out)
    again = told(run([*flags, "--front", "2", "--front-minutes", "0.05", "--json"], store))
    assert again["counts"]["cached"] == 8
    assert again["cluster"] is None, "no cluster was started"
    assert (out / "trials.jsonl").read_bytes() == before
    assert again["built"] == found["built"]
    other = run([*flags, "--seed", "1"], store)
    _, errors = other.communicate(timeout=100)
    assert other.returncode == 2, errors
    assert "is of another search" in errors
    assert "seed" in errors


@pytest.mark.slow
def test_a_search_that_was_killed_or_interrupted_goes_on(place: Place, tmp_path: Path) -> None:
    out, store = tmp_path / "out", tmp_path / "store"
    flags = [*place.flags(CALIBRATED, 6, out), "--batch", "2", "--front", "0"]
    process, own = run(flags, store), set[int]()

    def has_begun() -> bool:
        own.update(ray_processes(process.pid))
        return lines(out) >= 1

    until(has_begun, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 130
    assert len(own) > 3
    assert [pid for pid in own if is_of_ray(pid)] == [], "no process of Ray is left"
    done = lines(out)
    process = run(flags, store)
    until(lambda: lines(out) >= done + 1, process)
    process.kill()
    process.communicate(timeout=120)
    done = lines(out)
    kept = (out / "trials.jsonl").read_bytes()
    with (out / "trials.jsonl").open("ab") as file:
        file.write(b'{"number":5,"sett')
    found = told(run([*flags, "--json"], store))
    assert found["counts"]["cached"] == done
    assert (out / "trials.jsonl").read_bytes().startswith(kept)
    assert [each["number"] for each in found["trials"]] == list(range(6))
    assert lines(out) == 6
    assert any("cut off" in line for line in found["warnings"])


@pytest.mark.slow
@pytest.mark.usefixtures("pi")
def test_networks_are_timed_on_a_device(place: Place, tmp_path: Path) -> None:
    flags = [*place.flags(CALIBRATED, 3, tmp_path / "out"), "--batch", "3", "--front", "1"]
    flags += ["--front-minutes", "0.05", "--device", "pi"]
    found = told(run([*flags, "--json"], tmp_path / "store"))
    own = [each for each in found["trials"] if each["same_as"] is None]
    assert {each["state"] for each in own} == {"complete"}
    assert all(each["latency"]["p50"] > 0 for each in own)
    assert found["why_not"] == "bundles are not timed again on devices"
    assert [each["p50"] is not None for each in found["built"]] == [True, True]


@pytest.mark.slow
def test_two_nodes_without_a_folder_in_common_share_what_is_made(place: Place, tmp_path: Path) -> None:
    own = {"PYTHONPATH": str(Path(edgekit.__file__).parents[1]), "EDGEKIT_CACHE": str(tmp_path / "other")}
    flags = [*place.flags(CALIBRATED, 6, tmp_path / "out"), "--batch", "3", "--front", "1", "--front-minutes", "0.05"]
    with ray_nodes(OtherNode(own)) as two:
        process = run([*flags, "--cluster", "auto", "--store", "ray", "--json"], tmp_path / "driver", **two.environment)
        found = told(process)
    trials = [each for each in found["trials"] if each["same_as"] is None]
    assert {each["state"] for each in trials} == {"complete"}
    assert (found["cluster"]["workers"], len(found["cluster"]["nodes"])) == (2, 2)
    spans = sorted((each["built"]["began"], each["built"]["ended"]) for each in trials)
    assert any(after[0] < before[1] for before, after in pairwise(spans)), "both nodes had work at one time"
    counts = [(each["built"]["stages"], each["built"]["cached"]) for each in trials]
    assert sum(cached >= 1 for _, cached in counts) >= len(counts) - 2, counts  # the first on each node begin at once
    assert (tmp_path / "driver" / "entries").is_dir()
    for each in found["built"]:
        assert check_bundle(tmp_path / "out" / each["bundle"]) == []
