"""What channels that go had to say is told by those that stay: a refit of weights by least squares, without training.

A layer reads channels that depend on each other. Each one that goes is written as a linear function of those that stay
(ridge regression over pixels of training images), and the weights that read it are added, in these parts, to the
weights that read the others; the constant goes into the bias, or into the mean of the batch norm behind. The same at
every pixel, it holds for kernels of any size. In the spirit of He et al. 2017 (arXiv 1707.06168), who refit layer by
layer on what is left of those before; here all layers are refit at once, from one pass of the unpruned network.
"""

from __future__ import annotations

import copy
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgekit.prune.channels import ChannelGraph, Keep, Layer, kept_of, removed_layers
from edgekit.prune.images import BATCH
from edgekit.prune.surgery import silenced
from edgekit.training.autocast import autocast
from edgekit.training.replicas import Replicas, parts_at_once, threads_each

IMAGES: Final = 256
"""Training images that dependencies are found on; with 1,024 the accuracy was the same."""

PIXELS: Final = 64
"""Of a layer's input that are taken of each image, at random."""

RIDGE: Final = 0.01
"""Of each channel's own mean square: what a dependency must explain to be believed."""

MOST_INPUTS: Final = 4096
"""Of a layer that is refit: its products take 134 MB then, and a linear layer on flattened features may read 25,000."""

Refit = tuple[Layer, Any]
"""A layer, and its module in a network."""


def compensated(
    network: nn.Module, graph: ChannelGraph, keep: Keep, batches: Iterable[tuple[Tensor, Tensor | None]]
) -> nn.Module:
    """A copy of the network, at its old size, whose weights allow for the removal of units.

    Args:
        keep: (units,) which stay; batches: normalised images (N, C, H, W), their labels not looked at.
    Returns:
        the copy; the network as it was where, with units silenced, the copy answers further from it.
    """
    made = copy.deepcopy(network).eval()
    refits = _refits(made, graph, keep)
    moments, pictures = _seen(made, [layer.name for layer, _ in refits], (inputs for inputs, _ in batches))
    if pictures is None:
        return network
    for layer, module in refits:
        products = moments.of(layer.name)
        if products is not None and len(products) == len(layer.inputs) + 1:
            _refit(module, _mean_of(made, layer), kept_of(layer.inputs, keep), products)
    far, near = (_distance(silenced(each, graph, keep), network, pictures) for each in (network, made))
    return made if near < far else network


def _refits(network: nn.Module, graph: ChannelGraph, keep: Keep) -> list[Refit]:
    """Layers that read some channels that go and some that stay, not too many, with weights of their own."""
    gone, found = removed_layers(graph, keep), []
    owners = Counter(id(each) for module in network.modules() for each in module.parameters(recurse=False))
    for layer in graph.layers.values():
        stays, module = kept_of(layer.inputs, keep), network.get_submodule(layer.name)
        if layer.kind not in ("conv", "linear") or layer.name in gone or stays.all() or not stays.any():
            continue
        if len(stays) > MOST_INPUTS:
            continue
        weight = module._parameters.get("weight")  # one that is computed anew at each call cannot be refit
        if weight is not None and owners[id(weight)] == 1:
            found.append((layer, module))
    return found


def _seen(network: nn.Module, layers: Sequence[str], batches: Iterator[Tensor]) -> tuple[_Moments, Tensor | None]:
    """What layers read of all batches, and the first of them; parts of a batch go through side by side."""
    at_once = parts_at_once(BATCH)
    replicas = Replicas(network, at_once, threads_each(at_once))
    parts = [_Moments(seed) for seed in range(at_once)]

    @torch.no_grad()
    def through(place: int, inputs: Tensor) -> None:
        with autocast(), parts[place].noted(replicas.networks[place], layers):
            replicas.networks[place](inputs)

    first: Tensor | None = None
    with replicas.ready():
        for inputs in batches:
            first = inputs if first is None else first
            replicas.each([partial(through, *part) for part in enumerate(inputs.chunk(at_once))])
    for other in parts[1:]:
        parts[0].add(other)
    return parts[0], first


class _Moments:
    """Sums of products of what layers read, and of a one beside it: float64 (C + 1, C + 1), one for layers that read
    the same tensor.
    """

    def __init__(self, seed: int) -> None:
        self._sums: dict[str, Tensor] = {}
        self._first: dict[str, str] = {}
        self._dice = torch.Generator().manual_seed(seed)

    def of(self, name: str) -> Tensor | None:
        """Of a layer; None where it was not called."""
        return self._sums.get(self._first.get(name, ""))

    def add(self, other: _Moments) -> None:
        """Adds what the same layers read of other pictures."""
        self._first = other._first | self._first
        for name, products in other._sums.items():
            self._sums[name] = self._sums[name].add_(products) if name in self._sums else products

    @contextmanager
    def noted(self, network: nn.Module, layers: Sequence[str]) -> Iterator[None]:
        """Adds up what a network's layers read while the block runs."""
        read: list[tuple[weakref.ref[Tensor], str]] = []

        def note(name: str) -> Callable[[Any, Any], None]:
            def noted(module: Any, given: Any) -> None:
                read[:] = [each for each in read if each[0]() is not None]
                first = next((first for tensor, first in read if tensor() is given[0]), None)
                self._first[name] = first or name
                if first is None:
                    read.append((weakref.ref(given[0]), name))
                    self._note(name, _rows(given[0].float(), module.weight.ndim > 2, self._dice))

            return noted

        hooks = [network.get_submodule(name).register_forward_pre_hook(note(name)) for name in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _note(self, name: str, rows: Tensor) -> None:
        with torch.autocast(rows.device.type, enabled=False):  # sums in BF16 would be worth little
            rows = torch.cat([rows, rows.new_ones(len(rows), 1)], 1)
            products = (rows.T @ rows).double()
        self._sums[name] = self._sums[name].add_(products) if name in self._sums else products


def _rows(inputs: Tensor, is_spatial: bool, pixels: torch.Generator) -> Tensor:
    """(rows, channels): some pixels of each image, or features as a linear layer reads them."""
    if not is_spatial:
        return inputs.flatten(0, -2)
    flat = inputs.flatten(2)
    chosen = torch.randperm(flat.shape[2], generator=pixels)[:PIXELS]
    return flat[:, :, chosen].transpose(1, 2).flatten(0, 1)


def _mean_of(network: nn.Module, layer: Layer) -> Tensor | None:
    """The running mean of the batch norm behind a layer, where it has one."""
    mean = getattr(network.get_submodule(layer.norm), "running_mean", None) if layer.norm else None
    return mean if isinstance(mean, Tensor) else None


@torch.no_grad()
def _refit(module: Any, mean: Tensor | None, stays: NDArray[np.bool_], moments: Tensor) -> None:
    """Moves what reads channels that go to those that stay; a layer without a place for a constant goes without."""
    kept, gone = (torch.from_numpy(np.flatnonzero(each)) for each in (stays, ~stays))
    known = torch.cat([kept, torch.tensor([len(stays)])]) if module.bias is not None or mean is not None else kept
    own = moments[known][:, known]
    ridge = RIDGE * own.diagonal()
    ridge[len(kept) :] = 0.0
    ridge += 1e-9 * own.diagonal().mean() + 1e-30
    parts = torch.linalg.solve(own + torch.diag(ridge), moments[known][:, gone]).T
    read = module.weight[:, gone].double()
    added = torch.einsum("or...,rk->ok...", read, parts[:, : len(kept)])
    if not bool(added.isfinite().all()):
        return
    module.weight[:, kept] += added.to(module.weight.dtype)
    if len(known) > len(kept):
        constant = (read.flatten(2).sum(2) if read.ndim > 2 else read) @ parts[:, len(kept)]
        if module.bias is not None:
            module.bias += constant.to(module.bias.dtype)
        elif mean is not None:
            mean -= constant.to(mean.dtype)


@torch.no_grad()
def _distance(one: nn.Module, other: nn.Module, pictures: Tensor) -> float:
    """Mean squared distance of two networks' answers; infinite where it is no number."""
    with autocast():
        apart = (one.eval()(pictures).float() - other.eval()(pictures).float()).square().mean()
    return float(apart) if bool(apart.isfinite()) else float("inf")
