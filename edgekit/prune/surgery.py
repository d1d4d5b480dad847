"""Removing channels and blocks from a torch network, or silencing them to see what they were worth."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgekit.models.bypass import bypassed
from edgekit.models.weights import resize
from edgekit.prune.blocks import bypasses
from edgekit.prune.channels import ChannelGraph, Keep, kept_of, removed_blocks, removed_layers


def slimmed(network: nn.Module, graph: ChannelGraph, keep: Keep) -> nn.Module:
    """A copy of the network without removed blocks, and with the channels of removed units cut out of every other
    layer; names stay as they were.

    Args:
        keep: (units,) which stay.
    Raises:
        InputError: a block that does not stay cannot be taken out.
    """
    made = bypassed(copy.deepcopy(network), bypasses(graph, keep))
    state, gone = {}, removed_layers(graph, keep)
    for layer in graph.layers.values():
        if layer.name in gone:
            continue
        rows, columns = kept_of(layer.outputs, keep), kept_of(layer.inputs, keep)
        if rows.all() and columns.all():
            continue  # also because its weights may be another layer's too
        module = made.get_submodule(layer.name)
        for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            cut = value.detach()
            if cut.ndim:
                cut = cut[torch.from_numpy(rows)]
            if cut.ndim > 1 and layer.kind in ("conv", "linear"):
                cut = cut[:, torch.from_numpy(columns)]
            state[f"{layer.name}.{name}"] = cut
    resize(made, state)
    return made


def silenced(network: nn.Module, graph: ChannelGraph, keep: Keep) -> nn.Module:
    """A copy of the network in which nothing reads removed units, and removed blocks add zeros: the same function as
    `slimmed`, at the old size.
    """
    made = copy.deepcopy(network)
    with torch.no_grad():
        for block in removed_blocks(graph, keep):
            for name in block.last:
                for parameter in made.get_submodule(name).parameters(recurse=False):
                    parameter.zero_()
        for layer in graph.layers.values():
            gone = torch.from_numpy(~kept_of(layer.inputs, keep))
            if layer.kind in ("conv", "linear") and bool(gone.any()):
                module: Any = made.get_submodule(layer.name)
                module.weight[:, gone] = 0
    return made


def kept_outputs(graph: ChannelGraph, keep: Keep, layer: str) -> NDArray[np.int64]:
    """Positions of a layer's output channels that stay."""
    return np.flatnonzero(kept_of(graph.layers[layer].outputs, keep))
