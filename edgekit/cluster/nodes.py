"""The nodes of a cluster, and how workers share their processors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgekit.cluster.versions import Software, software_here
from edgekit.cluster.workers import Settings, take
from edgekit.errors import InputError
from edgekit.targets import Machine, this_machine

BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
"""The same in all containers of one running machine, and on no other."""


@dataclass(frozen=True)
class NodeFacts:
    """What a process of a node says of it.

    Attributes:
        host: which running machine it is on: two nodes can be on one.
        cores: the processors that it may run on, by their numbers.
    """

    host: str
    cores: tuple[int, ...]
    machine: Machine
    software: Software


@dataclass(frozen=True)
class Node:
    """A node of the cluster.

    Attributes:
        name: for people: the host's, with the address where several nodes are on it.
        id: Ray's.
        cpus: as many as Ray was told that it has, at least 1.
    """

    name: str
    address: str
    id: str
    cpus: int
    facts: NodeFacts

    @property
    def processor(self) -> str:
        """The processor's name."""
        return self.facts.machine.cpu


@dataclass(frozen=True)
class Share:
    """What one worker gets of a node.

    Attributes:
        cores: processors that it runs on, by their numbers; workers have none in common unless there are more of them
            than processors.
        cpus: what it takes of Ray's CPUs of the node.
    """

    node: Node
    cores: tuple[int, ...]
    cpus: float


def facts_here(settings: Settings) -> NodeFacts:
    """What the process that asks is on. Runs on every node before work is given to it, with the driver's settings."""
    take(settings)
    cores = tuple(sorted(os.sched_getaffinity(0)))
    return NodeFacts(host_here(), cores, this_machine(), software_here())


def host_here() -> str:
    """Which running machine this is."""
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return os.uname().nodename


def shared_out(nodes: Sequence[Node], workers: int | None) -> tuple[Share, ...]:
    """Which processors each worker runs on.

    Args:
        workers: in all; None: one a node, with all of the node's processors.
    Raises:
        InputError: that is none.
    """
    if workers is not None and workers < 1:
        raise InputError("a cluster without workers does nothing", "Give --workers 1 or more.")
    counts = _counts(nodes, len(nodes) if workers is None else workers)
    cores = _cores_of_nodes([node for node in nodes if counts[node.id]])
    shares = []
    for node in nodes:
        count, own = counts[node.id], cores.get(node.id, ())
        for place in range(count):
            shares.append(Share(node, _part(own, place, count), _cpus(node, count)))
    return tuple(shares)


def _counts(nodes: Sequence[Node], workers: int) -> Mapping[str, int]:
    """How many workers each node gets: one after another to the node with most processors a worker, so that large nodes
    get more of them; the largest nodes first where there are fewer workers than nodes."""
    counts = {node.id: 0 for node in nodes}
    for _ in range(workers):
        best = max(nodes, key=lambda node: (counts[node.id] == 0, node.cpus / (counts[node.id] + 1)))
        counts[best.id] += 1
    return counts


def _cores_of_nodes(nodes: Sequence[Node]) -> Mapping[str, tuple[int, ...]]:
    """Processors of each node: nodes on one machine have none in common as long as there are enough."""
    found: dict[str, tuple[int, ...]] = {}
    for host in dict.fromkeys(node.facts.host for node in nodes):
        here = [node for node in nodes if node.facts.host == host]
        if len(here) == 1:
            found[here[0].id] = here[0].facts.cores[: max(1, here[0].cpus)]
            continue
        free = sorted({core for node in here for core in node.facts.cores})
        asked = sum(node.cpus for node in here)
        wanted = {n.id: n.cpus if asked <= len(free) else max(1, n.cpus * len(free) // asked) for n in here}
        for node in here:
            able = [core for core in free if core in node.facts.cores]
            taken = able[: wanted[node.id]] or list(node.facts.cores[: wanted[node.id]])
            free = [core for core in free if core not in taken]
            found[node.id] = tuple(taken)
    return found


def _part(cores: Sequence[int], place: int, count: int) -> tuple[int, ...]:
    """The processors of one of several workers; one that others have too where there are more workers than those."""
    if count > len(cores):
        return (cores[place % len(cores)],)
    return tuple(cores[place * len(cores) // count : (place + 1) * len(cores) // count])


def _cpus(node: Node, count: int) -> float:
    """Ray takes whole CPUs, or parts of one that are multiples of a ten-thousandth."""
    part = node.cpus / count
    return float(int(part)) if part >= 1 else int(part * 10_000) / 10_000


def different_processors(nodes: Sequence[Node]) -> str | None:
    """What must be said where nodes are not of one kind of processor; None where they are."""
    kinds: dict[tuple[str, tuple[str, ...]], str] = {}
    for node in nodes:
        kinds.setdefault((node.processor, node.facts.machine.features), node.name)
    if len(kinds) < 2:
        return None
    named = ", ".join(f"{name} has {processor}" for (processor, _), name in kinds.items())
    return f"the nodes have different processors ({named}): answers of INT8 networks may differ between them"
