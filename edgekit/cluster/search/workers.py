"""Parts of trials given to the workers of a cluster: side by side where nothing is timed, alone where something is.

What is timed takes the one right to time that its node has, and all of the node's processors, so that nothing else of
this cluster runs there meanwhile. A worker that dies loses what it was at, which is given to another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edgekit.cluster.connection import Cluster
from edgekit.cluster.nodes import Node, Share
from edgekit.cluster.starting import TIMING
from edgekit.cluster.workers import Place, pinned
from edgekit.errors import EdgekitError, UnavailableError

TRIES: Final = 3
"""How often a part of a trial is begun whose worker dies."""


@dataclass(frozen=True)
class Part:
    """What one worker does: a function of a module, and what it is given."""

    function: Callable[..., Any]
    given: tuple[Any, ...]


@dataclass(frozen=True)
class Lost:
    """A part whose workers died each time that it was begun."""

    why: str


@dataclass(frozen=True)
class Done:
    """What a part gave, and how often it was begun."""

    made: Any
    tries: int


def on_worker(place: Place, part: Part) -> Any:
    """Does a part in this process, on its share of the processors."""
    with pinned(place):
        return part.function(*part.given)


def alone(place: Place, part: Part) -> Any:
    """The same of what is timed: by another name, so that Ray's timeline tells them apart."""
    return on_worker(place, part)


class Workers:
    """The workers of a cluster, and the node that times.

    Attributes:
        timing: the node on which everything is timed.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._ray = cluster, cluster.ray
        self.timing: Node = max((share.node for share in cluster.shares), key=lambda node: node.cpus)
        # A process in which a runtime has counted its processors keeps that number: it serves one share alone.
        nodes = [share.node.id for share in cluster.shares]
        calls = {"max_calls": 1} if len(set(nodes)) < len(nodes) else {}
        self._side_by_side = self._ray.remote(**calls)(on_worker) if calls else self._ray.remote(on_worker)
        self._alone = self._ray.remote(**calls)(alone) if calls else self._ray.remote(alone)

    def side_by_side(
        self, parts: Mapping[int, Part], on_done: Callable[[int], None] = lambda number: None
    ) -> dict[int, Done | Lost]:
        """What parts give, by their numbers; as many at a time as there are workers, all of them over at the end.

        Raises:
            whatever a part raises, once it does; the others are ended.
        """
        waiting, tries = deque(sorted(parts)), dict.fromkeys(parts, 0)
        free, running = deque(self._cluster.shares), dict[Any, tuple[int, Share]]()
        found: dict[int, Done | Lost] = {}
        try:
            while waiting or running:
                while waiting and free:
                    number, share = waiting.popleft(), free.popleft()
                    tries[number] += 1
                    running[self._begun(share, parts[number])] = number, share
                if not running:
                    raise UnavailableError(
                        "no node of the cluster is left", "Start it again; finished trials are kept."
                    )
                (over, *_), _ = self._ray.wait(list(running), num_returns=1)
                number, share = running.pop(over)
                made = self._got(over)
                if isinstance(made, Lost) and tries[number] < TRIES:
                    waiting.appendleft(number)
                else:
                    found[number] = made if isinstance(made, Lost) else Done(made, tries[number])
                    on_done(number)
                if not isinstance(made, Lost) or share.node.id in self._cluster.alive():
                    free.append(share)
        except BaseException:
            for each in running:
                self._ray.cancel(each, force=True)
            raise
        return found

    def alone(self, part: Part) -> Any:
        """What a part gives that must be alone on the node that times.

        Raises:
            whatever it raises. UnavailableError: its process died each time.
        """
        node = self.timing
        place, resources = Place(node.facts.cores, self._cluster.settings), self._rights(node)
        for _ in range(TRIES):
            asked = self._alone.options(
                num_cpus=node.cpus, resources=resources, scheduling_strategy=self._cluster.on(node), max_retries=0
            )
            made = self._got(asked.remote(place, part))
            if not isinstance(made, Lost):
                return made
        raise UnavailableError(f"what is timed on {node.name} died {TRIES} times: {made.why}", "See to its memory.")

    def _begun(self, share: Share, part: Part) -> Any:
        asked = self._side_by_side.options(
            num_cpus=share.cpus, scheduling_strategy=self._cluster.on(share.node), max_retries=0
        )
        return asked.remote(self._cluster.place(share), part)

    def _rights(self, node: Node) -> Mapping[str, float]:
        """The right to time, where the cluster was started with it; all processors are taken in any case."""
        known = next(each["Resources"] for each in self._ray.nodes() if each["NodeID"] == node.id)
        return {TIMING: 1} if known.get(TIMING, 0) >= 1 else {}

    def _got(self, asked: Any) -> Any:
        """What a task gave, or that its worker died."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(asked)
        except errors.RayTaskError as error:
            if isinstance(error.cause, Exception):
                raise error.cause from error
            raise EdgekitError(str(error)) from error
        except errors.RayError as error:
            return Lost(str(error).strip().splitlines()[0])
