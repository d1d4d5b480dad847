"""A cluster of Ray: started on this machine or joined, its nodes looked at, and left again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgekit.build.runner import Event, Listener, nobody
from edgekit.cluster.nodes import Node, NodeFacts, Share, different_processors, facts_here, shared_out
from edgekit.cluster.starting import started
from edgekit.cluster.versions import WHEEL_HINT, check_alike, software_here
from edgekit.cluster.workers import Place, Settings, thread_settings
from edgekit.errors import InputError, UnavailableError

CONNECTING: Final = "cluster"
"""The stage of the events that tell of the connection."""

LOOK_S: Final = 120.0
"""A node that does not answer after so long is named and refused."""


@dataclass(frozen=True)
class ClusterSettings:
    """Which cluster, and how much of it.

    Attributes:
        where: "local" (started here, for this run), "auto" (the running one that this machine is part of), or
            ray://HOST:PORT.
        workers: in all; None: one a node, which gets all of its processors.
        wheel: of edgekit, which workers are given.
    """

    where: str = "local"
    workers: int | None = None
    wheel: Path | None = None


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process is connected to.

    Attributes:
        shares: one a worker; nodes without one do nothing.
        settings: of threads, as they are on the driver.
        start_seconds: that it took to start or join it.
        warnings: what the user should know of it.
        ray: the module.
    """

    where: str
    nodes: tuple[Node, ...]
    shares: tuple[Share, ...]
    settings: Settings
    start_seconds: float
    warnings: tuple[str, ...]
    ray: Any

    def place(self, share: Share) -> Place:
        """What a worker of that share is given to settle with (edgekit.cluster.workers)."""
        return Place(share.cores, self.settings)

    def on(self, node: Node) -> Any:
        """Ray's scheduling strategy for tasks and actors of a node: there or nowhere."""
        return _only_on(node.id)

    def alive(self) -> frozenset[str]:
        """Ids of the nodes that are there now."""
        return frozenset(each["NodeID"] for each in self.ray.nodes() if each["Alive"])


@contextmanager
def connected(settings: ClusterSettings, on_event: Listener = nobody) -> Iterator[Cluster]:
    """The cluster, for as long as the block runs: what was started ends with it, what was joined stays.

    Paths that workers are given must be absolute: they stand in a folder of their own.

    Raises:
        UnavailableError: it cannot be reached, or its nodes do not run what runs here.
        InputError: the address or the number of workers is none.
        ImportError: Ray is not installed.
    """
    check_settings(settings)
    began = time.monotonic()
    on_event(Event(CONNECTING, detail="starting Ray" if settings.where == "local" else f"joining {settings.where}"))
    with started(settings) as ray:
        on_event(Event(CONNECTING, detail="looking at its nodes"))
        nodes = _nodes(ray)
        check_alike(software_here(), {node.name: node.facts.software for node in nodes})
        shares = shared_out(nodes, settings.workers)
        seconds = time.monotonic() - began
        on_event(Event(CONNECTING, finished=True, detail=_said(nodes, shares)))
        different = different_processors([node for node in nodes if any(each.node == node for each in shares)])
        warnings = () if different is None else (different,)
        yield Cluster(settings.where, nodes, shares, thread_settings(), round(seconds, 3), warnings, ray)


def check_settings(settings: ClusterSettings) -> None:
    """Refuses what names no cluster, before anything is started.

    Raises:
        InputError: the address or the number of workers is none.
    """
    where = settings.where
    if where not in ("local", "auto"):
        host, _, port = where.removeprefix("ray://").rpartition(":")
        if not where.startswith("ray://") or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
            raise InputError(f"{where!r} names no cluster", "Use local, auto or ray://HOST:PORT.")
    if settings.workers is not None and settings.workers < 1:
        raise InputError("a cluster without workers does nothing", "Give --workers 1 or more.")


def _nodes(ray: Any) -> tuple[Node, ...]:
    """The nodes that have processors, by what each says of itself, in the order of their addresses.

    Raises:
        UnavailableError: there is none, or one cannot say it.
    """
    told = [each for each in ray.nodes() if each["Alive"] and each["Resources"].get("CPU", 0) > 0]
    if not told:
        raise UnavailableError("the cluster has no node with processors", "Add one with `ray start --address HEAD`.")
    told.sort(key=lambda each: (each["NodeManagerAddress"], each["NodeID"]))
    look, settings = ray.remote(facts_here), thread_settings()
    asked = [
        look.options(num_cpus=0, max_retries=1, scheduling_strategy=_only_on(each["NodeID"])).remote(settings)
        for each in told
    ]
    hosts = [each["NodeManagerHostname"] for each in told]
    names = [
        host if hosts.count(host) == 1 else f"{host} ({each['NodeID'][:6]})"
        for host, each in zip(hosts, told, strict=True)
    ]
    facts = [_facts(ray, ref, name) for ref, name in zip(asked, names, strict=True)]
    return tuple(
        Node(name, each["NodeManagerAddress"], each["NodeID"], max(1, int(each["Resources"]["CPU"])), fact)
        for name, each, fact in zip(names, told, facts, strict=True)
    )


def _facts(ray: Any, asked: Any, name: str) -> NodeFacts:
    try:
        found: NodeFacts = ray.get(asked, timeout=LOOK_S)
        return found
    except ray.exceptions.GetTimeoutError as error:
        raise UnavailableError(
            f"the node {name} did not answer within {LOOK_S:.0f} s", "Look at it with `ray status`."
        ) from error
    except ray.exceptions.RayError as error:  # an edgekit that has no such function, or none at all
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else type(error).__name__)
        raise UnavailableError(f"the node {name} cannot run this edgekit: {why[:200]}", WHEEL_HINT) from error


def _only_on(node_id: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id=node_id, soft=False)


def _said(nodes: tuple[Node, ...], shares: tuple[Share, ...]) -> str:
    def count(number: int, word: str) -> str:
        return f"{number} {word}{'' if number == 1 else 's'}"

    return f"{count(len(nodes), 'node')}, {count(len(shares), 'worker')}"
