"""What channels and blocks are worth: three measures, one function each, listed in IMPORTANCES.

Data-driven ones look at a gate on every channel: the derivative of the loss by a factor that multiplies the channel is
what removing it would cost to first order. The gate of a block multiplies all that it adds: its derivative is the sum
of those of its last layer's channels, so that blocks are weighed in the same units as channels, and channels of a block
that pull against each other do not make it worth more than it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekit.prune.channels import FIXED, ChannelGraph, Layer
from edgekit.prune.images import BATCH
from edgekit.training.autocast import autocast
from edgekit.training.replicas import Replicas, parts_at_once, threads_each
from edgekit.training.step import answers
from edgekit.training.strides import pixels_left_out_first

Scores = dict[str, NDArray[np.float64]]
Batches: TypeAlias = Iterable[tuple[Tensor, Tensor | None]]
"""Normalised images (N, 3, H, W) and labels (N,); None for labels: the network's own answers are taken."""


def magnitude(network: nn.Module, graph: ChannelGraph, batches: Batches) -> Scores:
    """The length of a unit's filters as they run, batch norm folded in, against the mean of its group. It takes no
    images, and says nothing of blocks, for which there is no such mean.
    """
    total = np.zeros(graph.units)
    for layer in graph.layers.values():
        if layer.kind == "norm":
            continue
        module: Any = network.get_submodule(layer.name)
        length = module.weight.detach().flatten(1).square().sum(1)
        if layer.normed:
            norm: Any = network.get_submodule(layer.norm)
            length = length * (1 if norm.weight is None else norm.weight.detach().square())
            length = length if norm.running_var is None else length / (norm.running_var + norm.eps)
        _add(total, layer.outputs, length.double().numpy())
    lengths = np.sqrt(total)
    return {g.name: lengths[g.units] / max(float(lengths[g.units].mean()), 1e-30) for g in graph.groups}


def taylor(network: nn.Module, graph: ChannelGraph, batches: Batches) -> Scores:
    """The mean absolute derivative of the loss by a unit's gate (Molchanov et al. 2017, arXiv 1611.06440)."""
    return _gated(network, graph, batches, lambda slopes: slopes.abs())


def fisher(network: nn.Module, graph: ChannelGraph, batches: Batches) -> Scores:
    """Half the mean squared derivative by a unit's gate: the rise of the loss to second order, with the curvature that
    the Fisher information gives (Theis et al. 2018, arXiv 1801.05787).
    """
    return _gated(network, graph, batches, lambda slopes: slopes.square() / 2)


IMPORTANCES: Final[Mapping[str, Callable[[nn.Module, ChannelGraph, Batches], Scores]]] = MappingProxyType(
    {"magnitude": magnitude, "taylor": taylor, "fisher": fisher}
)
"""By the name that --importance takes."""

DATA_DRIVEN: Final = frozenset({"taylor", "fisher"})


def _add(total: NDArray[np.float64], units: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    there = units != FIXED
    np.add.at(total, units[there], values[there])


def _gated(network: nn.Module, graph: ChannelGraph, batches: Batches, of: Callable[[Tensor], Tensor]) -> Scores:
    """Means over images of a function of each image's slopes (N, units) of the loss by the gates; parts of a batch go
    through side by side, one a core.
    """
    total, images = np.zeros(graph.units), 0
    frozen = [p for p in network.parameters() if p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    at_once = parts_at_once(BATCH)
    replicas = Replicas(network, at_once, threads_each(at_once))
    gated = [_Gated(each, graph) for each in replicas.networks]
    try:
        with replicas.ready():
            for pictures, labels in batches:
                parts = pictures.chunk(at_once)
                wanted = [None] * len(parts) if labels is None else labels.chunk(at_once)
                work = [
                    partial(each.slopes, part, its_labels)
                    for each, part, its_labels in zip(gated, parts, wanted, strict=False)  # a small batch has fewer
                ]
                for slopes in replicas.each(work):
                    total += of(slopes).sum(0).double().numpy()
                images += len(pictures)
    finally:
        gated[0].close()
        for parameter in frozen:
            parameter.requires_grad_(True)
    means = total / max(images, 1)
    blocks = {block.name: means[[block.unit]] for block in graph.blocks}
    return {**{group.name: means[group.units] for group in graph.groups}, **blocks}


class _Gated:
    """A network whose channels are multiplied by gates, all of them one."""

    def __init__(self, network: nn.Module, graph: ChannelGraph) -> None:
        """Hooks are put on the network, until `close`."""
        self._network, self._units = network, graph.units
        self._ends: dict[str, list[int]] = {}
        for block in graph.blocks:
            for name in block.last:
                self._ends.setdefault(name, []).append(block.unit)
        self._gates: list[tuple[Layer, Tensor]] = []
        self._hooks = [
            network.get_submodule(layer.name).register_forward_hook(self._gating(layer))
            for layer in graph.layers.values()
            if layer.name in self._ends or (not layer.normed and (layer.outputs != FIXED).any())
        ]

    def close(self) -> None:
        """Takes the hooks off the network."""
        for each in self._hooks:
            each.remove()

    def _gating(self, layer: Layer) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        def multiply(module: nn.Module, given: Any, made: Tensor) -> Tensor:
            axis = made.ndim - 1 if layer.kind == "linear" else 1
            shape = [len(made), *(made.shape[axis] if place == axis else 1 for place in range(1, made.ndim))]
            gate = torch.ones(shape, requires_grad=True)
            self._gates.append((layer, gate))  # a layer may be called several times
            return made * gate

        return multiply

    def slopes(self, pictures: Tensor, labels: Tensor | None) -> Tensor:
        """(N, units): of each picture's loss by the gates."""
        self._gates.clear()
        with autocast(), pixels_left_out_first(self._network):
            logits = answers(self._network, pictures)
        wanted = logits.argmax(1) if labels is None else labels
        nn.functional.cross_entropy(logits.float(), wanted, reduction="sum").backward()  # type: ignore[no-untyped-call]
        slopes = torch.zeros(len(pictures), self._units)
        for layer, gate in self._gates:
            there = torch.from_numpy(layer.outputs)
            of_layer = there != FIXED
            if gate.grad is None:  # nothing hangs on it
                continue
            of_channels = gate.grad.flatten(1)
            if not layer.normed:
                slopes.index_add_(1, there[of_layer], of_channels[:, of_layer])
            for unit in self._ends.get(layer.name, ()):
                slopes[:, unit] += of_channels.sum(1)
        return slopes
