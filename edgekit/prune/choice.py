"""What choosing widths came to, as it is kept and told; light, so that a cached build reads it without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from edgekit.prune.channels import ChannelGraph, Keep


@dataclass(frozen=True)
class Want:
    """How much is to be removed: a ratio of all channels, what a latency budget asks for, or as much as costs little
    importance (the knee).

    Attributes:
        budget_ms: a latency budget; budget_share: the same as a part of the unpruned network's latency, which holds
            whatever the machine's clock does.
        known: of other widths, what the table of layers predicted for them and what was measured, both as parts of the
            unpruned network's latency; where a fit to the budget begins.
        enough: of the budget: what takes at least this part of it is near enough.
    """

    kind: Literal["ratio", "budget", "knee"]
    ratio: float | None = None
    budget_ms: float | None = None
    budget_share: float | None = None
    known: tuple[float, float] | None = None
    enough: float = 0.95


@dataclass(frozen=True)
class Width:
    """Channels in and out of a layer, before and after."""

    layer: str
    before: tuple[int, int]
    after: tuple[int, int]


@dataclass(frozen=True)
class LatencyStep:
    """One choice: what was predicted for it and what was measured, ms."""

    predicted_ms: float
    measured_ms: float


@dataclass(frozen=True)
class LatencyFit:
    """How widths were fitted to a latency, ms.

    Attributes:
        precision: that was timed; dense_ms: of the unpruned network.
        table: how the table of layers was measured; table_points: how many layers it holds.
    """

    precision: str
    dense_ms: float
    budget_ms: float | None
    steps: tuple[LatencyStep, ...]
    table: str
    table_points: int

    @property
    def share(self) -> float:
        """Of the unpruned network's latency, as measured beside it."""
        return self.measured_ms / self.dense_ms

    @property
    def known(self) -> tuple[float, float]:
        """What was predicted and what was measured of the widths chosen, as parts of the unpruned network's latency."""
        return self.predicted_ms / self.dense_ms, self.share

    @property
    def predicted_ms(self) -> float:
        """Of the widths chosen."""
        return self.steps[-1].predicted_ms

    @property
    def measured_ms(self) -> float:
        """Of the widths chosen."""
        return self.steps[-1].measured_ms


@dataclass(frozen=True)
class BlockSensitivity:
    """Share of a block's channels removed, and the top-1 then, percent."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Sensitivity:
    """Top-1 percent of `images` tuning images over the share of a block's channels that is silenced."""

    images: int
    dense_top1: float
    blocks: tuple[BlockSensitivity, ...]


@dataclass(frozen=True)
class ChosenBlocks:
    """Of how many residual blocks that can be removed which ones are, by name, also those inside others."""

    there: int
    removed: tuple[str, ...]


@dataclass(frozen=True)
class ChosenWidths:
    """Which channels and blocks stay, and how that was found.

    Attributes:
        keep: a bit for each unit of the channel graph, packed, in hexadecimal (`packed`, `unpacked`).
        units: how many there are, of channels and of blocks; kept: how many of them stay.
        widths: of the layers that stay.
        latency: None where nothing was timed.
        blocks: None where blocks were left alone; else each of them has a bit too.
    """

    keep: str
    units: int
    kept: int
    widths: tuple[Width, ...]
    latency: LatencyFit | None
    blocks: ChosenBlocks | None = None

    @property
    def channels(self) -> tuple[int, int]:
        """Units of channels: how many there are, and how many stay."""
        there, gone = (0, 0) if self.blocks is None else (self.blocks.there, len(self.blocks.removed))
        return self.units - there, self.kept - (there - gone)


def packed(keep: Keep) -> str:
    """(units,) booleans as hexadecimal."""
    import numpy as np

    return np.packbits(keep).tobytes().hex()


def unpacked(keep: str, units: int) -> Keep:
    """What `packed` was given.

    Raises:
        ValueError: it holds another number of units.
    """
    import numpy as np

    bits = np.unpackbits(np.frombuffer(bytes.fromhex(keep), np.uint8))
    if len(keep) != 2 * -(-units // 8):
        raise ValueError(f"{len(keep)} digits do not hold {units} units")
    return bits[:units].astype(bool)


def changed(graph: ChannelGraph, keep: Keep) -> Sequence[Width]:
    """The widths of all layers before and after; without those that are removed."""
    from edgekit.prune.channels import removed_layers, widths

    before, after, gone = widths(graph, graph.everything()), widths(graph, keep), removed_layers(graph, keep)
    return [Width(name, before[name], after[name]) for name in before if name not in gone]


def choice_of_blocks(graph: ChannelGraph, keep: Keep) -> ChosenBlocks:
    """The blocks of a network, and which do not stay."""
    return ChosenBlocks(len(graph.blocks), tuple(block.name for block in graph.blocks if not keep[block.unit]))
