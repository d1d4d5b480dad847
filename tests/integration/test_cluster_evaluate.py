"""Evaluation on workers of a real Ray, started on this machine: the same answers as one process gives, bit for bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from edgekit.build.ensemble import Named, prepare_ensemble
from edgekit.cli.evaluate_run import Where, _here, run
from edgekit.cli.output import SilentProgress
from edgekit.cluster import evaluate as on_cluster
from edgekit.cluster.connection import Cluster, ClusterSettings, connected
from edgekit.cluster.evaluate import ClusterOutcome, Facts, State, Task, evaluate_on
from edgekit.cluster.shards import EVALUATE_SHARD, ShardInput, arithmetic_of, member_inputs, shards_of
from edgekit.data.folder import open_images
from edgekit.data.image_set import ImageSet, Selection
from edgekit.data.labels import LabelRules
from edgekit.errors import InputError
from edgekit.recipe import merged
from edgekit.store import Store
from edgekit.targets import this_machine
from edgekit.validate.evaluation import Views
from edgekit.validate.protocols import Outcome
from edgekit.validate.tasks import judge

Tiny = Callable[..., Path]
Photos = Callable[..., Path]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home of the tests' own, in which Ray must leave nothing."""
    made = tmp_path_factory.mktemp("home")
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(made)
    yield made
    if before is None:
        del os.environ["HOME"]
    else:
        os.environ["HOME"] = before


@pytest.fixture(scope="module")
def cluster(home: Path) -> Iterator[Cluster]:
    """Two workers on this machine."""
    with connected(ClusterSettings("local", 2)) as made:
        yield made


def networks(first: Path, *others: Path, task: str = "classify") -> tuple[Named, ...]:
    told = {"model": str(first), "preprocessing": {"mean": 0.4, "std": 0.25}, "task": task}
    recipe = merged({}, told)
    return prepare_ensemble(recipe, [str(each) for each in others], None, Store())


def here(named: Sequence[Named], images: ImageSet, crops: int = 1) -> Outcome:
    return _here(named, images, crops, SilentProgress()).outcome


def there(cluster: Cluster, named: Sequence[Named], images: ImageSet, crops: int = 1, **more: bool) -> ClusterOutcome:
    return evaluate_on(cluster, Task(member_inputs(named), images, crops, **more), Store())


def same(one: Outcome, other: Outcome) -> None:
    for mine, its in zip((*one.single, *one.probabilities), (*other.single, *other.probabilities), strict=True):
        np.testing.assert_array_equal(mine, its)
    assert (one.crops, one.views, one.activations) == (other.crops, other.views, other.activations)


def test_nothing_listens_beyond_this_machine_and_nothing_is_told(cluster: Cluster, home: Path) -> None:
    sockets = {
        os.readlink(f"/proc/{pid}/fd/{each}")
        for pid in (os.getpid(), *of_this_run())
        for each in os.listdir(f"/proc/{pid}/fd")
        if os.path.islink(f"/proc/{pid}/fd/{each}")
    }
    listening = {
        fields[1].rpartition(":")[0]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and f"socket:[{fields[9]}]" in sockets
    }
    assert listening
    assert listening <= {"0100007F", "0000000000000000FFFF00000100007F"}
    # those of Python write their titles over it
    native = [pid for pid in of_this_run() if _command(pid).split("\0")[0].endswith(("raylet", "gcs_server"))]
    assert len(native) == 2
    for pid in native:
        assert b"RAY_USAGE_STATS_ENABLED=0" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    assert list(home.iterdir()) == []


def of_this_run() -> list[int]:
    """Processes of Ray that this one has started, and theirs."""
    children: dict[int, list[int]] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdecimal():
            try:
                parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(each.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        inner = children.get(waiting.pop(), [])
        found += inner
        waiting += inner
    return [pid for pid in found if "ray" in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def test_workers_have_processors_of_their_own(cluster: Cluster) -> None:
    cores = sorted(os.sched_getaffinity(0))
    assert [core for share in cluster.shares for core in share.cores] == (cores if len(cores) > 1 else cores * 2)
    assert {share.node.name for share in cluster.shares} == {cluster.nodes[0].name}
    assert cluster.warnings == ()


def test_signs_have_the_same_answers(cluster: Cluster, tiny_onnx: Tiny) -> None:
    named, images = networks(tiny_onnx(classes=24)), open_images("signs", limit=300)
    found = there(cluster, named, images)
    same(found.outcome, here(named, images))
    facts = found.facts
    assert (facts.where, facts.workers, facts.cached_shards, facts.retried_shards) == ("local", 2, 0, 0)
    assert facts.shards == len(shards_of(300, member_inputs(named), 1)) > 2
    assert [each.images for each in facts.nodes] == [300]
    assert (found.images, found.views) == (300, 300)


def test_image_files_have_the_same_answers_with_crops_and_ensembles(
    cluster: Cluster, tiny_onnx: Tiny, photos: Photos
) -> None:
    folder = photos(classes=4, count=20)
    images = open_images(folder)
    named = networks(tiny_onnx(seed=1), tiny_onnx(seed=2))
    for crops in (1, 12):
        same(there(cluster, named, images, crops).outcome, here(named, images, crops))


def test_vectors_and_sets_of_labels_are_the_same(cluster: Cluster, tiny_onnx: Tiny, photos: Photos) -> None:
    folder = photos(classes=4, count=20)
    rows = [f"{path.relative_to(folder)},{'0|1' if at % 3 else '2'}" for at, path in enumerate(pngs(folder))]
    (folder / "sets.csv").write_text("path,labels\n" + "\n".join(rows) + "\n")
    for task, images in (
        ("embed", open_images(folder)),
        ("multilabel", open_images(folder / "sets.csv", labels=LabelRules(sets=True))),
    ):
        named = networks(tiny_onnx(classes=3, seed=7), task=task)
        question = named[0].runnable.question
        assert question.task == task
        found, alone = there(cluster, named, images).outcome, here(named, images)
        same(found, alone)
        truth = Views(images, range(len(images)), named[0].runnable.preprocessing, True, question).truth
        one, other = (judge(question, each.single[0], truth)(each.single[0], True) for each in (found, alone))
        assert one == other
        assert (one.embedding or one.multilabel) is not None


def pngs(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.png"))


def test_images_are_sent_by_content_and_kept_shards_are_found_again(
    cluster: Cluster, tiny_onnx: Tiny, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_images(photos(classes=2, count=30))
    named = networks(tiny_onnx(seed=3))
    monkeypatch.setattr(on_cluster, "_check_seen", lambda *given: pytest.fail("files need not be seen"))
    found = there(cluster, named, images, send_data=True)
    same(found.outcome, here(named, images))
    again = there(cluster, named, images, send_data=True)
    same(again.outcome, found.outcome)
    assert (again.facts.cached_shards, again.images) == (again.facts.shards, 0)
    without_ray = run(named, images, 1, Where(ClusterSettings(), False, Store()), SilentProgress())
    same(without_ray.outcome, found.outcome)
    assert without_ray.images_per_s is None
    assert without_ray.cluster == Facts("local", 0, (), again.facts.shards, again.facts.shards, 0, 0.0, 0.0)


def test_one_process_and_a_worker_make_the_same_stage(cluster: Cluster, tiny_onnx: Tiny) -> None:
    named, images = networks(tiny_onnx(classes=24)), open_images("signs", limit=40)
    found = there(cluster, named, images)
    members = member_inputs(named)
    first = shards_of(40, members, 1)[0]
    given = ShardInput(members, Selection(images, tuple(first)), 1, arithmetic_of(this_machine()))
    path = Store().get(EVALUATE_SHARD.key(given))
    assert path is not None
    own = path.parent / "own"
    own.mkdir()
    EVALUATE_SHARD.make(given, own, lambda *told: None)
    for mine, kept in zip(EVALUATE_SHARD.read(own).single, EVALUATE_SHARD.read(path).single, strict=True):
        np.testing.assert_array_equal(mine, kept)
        np.testing.assert_array_equal(mine, found.outcome.single[0][: len(first)])


def test_a_killed_worker_is_replaced_and_nothing_counts_twice(cluster: Cluster, tiny_onnx: Tiny) -> None:
    named, images = networks(tiny_onnx(classes=24, seed=4)), open_images("signs", limit=480)
    killed: list[int] = []

    def kill_one(state: State) -> None:
        if not killed and 0 < state.done < 200:
            workers = [pid for pid in of_this_run() if "Evaluator" in _command(pid)]
            os.kill(workers[0], signal.SIGKILL)
            killed.append(workers[0])

    told: list[int] = []
    found = evaluate_on(
        cluster,
        Task(member_inputs(named), images),
        Store(),
        lambda state: (kill_one(state), told.append(state.done))[1],
    )
    assert killed
    assert found.facts.retried_shards >= 1
    assert (found.images, found.views, told[-1]) == (480, 480, 480)
    assert told == sorted(told)
    same(found.outcome, here(named, images))


def test_an_image_that_changed_since_is_named_with_the_node(cluster: Cluster, tiny_onnx: Tiny, photos: Photos) -> None:
    folder = photos(classes=2, count=60)
    images = open_images(folder)
    read = {each.location for each in on_cluster.to_look_at(images) if each.sha256 is not None}
    spoilt = next(path for path in pngs(folder) if str(path) not in read)
    spoilt.write_bytes(bytes(spoilt.stat().st_size))
    with pytest.raises(InputError, match=rf"on node .*: the image {spoilt} is another one than"):
        there(cluster, networks(tiny_onnx(seed=5)), images)


def test_files_that_a_node_does_not_see_are_named(
    cluster: Cluster, tiny_onnx: Tiny, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = open_images(photos(classes=2, count=4))
    seen = on_cluster.to_look_at(images)

    def look(given: ImageSet) -> object:
        Path(seen[3].location).unlink()  # as on a node that lacks it
        return seen

    monkeypatch.setattr(on_cluster, "to_look_at", look)
    with pytest.raises(InputError, match=r"the node .* does not see the images: .*/3.png: No such file") as refused:
        there(cluster, networks(tiny_onnx(seed=6)), images)
    assert "--send-data" in refused.value.hint
