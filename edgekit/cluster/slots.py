"""Where on a cluster builds find room: what times alone on its node, the rest some on one node."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from edgekit.cluster.nodes import Node, Share, shared_out
from edgekit.cluster.starting import TIMING
from edgekit.targets import find

if TYPE_CHECKING:
    from edgekit.cluster.connection import Cluster
    from edgekit.recipe import Recipe

CPUS_OF_BUILD: Final = 4
"""What a build that times nothing gets of a larger node, where nobody says how many workers there are."""


@dataclass(frozen=True)
class Slot:
    """Room for one build.

    Attributes:
        places: of the shares of the node that it takes; shares: themselves.
        device: that is timed on, and nothing else meanwhile; resources: that Ray is asked for beside CPUs.
    """

    node: Node
    places: tuple[int, ...]
    shares: tuple[Share, ...]
    device: str | None = None
    resources: Mapping[str, float] = field(default_factory=dict)

    @property
    def cores(self) -> tuple[int, ...]:
        """The processors of all its shares."""
        return tuple(sorted({core for share in self.shares for core in share.cores}))

    @property
    def cpus(self) -> float:
        """What it takes of Ray's CPUs."""
        return sum(share.cpus for share in self.shares)


class Slots:
    """The room that is left.

    Args:
        as_told: whether the cluster's shares are as the user said; else larger nodes are shared by several builds.
    """

    def __init__(self, cluster: Cluster, as_told: bool) -> None:
        count = sum(max(1, node.cpus // CPUS_OF_BUILD) for node in cluster.nodes)
        self._all: Sequence[Share] = cluster.shares if as_told else shared_out(cluster.nodes, count)
        self._free = set(range(len(self._all)))
        self._devices: set[str] = set()
        self._alive = {share.node.id for share in self._all}
        self._timed = {
            each["NodeID"] for each in cluster.ray.nodes() if each["Alive"] and each["Resources"].get(TIMING, 0) >= 1
        }

    def take(self, recipe: Recipe) -> Slot | None:
        """Room for a build; None where there is none now."""
        if recipe.device in self._devices:
            return None
        slot = self._whole_node() if times_here(recipe) else self._one_share(recipe.device)
        if slot is not None:
            self._free -= set(slot.places)
            if slot.device is not None:
                self._devices.add(slot.device)
        return slot

    def _whole_node(self) -> Slot | None:
        for node_id, places in self._by_node().items():
            if self._free.issuperset(places):
                return self._slot(places, None, {TIMING: 1.0} if node_id in self._timed else {})
        return None

    def _one_share(self, device: str | None) -> Slot | None:
        """A share of the node that is used most, so that whole nodes stay free for what times."""
        free = [each for places in self._by_node().values() if (each := sorted(self._free.intersection(places)))]
        return self._slot((min(free, key=len)[0],), device, {}) if free else None

    def _by_node(self) -> Mapping[str, tuple[int, ...]]:
        """Places of the shares of each node that is there."""
        found: dict[str, tuple[int, ...]] = {}
        for place, share in enumerate(self._all):
            if share.node.id in self._alive:
                found[share.node.id] = (*found.get(share.node.id, ()), place)
        return found

    def _slot(self, places: tuple[int, ...], device: str | None, resources: Mapping[str, float]) -> Slot:
        shares = tuple(self._all[place] for place in places)
        return Slot(shares[0].node, places, shares, device, resources)

    def give_back(self, slot: Slot) -> None:
        """Says that a build has ended."""
        self._free |= set(slot.places)
        self._devices.discard(slot.device or "")

    def keep(self, alive: Collection[str]) -> None:
        """Says which nodes are still there."""
        self._alive = {share.node.id for share in self._all if share.node.id in alive}

    def any(self) -> bool:
        """Whether a node is left."""
        return bool(self._alive)


def times_here(recipe: Recipe) -> bool:
    """Whether a build times networks on the machine that it runs on."""
    return recipe.device is None and find(recipe.target).can.here
