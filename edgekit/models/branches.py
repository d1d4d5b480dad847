"""Branches of a network that end in a sum with its trunk, whatever the network is written in: torch, fx or ONNX.

What a branch is made of is what leads nowhere but into it. Without these operations, and with the other side of the sum
in the place of the sum, the network is whole again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Layers = frozenset[str]
"""Names of layers with weights."""


@dataclass(frozen=True)
class Step:
    """One operation of a network.

    Attributes:
        inputs: the places of the operations that it reads, in order; all are before it.
        layer: whose weights it takes; empty where it has none.
        sum_of: of a sum of two different tensors, those that can stand for it: they have its shape and no factor.
    """

    inputs: tuple[int, ...]
    layer: str = ""
    sum_of: tuple[int, ...] = ()


@dataclass(frozen=True)
class Branch:
    """One side of a sum; all by their places.

    Attributes:
        total: the sum; trunk: its other side; end: the last operation of the branch.
        inside: all that leads nowhere but into the branch, its end too.
    """

    total: int
    trunk: int
    end: int
    inside: frozenset[int]


@dataclass
class Steps:
    """The operations of a network in the order in which they run.

    Attributes:
        answers: places of the operations whose results the network gives.
    """

    steps: list[Step] = field(default_factory=list)
    answers: set[int] = field(default_factory=set)

    def add(self, step: Step) -> int:
        """The place of a further operation."""
        self.steps.append(step)
        return len(self.steps) - 1

    def branches(self) -> list[Branch]:
        """Both sides of every sum, where the other one can stand for it and nothing else reads this one."""
        readers = self._readers()
        found = []
        for total, step in enumerate(self.steps):
            for trunk in step.sum_of:
                end = next(each for each in step.inputs if each != trunk)
                inside = self._inside(total, end, readers)
                if inside:
                    found.append(Branch(total, trunk, end, inside))
        return found

    def layers(self, places: Iterable[int]) -> Layers:
        """The layers of some operations."""
        return frozenset(self.steps[place].layer for place in places if self.steps[place].layer)

    def before(self, place: int) -> frozenset[int]:
        """All operations that one depends on."""
        found, open_ = set[int](), [place]
        while open_:
            for each in self.steps[open_.pop()].inputs:
                if each not in found:
                    found.add(each)
                    open_.append(each)
        return frozenset(found)

    def _readers(self) -> list[set[int]]:
        """What reads each operation, and leads to an answer: values that are only looked at are not read."""
        readers: list[set[int]] = [set() for _ in self.steps]
        for place in self.answers.union(*(self.before(answer) for answer in self.answers)):
            for each in self.steps[place].inputs:
                readers[each].add(place)
        return readers

    def _inside(self, total: int, end: int, readers: Sequence[set[int]]) -> frozenset[int]:
        """What leads into the sum through one side alone; empty where that side is read elsewhere too."""
        if readers[end] != {total} or end in self.answers:
            return frozenset()
        inside = {end}
        for place in range(end - 1, -1, -1):
            if readers[place] and readers[place] <= inside and place not in self.answers:
                inside.add(place)
        return frozenset(inside)


def located(
    steps: Steps, wanted: Collection[Layers], missing: Callable[[Layers], Exception]
) -> Mapping[Layers, Branch]:
    """The branches that are made of just these layers.

    Args:
        missing: what is raised of layers that make up no branch.
    """
    found: dict[Layers, Branch] = {}
    for branch in steps.branches():
        layers = steps.layers(branch.inside)
        if layers in wanted:
            found.setdefault(layers, branch)
    for layers in wanted:
        if layers not in found:
            raise missing(layers)
    return found
