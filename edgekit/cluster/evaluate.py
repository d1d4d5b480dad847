"""An evaluation on a cluster: shards are handed out, tried again where they are lost, and kept as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.cluster.connection import LOOK_S, Cluster
from edgekit.cluster.crew import Crew, Job
from edgekit.cluster.pictures import SEND, not_seen, to_look_at
from edgekit.cluster.shards import (
    EVALUATE_SHARD,
    Arithmetic,
    MemberInput,
    ShardInput,
    ShardResult,
    arithmetic_of,
    shards_of,
    write,
)
from edgekit.data.image_set import ImageSet, Selection
from edgekit.errors import InputError, UnavailableError
from edgekit.targets import this_machine

if TYPE_CHECKING:
    from edgekit.store import Store
    from edgekit.validate.protocols import Outcome


Told = Callable[["State"], None]


@dataclass(frozen=True)
class State:
    """How far an evaluation is.

    Attributes:
        done, images: of all; cached images are done.
        computed: images by the name of the node that computed them; seconds: since the first shard was handed out.
        waiting: what is waited for, before that; else empty.
    """

    done: int
    images: int
    computed: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    waiting: str = ""


@dataclass(frozen=True)
class Task:
    """What is evaluated.

    Attributes:
        send_data: whether image files go to the workers by content; else these read them by their paths.
    """

    members: tuple[MemberInput, ...]
    images: ImageSet
    crops: int = 1
    send_data: bool = False


@dataclass(frozen=True)
class NodeShare:
    """What one node did."""

    name: str
    processor: str
    images: int
    images_per_s: float


@dataclass(frozen=True)
class Facts:
    """How an evaluation went, as --json tells it.

    Attributes:
        cached_shards: that were in the store; retried_shards: that were given to a worker more than once.
        seconds: from the first shard handed out to the last one back.
        start_seconds: before that, until the cluster was joined and its workers had loaded the networks.
    """

    where: str
    workers: int
    nodes: tuple[NodeShare, ...]
    shards: int
    cached_shards: int
    retried_shards: int
    seconds: float
    start_seconds: float


@dataclass(frozen=True)
class ClusterOutcome:
    """What networks said of all images, as one process would have it, and how that came about.

    Attributes:
        images, views: that were computed now; those of cached shards are none.
    """

    outcome: Outcome
    facts: Facts
    images: int
    views: int


def evaluate_on(cluster: Cluster, task: Task, store: Store, tell: Told = lambda state: None) -> ClusterOutcome:
    """Runs networks on images: the same answers, bit for bit, as `edgekit.validate.protocols.evaluate` here.

    Args:
        store: where finished shards are kept, and looked for first.
        tell: told how far it is.
    Raises:
        InputError: a node does not see the images, or one cannot be read.
        UnavailableError: no worker is left, or a shard was lost too often.
    """
    whole = len(task.images)
    shards = shards_of(whole, task.members, task.crops)
    kinds = {share.node.id: arithmetic_of(share.node.facts.machine) for share in cluster.shares}
    kept = _Kept(task, store, shards, kinds.values())
    found = kept.found()
    missing = [place for place in range(len(shards)) if place not in found]
    done = sum(len(shards[place]) for place in found)
    computed: dict[str, int] = {share.node.name: 0 for share in cluster.shares}
    tell(State(done, whole))
    crew: Crew | None = None
    if missing:
        if not task.send_data:
            _check_seen(cluster, task.images)
        crew = Crew(cluster, task.members, task.crops, lambda waiting: tell(State(done, whole, waiting=waiting)))
        jobs = [Job(place, task.images, shards[place], task.send_data) for place in missing]
        for job, node, result in crew.results(jobs):
            found[job.place] = kept.keep(job.place, kinds[node.id], result)
            computed[node.name] += len(job.positions)
            done += len(job.positions)
            tell(State(done, whole, dict(computed), crew.seconds))
    seconds = crew.seconds if crew is not None else 0.0
    facts = Facts(
        cluster.where,
        len(cluster.shares),
        _nodes(cluster, computed, seconds),
        len(shards),
        len(shards) - len(missing),
        crew.retried if crew is not None else 0,
        round(seconds, 3),
        round(cluster.start_seconds + (crew.load_seconds if crew is not None else 0.0), 3),
    )
    outcome = _outcome(task, [found[place] for place in range(len(shards))], seconds)
    return ClusterOutcome(outcome, facts, sum(computed.values()), sum(found[place].views for place in missing))


def kept_here(task: Task, store: Store) -> ClusterOutcome | None:
    """The outcome where all shards are in the store, as this machine computes them; None where one is missing."""
    shards = shards_of(len(task.images), task.members, task.crops)
    found = _Kept(task, store, shards, [arithmetic_of(this_machine())]).found()
    if len(found) < len(shards):
        return None
    outcome = _outcome(task, [found[place] for place in range(len(shards))], 0.0)
    return ClusterOutcome(outcome, Facts("local", 0, (), len(shards), len(shards), 0, 0.0, 0.0), 0, 0)


class _Kept:
    """Shards in the driver's store, under the keys of each kind of machine that computes them."""

    def __init__(self, task: Task, store: Store, shards: Sequence[range], kinds: Iterable[Arithmetic]) -> None:
        self._store = store
        self._inputs = [
            {
                kind: ShardInput(task.members, Selection(task.images, tuple(positions)), task.crops, kind)
                for kind in dict.fromkeys(kinds)
            }
            for positions in shards
        ]

    def found(self) -> dict[int, ShardResult]:
        """Results that are there, by the places of their shards."""
        results = {}
        for place, inputs in enumerate(self._inputs):
            paths = filter(
                None, (self._store.find(EVALUATE_SHARD.key(each), EVALUATE_SHARD.name) for each in inputs.values())
            )
            path = next(paths, None)
            if path is not None:
                results[place] = EVALUATE_SHARD.read(path)
        return results

    def keep(self, place: int, kind: Arithmetic, result: ShardResult) -> ShardResult:
        """Puts a result into the store; the same one."""

        def make(folder: Path) -> None:
            write(result, folder)

        key = EVALUATE_SHARD.key(self._inputs[place][kind])
        self._store.build(key, EVALUATE_SHARD.name, make)
        # Copies: what came through Ray holds its memory.
        probabilities, single = (tuple(map(np.array, each)) for each in (result.probabilities, result.single))
        return ShardResult(probabilities, single, result.views, result.seconds)


def _check_seen(cluster: Cluster, images: ImageSet) -> None:
    """Refuses nodes that do not see the files.

    Raises:
        InputError: told are the node and the first of the files.
    """
    files = to_look_at(images)
    if not files:
        return
    ray = cluster.ray
    nodes = list({share.node.id: share.node for share in cluster.shares}.values())
    look = ray.remote(not_seen)
    asked = [look.options(num_cpus=0, scheduling_strategy=cluster.on(node)).remote(files) for node in nodes]
    for node, ref in zip(nodes, asked, strict=True):
        try:
            answer = ray.get(ref, timeout=LOOK_S)
        except ray.exceptions.RayTaskError:  # a fault of edgekit's own
            raise
        except ray.exceptions.RayError as error:
            raise UnavailableError(f"the node {node.name} does not answer", "Look at it with `ray status`.") from error
        if answer is not None:
            raise InputError(f"the node {node.name} does not see the images: {answer}", SEND)


def _outcome(task: Task, results: Sequence[ShardResult], seconds: float) -> Outcome:
    from edgekit.validate.protocols import Outcome, different_classes

    count = len(task.members)
    for place in range(1, count):
        first, other = results[0].single[0].shape[1], results[0].single[place].shape[1]
        if first != other:
            raise different_classes(task.members[0].name, first, task.members[place].name, other)
    return Outcome(
        task.crops,
        tuple(np.concatenate([each.probabilities[place] for each in results]) for place in range(count)),
        tuple(np.concatenate([each.single[place] for each in results]) for place in range(count)),
        sum(each.views for each in results),
        seconds,
        tuple(each.activation for each in task.members),
    )


def _nodes(cluster: Cluster, computed: Mapping[str, int], seconds: float) -> tuple[NodeShare, ...]:
    nodes = {share.node.name: share.node for share in cluster.shares}
    return tuple(
        NodeShare(name, node.processor, computed[name], round(computed[name] / seconds, 2) if seconds else 0.0)
        for name, node in nodes.items()
    )
