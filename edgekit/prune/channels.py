"""Which channels of a network hang together: through concats, sums, pooling, batch norm and depthwise convolutions.

A unit is what can only be removed as a whole: the channels that are tied to each other in all layers. A group is the
units that are in the same layers, any of which may go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import InputError

Units = NDArray[np.int64]
Keep = NDArray[np.bool_]

FIXED: Final = -1
"""In place of a unit: a channel that must stay."""

Kind = Literal["conv", "depthwise", "linear", "norm"]


def cannot_be_pruned(why: str) -> InputError:
    """What is raised of a network whose channels cannot be followed."""
    return InputError(f"the network cannot be pruned: {why}", "Build it with --prune none.")


@dataclass(frozen=True)
class Geometry:
    """What decides the time of a layer beside its channels; linear layers are 1x1 convolutions of one pixel.

    Attributes:
        height, width: of the input, pixels.
        depthwise: one filter a channel.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    height: int
    width: int
    depthwise: bool

    def name(self) -> str:
        """A short text that is the same for the same geometry."""
        numbers = (*self.kernel, *self.stride, *self.padding, *self.dilation, self.height, self.width)
        return "-".join(str(number) for number in numbers) + ("-dw" if self.depthwise else "")


@dataclass(frozen=True)
class Layer:
    """A layer with weights and the units that its channels belong to.

    Attributes:
        inputs, outputs: (channels,) unit of each, FIXED where it must stay; depthwise and norm have outputs only.
        geometry: of convolutions and linear layers.
        normed: whether a batch norm follows it alone.
    """

    name: str
    kind: Kind
    inputs: Units
    outputs: Units
    geometry: Geometry | None
    normed: bool


@dataclass(frozen=True)
class Group:
    """Units that may be removed one by one, and that are in the same layers.

    Attributes:
        name: of the first layer that makes them.
        units: their numbers.
    """

    name: str
    units: Units

    @property
    def width(self) -> int:
        return len(self.units)


@dataclass(frozen=True)
class ChannelGraph:
    """All layers in the order of the forward pass, and the groups of units that may be removed.

    Attributes:
        units: how many there are.
    """

    layers: Mapping[str, Layer]
    groups: tuple[Group, ...]
    units: int

    def everything(self) -> Keep:
        """(units,) nothing removed."""
        return np.ones(self.units, bool)


def kept_of(units: Units, keep: Keep) -> NDArray[np.bool_]:
    """Which channels stay, of a layer's inputs or outputs."""
    out: NDArray[np.bool_] = np.where(units == FIXED, True, keep[np.maximum(units, 0)] if len(keep) else True)
    return out


def widths(graph: ChannelGraph, keep: Keep) -> dict[str, tuple[int, int]]:
    """Convolution or linear layer: channels in and out that stay."""
    return {
        layer.name: (int(kept_of(layer.inputs, keep).sum()), int(kept_of(layer.outputs, keep).sum()))
        for layer in graph.layers.values()
        if layer.kind != "norm"
    }
