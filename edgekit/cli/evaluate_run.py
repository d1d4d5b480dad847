"""Where `edgekit evaluate` runs networks, here or on a cluster, and what is told of that."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.cli.output import Progress, warn
from edgekit.cli.plain import CACHED

if TYPE_CHECKING:
    from edgekit.build.ensemble import Named
    from edgekit.cluster.connection import ClusterSettings
    from edgekit.cluster.evaluate import Facts, State
    from edgekit.data.image_set import ImageSet
    from edgekit.store import Store
    from edgekit.validate.protocols import Outcome

STAGE = "evaluate"


@dataclass(frozen=True)
class Ran:
    """What networks said, and how fast they did.

    Attributes:
        images_per_s, views_per_s: of what was computed now; None where all of it was kept from before.
        cluster: how it went on a cluster; None where it was computed here.
    """

    outcome: Outcome
    images_per_s: float | None
    views_per_s: float | None
    cluster: Facts | None = None

    @property
    def speed(self) -> str:
        """For people."""
        return "nothing was computed anew" if self.images_per_s is None else f"{self.images_per_s:.1f} images/s"


@dataclass(frozen=True)
class Where:
    """A cluster to evaluate on, whether images are sent to it, and the store that keeps finished shards."""

    settings: ClusterSettings
    send_data: bool
    store: Store


def run(networks: Sequence[Named], images: ImageSet, crops: int, where: Where | None, bars: Progress) -> Ran:
    """Evaluates, with progress.

    Raises:
        InputError, UnavailableError: see edgekit.validate.protocols and edgekit.cluster.evaluate.
    """
    return _here(networks, images, crops, bars) if where is None else _on_cluster(networks, images, crops, where, bars)


def _here(networks: Sequence[Named], images: ImageSet, crops: int, bars: Progress) -> Ran:
    from contextlib import ExitStack

    from edgekit.backends import backend
    from edgekit.validate.protocols import Member, evaluate

    began, count = time.monotonic(), len(images)

    def tell(done: int) -> None:
        bars.update(STAGE, done, count, f"{done / (time.monotonic() - began):.1f} images/s")

    bars.update(STAGE, 0, count)
    with ExitStack() as stack:
        members = []
        for each in networks:
            compiled = each.runnable.compiled
            session = stack.enter_context(backend(compiled.backend).load(compiled, "throughput"))
            activation = each.runnable.question.activation
            members.append(Member(each.label, session, each.runnable.preprocessing, activation))
        outcome = evaluate(members, images, crops, tell)
    bars.finish(STAGE)
    return Ran(outcome, outcome.images / outcome.seconds, outcome.views / outcome.seconds)


def _on_cluster(networks: Sequence[Named], images: ImageSet, crops: int, where: Where, bars: Progress) -> Ran:
    from edgekit.cli.events import shown_on
    from edgekit.cluster.connection import connected
    from edgekit.cluster.evaluate import Task, evaluate_on, kept_here
    from edgekit.cluster.shards import member_inputs

    task = Task(member_inputs(networks), images, crops, where.send_data)

    def tell(state: State) -> None:
        bars.update(STAGE, state.done, state.images, _detail(state))

    kept = kept_here(task, where.store) if where.settings.where == "local" else None
    if kept is not None:  # Ray takes seconds to start
        bars.update(STAGE, len(images), len(images))
        bars.finish(STAGE, CACHED)
        return Ran(kept.outcome, None, None, kept.facts)
    with connected(where.settings, shown_on(bars)) as cluster:
        for line in cluster.warnings:
            warn(line)
        found = evaluate_on(cluster, task, where.store, tell)
        bars.finish(STAGE)
    facts = found.facts
    for line in where.store.troubles():
        warn(line)
    if facts.retried_shards:
        warn(f"{facts.retried_shards} shards were lost with a worker, and computed by another one")
    if not found.images:
        return Ran(found.outcome, None, None, facts)
    return Ran(found.outcome, found.images / facts.seconds, found.views / facts.seconds, facts)


def _detail(state: State) -> str:
    """The rate, of each node where there are several, or what is waited for."""
    if state.waiting or state.seconds <= 0:
        return state.waiting
    rates = {name: count / state.seconds for name, count in state.computed.items()}
    whole = f"{sum(rates.values()):.1f} images/s"
    return whole if len(rates) == 1 else f"{whole}: " + ", ".join(f"{name} {rate:.1f}" for name, rate in rates.items())


def sentence(facts: Facts) -> str:
    """What is said of the cluster for people."""
    if not facts.nodes:
        return f"All {facts.shards} shards were kept from before: no cluster was started"
    nodes = ", ".join(f"{each.name} {each.images} ({each.images_per_s:.1f} images/s)" for each in facts.nodes)
    cached = f"; {facts.cached_shards} of {facts.shards} shards were kept from before" if facts.cached_shards else ""
    plural = "" if facts.workers == 1 else "s"
    return f"On the cluster ({facts.where}, {facts.workers} worker{plural}), images by node: {nodes}{cached}"
