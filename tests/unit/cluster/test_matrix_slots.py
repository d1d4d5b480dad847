"""Where builds find room on a cluster, and the desk that workers reach the driver's store by."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekit.cluster.matrix import with_absolute_paths
from edgekit.cluster.nodes import Node, NodeFacts, shared_out
from edgekit.cluster.sent import place_files
from edgekit.cluster.slots import Slots, times_here
from edgekit.cluster.store import StoreDesk
from edgekit.cluster.versions import software_here
from edgekit.errors import InputError
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.store.entries import ENTRY_FILE, read_record
from edgekit.store.intake import one_line
from edgekit.store.shared import UntrueError, contents_of
from edgekit.targets import this_machine

HERE, ELSEWHERE = Recipe(target="cpu"), Recipe(target="jetson")


def node(name: str, cpus: int) -> Node:
    facts = NodeFacts(name, tuple(range(cpus)), this_machine(), software_here())
    return Node(name, "10.0.0.1", name, cpus, facts)


@dataclass
class Nodes:
    """A cluster as far as slots look at it."""

    nodes: tuple[Node, ...]
    workers: int | None = None
    shares: Any = field(init=False)
    ray: Any = field(init=False)

    def __post_init__(self) -> None:
        self.shares = shared_out(self.nodes, self.workers)
        told = [{"NodeID": each.id, "Alive": True, "Resources": {"edgekit_timing": 1.0}} for each in self.nodes[:1]]
        self.ray = SimpleNamespace(nodes=lambda: told)


def slots(*cpus: int, workers: int | None = None) -> Slots:
    nodes = tuple(node(f"n{place}", count) for place, count in enumerate(cpus))
    return Slots(Nodes(nodes, workers), workers is not None)  # type: ignore[arg-type]


def test_what_times_has_a_node_to_itself() -> None:
    room = slots(8, 8)
    first, second = room.take(HERE), room.take(ELSEWHERE)
    assert first is not None
    assert second is not None
    assert (first.node.id, first.cpus, first.cores, first.resources) == (
        *("n0", 8, tuple(range(8))),
        {"edgekit_timing": 1.0},
    )
    assert (second.node.id, second.cpus, second.resources) == ("n1", 4, {})
    assert room.take(HERE) is None
    third = room.take(ELSEWHERE)
    assert third is not None
    assert (third.node.id, set(third.cores) & set(second.cores)) == ("n1", set())
    assert room.take(ELSEWHERE) is None
    room.give_back(second)
    assert room.take(HERE) is None
    room.give_back(third)
    again = room.take(HERE)
    assert again is not None
    assert (again.node.id, again.resources) == ("n1", {})


def test_small_nodes_are_not_shared_unless_that_is_asked() -> None:
    room = slots(2)
    assert room.take(ELSEWHERE) is not None
    assert room.take(ELSEWHERE) is None
    room = slots(2, workers=2)
    both = [room.take(ELSEWHERE), room.take(ELSEWHERE)]
    assert [each.cores for each in both if each] == [(0,), (1,)]
    crowded = slots(1, workers=3)
    assert [crowded.take(ELSEWHERE) is not None for _ in range(4)] == [True, True, True, False]


def test_a_device_is_timed_on_by_one_build() -> None:
    room = slots(8)
    device = Recipe(target="jetson", device="orin")
    first = room.take(device)
    assert first is not None
    assert first.cpus == 4
    assert room.take(device) is None
    assert room.take(Recipe(target="jetson", device="other")) is not None
    room.give_back(first)
    assert room.take(device) is not None


def test_nodes_that_are_gone_get_nothing() -> None:
    room = slots(2, 2)
    room.keep({"n1"})
    found = room.take(HERE)
    assert found is not None
    assert found.node.id == "n1"
    room.keep(set())
    assert not room.any()


@pytest.mark.parametrize(
    ("recipe", "times"),
    [(HERE, True), (ELSEWHERE, False), (Recipe(target="rtx"), False), (Recipe(target="cpu", device="pi"), False)],
)
def test_which_builds_time_where_they_run(recipe: Recipe, times: bool) -> None:
    assert times_here(recipe) is times


def test_workers_get_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = Recipe.model_validate({"model": "net.onnx", "data": "signs", "calibration": {"data": "photos/"}})
    found = with_absolute_paths(recipe)
    assert found == recipe.model_copy(
        update={
            "model": str(tmp_path / "net.onnx"),
            "calibration": recipe.calibration.model_copy(update={"data": str(tmp_path / "photos")}),
        }
    )
    assert with_absolute_paths(Recipe()) == Recipe()


def test_a_bundle_that_leads_out_of_its_folder_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leads out"):
        place_files({"../x": b""}, tmp_path / "out" / "net")
    with pytest.raises(InputError):
        place_files({"model.onnx": b""}, tmp_path / "out" / "net")
    assert not list(tmp_path.rglob("x"))
    assert list((tmp_path / "out").iterdir()) == []


KEY = "a" * 64


def fill(folder: Path) -> None:
    (folder / "x.bin").write_bytes(b"hello" * 1000)


def test_the_desk_gives_and_takes_entries(tmp_path: Path) -> None:
    theirs = Store(tmp_path / "theirs")
    made = theirs.build(KEY, "s", fill).path
    record = read_record(made)
    assert record is not None
    desk = StoreDesk(str(tmp_path / "ours"))
    assert desk.record(KEY) is None
    line = one_line((made / ENTRY_FILE).read_bytes())
    ticket = desk.begin(KEY, len(line) + 5000)
    desk.add(ticket, line)
    for piece in contents_of(made, record, 700):
        desk.add(ticket, piece)
    assert desk.finish(ticket)
    assert desk.record(KEY) is not None
    assert desk.piece(KEY, "x.bin", 0) == b"hello" * 1000
    assert desk.piece(KEY, "x.bin", 5000) == b""
    assert [desk.piece(KEY, name, 0) for name in ("../../README", "/etc/passwd", "entry.json")] == [b""] * 3
    assert [desk.piece(key, "x.bin", 0) for key in ("..", "b" * 64)] == [b""] * 2
    assert desk.record("../" + KEY) is None
    short = desk.begin("b" * 64, 3)
    desk.add(short, b"{}\n")
    with pytest.raises(UntrueError):
        desk.finish(short)
