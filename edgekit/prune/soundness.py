"""Whether removing channels is what it should be: the same as if nothing read them, and removing blocks: the same as if
they added zeros. What is not so is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from edgekit.errors import InputError
from edgekit.prune.blocks import without
from edgekit.prune.channels import Block, ChannelGraph, Group, Keep, Left, cannot_be_pruned
from edgekit.prune.followed import title
from edgekit.prune.surgery import silenced, slimmed

CHOICES: Final = 3
"""Random halves that the graph of a network is checked with: one may by chance remove what hardly matters."""

DIFFERS: Final = "removing channels changes what the others compute"
NOT_WHOLE: Final = "it cannot go as a whole: "


def noise(channels: int, height: int, width: int) -> Tensor:
    """Two pictures of noise, where there are no real ones: two, as what mixes up a batch goes unseen in one."""
    dice = np.random.Generator(np.random.PCG64(0))
    return torch.from_numpy(dice.standard_normal((2, channels, height, width), np.float32))


def sound(network: nn.Module, graph: ChannelGraph, pictures: Tensor) -> ChannelGraph:
    """The same graph without the groups and blocks whose removal would change more than it should; units keep their
    numbers.

    Half of the channels are removed at random, some times, and compared with silencing them; so are all blocks. Where
    that differs, the groups and blocks are searched for those that are why.

    Args:
        pictures: (N, C, H, W) as the network takes them, two or more.
    """
    left: list[Left] = []
    groups = _searched(network, graph, pictures, graph.groups, left)
    while groups and (fault := _fault(network, graph, pictures, groups)) is not None:  # each alone is right
        left.append(replace(fault, layer=groups[-1].name))
        groups = groups[:-1]
    whole = {id(block) for level in _levels(graph) for block in _whole(network, graph, pictures, level, left)}
    blocks = tuple(block for block in graph.blocks if id(block) in whole)
    return replace(graph, groups=tuple(groups), left=(*graph.left, *left), blocks=blocks)


def check_cut(network: nn.Module, graph: ChannelGraph, keep: Keep, pictures: Tensor) -> nn.Module:
    """The network with channels removed, after a look at whether it answers as if they were silenced.

    Raises:
        InputError: it does not.
    """
    made = slimmed(network, graph, keep)
    fault = _compared(made, silenced(network, graph, keep), pictures)
    if fault is not None:
        raise cannot_be_pruned(fault.reason)
    return made


def _searched(
    network: nn.Module, graph: ChannelGraph, pictures: Tensor, groups: Sequence[Group], left: list[Left]
) -> list[Group]:
    """Those groups that are right, found by halving."""
    fault = _fault(network, graph, pictures, groups) if groups else None
    if fault is None:
        return list(groups)
    if len(groups) == 1:
        left.append(replace(fault, layer=groups[0].name))
        return []
    middle = len(groups) // 2
    first, last = groups[:middle], groups[middle:]
    return [*_searched(network, graph, pictures, first, left), *_searched(network, graph, pictures, last, left)]


def _levels(graph: ChannelGraph) -> list[list[Block]]:
    """Blocks by how many others they are inside of: those of one level can go together."""
    depths = [sum(set(block.layers) < set(other.layers) for other in graph.blocks) for block in graph.blocks]
    return [[b for b, own in zip(graph.blocks, depths, strict=True) if own == depth] for depth in sorted({*depths})]


def _whole(
    network: nn.Module, graph: ChannelGraph, pictures: Tensor, blocks: Sequence[Block], left: list[Left]
) -> list[Block]:
    """Those blocks that are right, found by halving."""
    keep = without(graph, graph.everything(), [block.name for block in blocks])
    try:
        fault = _compared(slimmed(network, graph, keep), silenced(network, graph, keep), pictures)
    except InputError as error:  # no such branch is found in the module, or it is not followed
        fault = Left("", "", error.what)
    if fault is None:
        return list(blocks)
    if len(blocks) == 1:
        left.append(Left(blocks[0].name, "", NOT_WHOLE + (fault.why if fault.why != DIFFERS else "others change too")))
        return []
    middle = len(blocks) // 2
    first, last = blocks[:middle], blocks[middle:]
    return [*_whole(network, graph, pictures, first, left), *_whole(network, graph, pictures, last, left)]


def _fault(network: nn.Module, graph: ChannelGraph, pictures: Tensor, groups: Sequence[Group]) -> Left | None:
    """What is wrong when channels of these groups go; None: nothing."""
    for seed in range(CHOICES):
        dice = np.random.Generator(np.random.PCG64(seed))
        keep = graph.everything()
        for group in groups:
            keep[group.units] = dice.random(group.width) < 0.5
            keep[group.units[dice.integers(group.width)]] = True
        fault = _compared(slimmed(network, graph, keep), silenced(network, graph, keep), pictures)
        if fault is not None:
            return fault
    return None


def _compared(cut: nn.Module, mute: nn.Module, pictures: Tensor) -> Left | None:
    with torch.no_grad():
        try:
            with _Last() as last:  # type: ignore[no-untyped-call]
                found = cut.eval()(pictures)
        except Exception:  # layers no longer fit each other, or whatever a user's network makes of that
            return Left("", title(last.name)) if last.name else Left("", "", DIFFERS)
        wanted = mute.eval()(pictures)
    scale = float(wanted.abs().max())
    if found.shape == wanted.shape and torch.allclose(found, wanted, rtol=1e-3, atol=1e-4 * scale + 1e-6):
        return None
    return Left("", "", DIFFERS)


class _Last(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Knows the operation that was begun last."""

    name = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.name = func.overloadpacket.__name__.removesuffix("_")
        return func(*args, **(kwargs or {}))
