"""Removing channels from a torch network, or silencing them to see what they were worth."""

from __future__ import annotations

import copy
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgekit.models.weights import resize
from edgekit.prune.channels import ChannelGraph, Keep, cannot_be_pruned, kept_of
from edgekit.size import Size

CHOICES: Final = 3
"""Random halves that the graph of a network is checked with: one may by chance remove what hardly matters."""


def slimmed(network: nn.Module, graph: ChannelGraph, keep: Keep) -> nn.Module:
    """A copy of the network with the channels of removed units cut out of every layer; names stay as they were.

    Args:
        keep: (units,) which stay.
    """
    made = copy.deepcopy(network)
    state = {}
    for layer in graph.layers.values():
        rows, columns = kept_of(layer.outputs, keep), kept_of(layer.inputs, keep)
        module = made.get_submodule(layer.name)
        for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            cut = value.detach()
            if cut.ndim:
                cut = cut[torch.from_numpy(rows)]
            if cut.ndim > 1 and layer.kind in ("conv", "linear") and not grouped(module):
                cut = cut[:, torch.from_numpy(columns)]
            state[f"{layer.name}.{name}"] = cut
    resize(made, state)
    return made


def check(network: nn.Module, graph: ChannelGraph, size: Size, channels: int = 3) -> None:
    """Removes half of the channels at random, some times, and compares with silencing them: whether the graph is right.

    Raises:
        InputError: the graph is not, so that pruning would change more than it should.
    """
    for seed in range(CHOICES):
        _check_choice(network, graph, (2, channels, *size), np.random.Generator(np.random.PCG64(seed)))


def _check_choice(network: nn.Module, graph: ChannelGraph, shape: tuple[int, ...], dice: np.random.Generator) -> None:
    keep = dice.random(graph.units) < 0.5
    for group in graph.groups:
        keep[group.units[dice.integers(group.width)]] = True
    picture = torch.from_numpy(dice.standard_normal(shape, np.float32))
    with torch.no_grad():
        try:
            cut = slimmed(network, graph, keep).eval()(picture)
        except (RuntimeError, IndexError) as error:
            raise cannot_be_pruned("layers no longer fit each other when channels go") from error
        mute = silenced(network, graph, keep).eval()(picture)
    if not torch.allclose(cut, mute, rtol=1e-3, atol=1e-4 * float(mute.abs().max()) + 1e-6):
        raise cannot_be_pruned("removing channels changes what the others compute")


def grouped(module: nn.Module) -> bool:
    """Whether a convolution has groups, so that its weight does not have one column an input channel."""
    return isinstance(module, nn.Conv2d) and module.groups > 1


def silenced(network: nn.Module, graph: ChannelGraph, keep: Keep) -> nn.Module:
    """A copy of the network in which removed units give zero: the same function as `slimmed`, at the old size.

    This holds where what follows a layer keeps zero at zero, as ReLU and its kin do.
    """
    made = copy.deepcopy(network)
    with torch.no_grad():
        for layer in graph.layers.values():
            gone = torch.from_numpy(~kept_of(layer.outputs, keep))
            module: Any = made.get_submodule(layer.name)
            if not bool(gone.any()) or layer.normed:
                continue
            module.weight[gone] = 0
            if module.bias is not None:
                module.bias[gone] = 0
            if layer.kind == "norm":
                module.running_mean[gone] = 0
    return made


def kept_outputs(graph: ChannelGraph, keep: Keep, layer: str) -> NDArray[np.int64]:
    """Positions of a layer's output channels that stay."""
    return np.flatnonzero(kept_of(graph.layers[layer].outputs, keep))
