"""A build matrix on a real Ray: bundles by path and by object, a killed worker, the driver's store for the workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from classifiers import Graph, balanced, patches
from PIL import Image

from edgekit.build.matrix_file import Member, read_matrix
from edgekit.build.runner import Event
from edgekit.bundle.directory import check_bundle
from edgekit.cli.matrix import judged
from edgekit.cluster.connection import Cluster, ClusterSettings, connected
from edgekit.cluster.matrix import Ear, Order, Room, Watching, build_on_cluster, build_there
from edgekit.cluster.sent import place_files
from edgekit.cluster.store import OverRay, StoreDesk, workers_store
from edgekit.cluster.workers import Place
from edgekit.report.matrix import Outcome
from edgekit.store import Store
from edgekit.store.opening import StoreSettings
from edgekit.store.sharing import Sharing

QUICK = {
    "prune": "none",
    "latency": {"runs": 10, "max_seconds": 0.1},
    "preprocessing": {"mean": [0], "std": [1], "crop_fraction": 1},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small network, a file that is none, and pictures."""
    folder = tmp_path_factory.mktemp("matrix")
    pictures = patches(30)
    (folder / "photos").mkdir()
    for number, each in enumerate(pictures):
        Image.fromarray(each).save(folder / "photos" / f"{number}.png")
    graph = Graph()
    graph.head(graph.convolution(graph.convolution("x", 3, 16), 16, 16), 16, 5)
    balanced(graph.save(folder / "net.onnx"), pictures)
    (folder / "bad.onnx").write_bytes(b"no network")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Ray on this machine, with two workers, and a home of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("EDGEKIT_CACHE", str(tmp_path_factory.mktemp("workers-store")))
        with connected(ClusterSettings("local", workers=2)) as found:
            yield found


def members(place: Path, *targets: str, names: Sequence[str] = ("net.onnx",)) -> tuple[Member, ...]:
    told = {
        "recipe": {**QUICK, "data": str(place / "photos")},
        "models": [str(place / name) for name in names],
        "targets": list(targets),
    }
    (place / "matrix.yaml").write_text(yaml.safe_dump(told))
    return read_matrix(place / "matrix.yaml", {}, {})


@dataclass
class Seen:
    """What a matrix told."""

    outcomes: list[Outcome] = field(default_factory=list)
    going: set[int] = field(default_factory=set)
    most: int = 0
    warnings: list[str] = field(default_factory=list)
    on_event: Callable[[int, Event], None] = lambda number, event: None

    def watching(self) -> Watching:
        def noted(outcomes: Sequence[Outcome]) -> None:
            self.outcomes = list(outcomes)

        def begun(number: int, node: str) -> None:
            self.going.add(number)
            self.most = max(self.most, len(self.going))

        def heard(number: int, event: Event) -> None:
            self.warnings += [event.warning] if event.warning else []
            self.on_event(number, event)

        return Watching(judged, noted, begun, heard, lambda number, outcome: self.going.discard(number))


@pytest.fixture(scope="module")
def driver(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, OverRay]:
    """A store of the driver's, and how workers reach it."""
    store = Store(tmp_path_factory.mktemp("driver") / "store")
    desk = cluster.ray.remote(StoreDesk).options(num_cpus=0, max_concurrency=8).remote(str(store.root))
    return store, OverRay(desk)


def test_builds_share_a_node_and_one_that_fails_stops_no_other(
    cluster: Cluster, place: Path, tmp_path: Path, driver: tuple[Store, OverRay]
) -> None:
    """What the worker makes is in the driver's store afterwards, then a bundle comes by objects and nothing is made."""
    store, shared = driver
    out, seen = tmp_path / "out", Seen()
    asked = members(place, "jetson", names=("net.onnx", "bad.onnx"))
    build_on_cluster(asked, out, Room(cluster, True, StoreSettings(tmp_path / "one", shared)), seen.watching())
    assert seen.most == 2
    found = {each.name: each for each in seen.outcomes}
    assert (found["net-jetson"].state, found["net-jetson"].cached) == ("built", 0)
    assert (found["bad-jetson"].exit_code, found["bad-jetson"].bundle) == (2, None)
    assert check_bundle(out / "net-jetson") == []
    assert {each.name for each in out.iterdir()} == {"net-jetson"}
    assert found["net-jetson"].node == cluster.nodes[0].name
    made = {row.key for row in store.ls()}
    assert made == {row.key for row in Store(tmp_path / "one").ls()}
    assert [row.problem for row in store.verify()] == [None] * len(made)

    order = Order(
        0, asked[0], tmp_path / "unseen", "no-mark", StoreSettings(tmp_path / "two", shared),
        Place(cluster.shares[0].cores, cluster.settings), judged,
    )  # fmt: skip
    ear = cluster.ray.remote(Ear).options(num_cpus=0).remote()
    sent = cluster.ray.get(cluster.ray.remote(build_there).options(num_cpus=1).remote(order, ear))
    assert sent.outcome.stages == sent.outcome.cached > 0
    assert sent.files is not None
    assert not (tmp_path / "unseen").exists()
    place_files(sent.files, tmp_path / "sent" / "net-jetson")
    assert check_bundle(tmp_path / "sent" / "net-jetson") == []
    assert {"export", "quantize"} <= {event.stage for _, event in cluster.ray.get(ear.taken.remote())}


def workers_of(process: int) -> list[int]:
    """Processes of Ray that build, below a process."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::build_there" in (each / "cmdline").read_bytes() and process in _above(int(each.name)):
                found.append(int(each.name))
        except OSError:
            continue
    return found


def _above(process: int) -> Iterator[int]:
    while process > 1:
        process = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
        yield process


@contextmanager
def killing(times: int) -> Iterator[Callable[[int, Event], None]]:
    """A listener that kills the worker at its first events, so many times."""
    killed: list[int] = []

    def tell(number: int, event: Event) -> None:
        if len(killed) < times and event.stage not in ("build",):
            for process in workers_of(os.getpid()):
                if process not in killed:
                    killed.append(process)
                    os.kill(process, signal.SIGKILL)

    yield tell
    assert len(killed) == times


@pytest.mark.slow
@pytest.mark.parametrize(("times", "state"), [(1, "built"), (2, "failed")])
def test_a_killed_worker_is_tried_once_more(
    cluster: Cluster, place: Path, tmp_path: Path, times: int, state: str
) -> None:
    with killing(times) as kill:
        seen = Seen(on_event=kill)
        room = Room(cluster, True, StoreSettings(tmp_path / "store"))
        build_on_cluster(members(place, "cpu"), tmp_path / "out", room, seen.watching())
    (outcome,) = seen.outcomes
    assert (outcome.state, outcome.attempts) == (state, 2)
    assert sum("tried once more" in line for line in seen.warnings) == 1
    if state == "failed":
        assert outcome.exit_code == 4
        assert "was lost 2 times" in str(outcome.error)
    else:
        assert outcome.figures is not None
        assert outcome.figures.p50 is not None
        assert check_bundle(tmp_path / "out" / "net-cpu") == []


def test_what_store_workers_use(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "own"))
    assert workers_store(cluster, StoreSettings()) == StoreSettings(tmp_path / "own")
    told = StoreSettings(tmp_path / "told")
    assert workers_store(cluster, told) == told
    by_ray: Any = workers_store(cluster, StoreSettings(by_ray=True))
    assert by_ray.root is None
    assert by_ray.shared.record("a" * 64) is None

    content = bytes(20 << 20) + b"end"
    one, two = (Store(tmp_path / name, Sharing(by_ray.shared)) for name in ("one", "two"))
    one.build("b" * 64, "s", lambda folder: (folder / "large.bin").write_bytes(content) and None)
    found = two.find("b" * 64, "s")
    assert found is not None
    assert (found / "large.bin").read_bytes() == content
    assert Store().get("b" * 64) is not None
    assert (one.troubles(), two.troubles()) == ((), ())


def begun(place: Path, tmp_path: Path, *flags: str) -> subprocess.Popen[str]:
    """The command with --cluster, on a matrix of one build that times."""
    members(place, "cpu")
    command = [sys.executable, "-m", "edgekit", "build", "--matrix", str(place / "matrix.yaml"), "--cluster", *flags]
    return subprocess.Popen(
        [*command, "--out", "out"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path / "home"), "EDGEKIT_CACHE": str(tmp_path / "store")},
    )


def below(process: int) -> set[int]:
    """Processes below one."""
    found = set()
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process in _above(int(each.name)):
                found.add(int(each.name))
    return found


@pytest.mark.slow
def test_the_command_on_a_cluster(place: Path, tmp_path: Path) -> None:
    going = begun(place, tmp_path, "--store", "ray", "--json")
    out, err = going.communicate(timeout=300)
    assert going.returncode == 0, err
    told = json.loads(out)
    assert [(each["name"], each["state"], each["attempts"]) for each in told["builds"]] == [("net-cpu", "built", 1)]
    assert told["builds"][0]["figures"]["p50"] > 0
    assert check_bundle(tmp_path / "out" / "net-cpu") == []
    assert "net-cpu: begins on" in err
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_ctrl_c_ends_all_of_ray(place: Path, tmp_path: Path) -> None:
    going = begun(place, tmp_path)
    assert going.stderr is not None
    for line in going.stderr:
        if "begins on" in line:
            break
    inside = below(going.pid)
    assert inside
    going.send_signal(signal.SIGINT)
    _, err = going.communicate(timeout=120)
    assert going.returncode == 130, err
    assert "what is done is in out" in err
    until = time.monotonic() + 20
    while time.monotonic() < until and any(Path(f"/proc/{each}").exists() for each in inside):
        time.sleep(0.2)
    assert [each for each in inside if Path(f"/proc/{each}").exists()] == []
