"""How workers share the processors of nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.cluster.nodes import Node, NodeFacts, different_processors, facts_here, shared_out
from edgekit.cluster.versions import software_here
from edgekit.cluster.workers import thread_settings
from edgekit.errors import InputError
from edgekit.targets import Machine, this_machine

MACHINE = Machine("a processor", "x86_64", ("avx2",), 4)


def node(name: str, cpus: int, host: str | None = None, cores: int | None = None) -> Node:
    facts = NodeFacts(host or name, tuple(range(cores or cpus)), MACHINE, software_here())
    return Node(name, "10.0.0.1", f"id-{name}", cpus, facts)


def test_a_worker_has_its_whole_node_by_default() -> None:
    shares = shared_out([node("a", 4), node("b", 2)], None)
    assert [(each.node.name, each.cores, each.cpus) for each in shares] == [
        ("a", (0, 1, 2, 3), 4.0),
        ("b", (0, 1), 2.0),
    ]


def test_large_nodes_get_more_of_the_workers() -> None:
    shares = shared_out([node("a", 2), node("b", 6)], 4)
    assert [(each.node.name, each.cores) for each in shares] == [
        ("a", (0, 1)),
        ("b", (0, 1)),
        ("b", (2, 3)),
        ("b", (4, 5)),
    ]


def test_fewer_workers_than_nodes_go_to_the_largest() -> None:
    assert [each.node.name for each in shared_out([node("a", 2), node("b", 6), node("c", 4)], 2)] == ["b", "c"]


def test_nodes_on_one_machine_have_no_processor_in_common() -> None:
    a, b = node("a", 2, "one", 4), node("b", 2, "one", 4)
    assert [each.cores for each in shared_out([a, b], None)] == [(0, 1), (2, 3)]
    assert [each.cores for each in shared_out([a, b], 4)] == [(0,), (1,), (2,), (3,)]


def test_nodes_that_say_more_than_their_machine_has_share_it() -> None:
    a, b = node("a", 2, "one"), node("b", 2, "one")
    assert [each.cores for each in shared_out([a, b], None)] == [(0,), (1,)]


def test_a_node_without_workers_leaves_its_processors_to_others_on_the_machine() -> None:
    a, b = node("a", 4, "one", 4), node("b", 3, "one", 4)
    assert [each.cores for each in shared_out([a, b], 1)] == [(0, 1, 2, 3)]


def test_more_workers_than_processors_share_them() -> None:
    shares = shared_out([node("a", 2)], 4)
    assert [each.cores for each in shares] == [(0,), (1,), (0,), (1,)]
    assert [each.cpus for each in shares] == [0.5] * 4


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 2)), min_size=1, max_size=6), st.integers(1, 20))
def test_every_worker_has_processors_and_no_node_gives_more_than_it_has(
    told: list[tuple[int, int]], workers: int
) -> None:
    nodes = [node(str(place), cpus, f"host {host}", 8) for place, (cpus, host) in enumerate(told)]
    shares = shared_out(nodes, workers)
    assert len(shares) == workers
    assert all(each.cores and set(each.cores) <= set(each.node.facts.cores) and each.cpus > 0 for each in shares)
    for each in nodes:
        assert sum(share.cpus for share in shares if share.node == each) <= each.cpus + 1e-9
    for host in {each.facts.host for each in nodes}:
        taken = [core for share in shares if share.node.facts.host == host for core in share.cores]
        asked = sum(each.cpus for each in nodes if each.facts.host == host)
        counts = {each.id: sum(share.node == each for share in shares) for each in nodes}
        if asked <= 8 and all(counts[each.id] <= each.cpus for each in nodes):
            assert len(taken) == len(set(taken))


def test_no_workers_are_refused() -> None:
    with pytest.raises(InputError, match="without workers"):
        shared_out([node("a", 2)], 0)


def test_different_processors_are_named() -> None:
    a, b = node("a", 2), node("b", 2)
    assert different_processors([a, b]) is None
    other = replace(b, facts=replace(b.facts, machine=replace(MACHINE, cpu="another", features=())))
    assert different_processors([a, other]) == (
        "the nodes have different processors (a has a processor, b has another): answers of INT8 networks may differ"
        " between them"
    )


def test_a_node_tells_of_itself_with_the_drivers_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = thread_settings()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as Ray sets it for its workers
    assert facts_here(settings).machine == this_machine()
    assert dict(facts_here(settings).machine.settings).get("OMP_NUM_THREADS") == dict(settings).get("OMP_NUM_THREADS")
