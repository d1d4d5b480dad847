"""Removing channels from a torch network, or silencing them to see what they were worth."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgekit.models.weights import resize
from edgekit.prune.channels import ChannelGraph, Keep, kept_of


def slimmed(network: nn.Module, graph: ChannelGraph, keep: Keep) -> nn.Module:
    """A copy of the network with the channels of removed units cut out of every layer; names stay as they were.

    Args:
        keep: (units,) which stay.
    """
    made = copy.deepcopy(network)
    state = {}
    for layer in graph.layers.values():
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
    """A copy of the network in which nothing reads removed units: the same function as `slimmed`, at the old size."""
    made = copy.deepcopy(network)
    with torch.no_grad():
        for layer in graph.layers.values():
            gone = torch.from_numpy(~kept_of(layer.inputs, keep))
            if layer.kind in ("conv", "linear") and bool(gone.any()):
                module: Any = made.get_submodule(layer.name)
                module.weight[:, gone] = 0
    return made


def kept_outputs(graph: ChannelGraph, keep: Keep, layer: str) -> NDArray[np.int64]:
    """Positions of a layer's output channels that stay."""
    return np.flatnonzero(kept_of(graph.layers[layer].outputs, keep))
