"""Which channels of a network hang together: through concats, sums, pooling, batch norm and grouped convolutions.

A unit is what can only be removed as a whole: the channels that are tied to each other in all layers. A group is the
units that are in the same layers, any of which may go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import InputError

Units = NDArray[np.int64]
Keep = NDArray[np.bool_]

FIXED: Final = -1
"""In place of a unit: a channel that must stay."""

Kind = Literal["conv", "grouped", "linear", "norm"]
"""A grouped convolution (a depthwise one is that too) loses whole groups, inputs and outputs together."""

NAMED: Final = 3
"""So many layers are named where more are meant."""


def cannot_be_pruned(why: str) -> InputError:
    """What is raised of a network whose channels cannot be followed."""
    return InputError(f"the network cannot be pruned: {why}", "Build it with --prune none.")


@dataclass(frozen=True)
class Geometry:
    """What decides the time of a layer beside its channels; linear layers are 1x1 convolutions of one pixel.

    Attributes:
        height, width: of the input, pixels.
        per_group: channels in and out of each group of a grouped convolution; None where there is one group.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    height: int
    width: int
    per_group: tuple[int, int] | None = None

    @property
    def depthwise(self) -> bool:
        """One filter a channel."""
        return self.per_group == (1, 1)

    def name(self) -> str:
        """A short text that is the same for the same geometry."""
        numbers = (*self.kernel, *self.stride, *self.padding, *self.dilation, self.height, self.width)
        grouped = "" if self.per_group is None else "-dw" if self.depthwise else "-g{}x{}".format(*self.per_group)
        return "-".join(str(number) for number in numbers) + grouped


@dataclass(frozen=True)
class Layer:
    """A layer with weights and the units that its channels belong to.

    Attributes:
        inputs, outputs: (channels,) unit of each, FIXED where it must stay; of a norm both are the same.
        geometry: of convolutions and linear layers.
        norm: the batch norm that follows it alone; empty where there is none.
    """

    name: str
    kind: Kind
    inputs: Units
    outputs: Units
    geometry: Geometry | None
    norm: str = ""

    @property
    def normed(self) -> bool:
        """Whether a batch norm follows it alone."""
        return self.norm != ""


@dataclass(frozen=True)
class Group:
    """Units that may be removed one by one, and that are in the same layers.

    Attributes:
        name: of the first layer that makes them.
        units: their numbers.
        channels: of that layer, that each unit is.
    """

    name: str
    units: Units
    channels: int = 1

    @property
    def width(self) -> int:
        return len(self.units)


@dataclass(frozen=True)
class Block:
    """A residual branch that can be removed as a whole: its sum with the trunk then gives the trunk.

    Attributes:
        unit: that stands for it; where that does not stay, nothing inside does.
        layers: all that are inside, in order; last: those that make what is added: without weights they add zeros.
        owner: the module within which it is added; empty for the network itself.
    """

    name: str
    unit: int
    layers: tuple[str, ...]
    last: tuple[str, ...]
    owner: str


@dataclass(frozen=True)
class Left:
    """A layer whose output channels are left as they are.

    Attributes:
        operation: through which they cannot be followed; empty where it is something else, which `why` says.
    """

    layer: str
    operation: str
    why: str = ""

    @property
    def reason(self) -> str:
        """In words."""
        return self.why or f"channels cannot be followed through the operation {self.operation}"


@dataclass(frozen=True)
class ChannelGraph:
    """All layers in the order of the forward pass, and the groups of units that may be removed.

    Attributes:
        units: how many there are, also of such as are in no group and stay; those of blocks are the last.
        left: layers that are left as they are, though they are not the last one.
    """

    layers: Mapping[str, Layer]
    groups: tuple[Group, ...]
    units: int
    left: tuple[Left, ...] = ()
    blocks: tuple[Block, ...] = ()

    def everything(self) -> Keep:
        """(units,) nothing removed."""
        return np.ones(self.units, bool)


def left_alone(left: Sequence[Left]) -> list[str]:
    """A sentence for each reason why layers are not pruned; the layers are named, many of them counted."""
    said = []
    for reason in dict.fromkeys(each.reason for each in left):
        names = [each.layer for each in left if each.reason == reason]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        said.append(f"not pruned: {', '.join(names[:NAMED])}{more}: {reason}")
    return said


def check_some_left(graph: ChannelGraph) -> None:
    """Raises InputError where nothing can be removed, with the commonest reason."""
    if graph.groups:
        return
    reasons = Counter(each.reason for each in graph.left)
    raise cannot_be_pruned(reasons.most_common(1)[0][0] if reasons else "it has no channels that could go")


def kept_of(units: Units, keep: Keep) -> NDArray[np.bool_]:
    """Which channels stay, of a layer's inputs or outputs."""
    out: NDArray[np.bool_] = np.where(units == FIXED, True, keep[np.maximum(units, 0)] if len(keep) else True)
    return out


def removed_blocks(graph: ChannelGraph, keep: Keep) -> tuple[Block, ...]:
    """The blocks that do not stay, without those that are inside another one that does not."""
    gone = [block for block in graph.blocks if not keep[block.unit]]
    return tuple(each for each in gone if not any(set(each.layers) < set(other.layers) for other in gone))


def removed_layers(graph: ChannelGraph, keep: Keep) -> frozenset[str]:
    """The layers of blocks that do not stay."""
    return frozenset(name for block in removed_blocks(graph, keep) for name in block.layers)


def widths(graph: ChannelGraph, keep: Keep) -> dict[str, tuple[int, int]]:
    """Convolution or linear layer: channels in and out that stay; none of a layer whose block is removed."""
    gone = removed_layers(graph, keep)
    return {
        layer.name: (0, 0)
        if layer.name in gone
        else (int(kept_of(layer.inputs, keep).sum()), int(kept_of(layer.outputs, keep).sum()))
        for layer in graph.layers.values()
        if layer.kind != "norm"
    }
