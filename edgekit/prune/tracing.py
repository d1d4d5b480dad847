"""Follows the channels of a torch network.

The dependencies are those of Torch-Pruning's graph (Fang et al. 2023, arXiv 2301.12900), asked once for every layer of
the whole network and then joined here channel by channel. So one removal is cut into all layers at once, concats of any
depth keep their offsets, and nothing depends on the order of removals, where the library's own pruning goes wrong.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from edgekit.prune.channels import FIXED, ChannelGraph, Geometry, Group, Kind, Layer, Units, cannot_be_pruned
from edgekit.prune.concats import mend_concats
from edgekit.size import Size

SOUND: Final = frozenset(
    """
    AccumulateGrad AdaptiveAvgPool2D AdaptiveMaxPool2D Add Addmm Alias AvgPool2D Cat Clamp ClampMax ClampMin
    Clone ConstantPadNd Convolution Div Elu Expand Gelu Hardsigmoid Hardswish Hardtanh LeakyRelu LogSoftmax
    MaxPool2DWithIndices Mean Mish Mm Mul NativeBatchNorm NativeDropout Neg Relu ReshapeAlias Sigmoid Silu Slice
    Softmax Softplus Split SplitWithSizes Squeeze Sub T Tanh ToCopy Unsqueeze UnsafeView UpsampleBilinear2D
    UpsampleNearest2D View
    """.split()  # noqa: SIM905
)
"""Autograd's names of the operations through which channels can be followed."""


def trace(network: nn.Module, size: Size, channels: int = 3) -> ChannelGraph:
    """Follows the channels of a classifier that takes (N, channels, height, width).

    Raises:
        InputError: it cannot be traced; the operation is named.
    """
    import torch_pruning

    picture = torch.zeros(1, channels, *size)
    was_training = network.training
    network.eval()
    geometry = _geometry(network, picture)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = torch_pruning.DependencyGraph().build_dependency(network, (picture,), verbose=False)
        except Exception as error:  # whatever the library meets in a user's network
            raise cannot_be_pruned(f"{type(error).__name__}: {str(error)[:120]}") from error
    _check_operations(network, picture)
    mend_concats(graph)
    joined = _Joined(network, graph)
    try:
        for name in joined.roots:
            joined.follow(name)
    except IndexError as error:
        raise cannot_be_pruned(f"its channels cannot be told apart behind {name}") from error
    network.train(was_training)
    return joined.graph(geometry)


def _check_operations(network: nn.Module, picture: torch.Tensor) -> None:
    with torch.enable_grad():
        made = network(picture.clone().requires_grad_())
    if not isinstance(made, torch.Tensor) or made.grad_fn is None:
        raise cannot_be_pruned("it gives no differentiable tensor of logits")
    seen: set[Any] = set()
    waiting: list[Any] = [made.grad_fn]
    while waiting:
        step = waiting.pop()
        if step in seen:
            continue
        seen.add(step)
        plain = step.name().removeprefix("torch::autograd::").rstrip("0123456789").removesuffix("Backward")
        if plain not in SOUND:
            raise cannot_be_pruned(f"channels cannot be followed through the operation {plain}")
        waiting += [before for before, _ in step.next_functions if before is not None]


def _geometry(network: nn.Module, picture: torch.Tensor) -> dict[str, Geometry | None]:
    """Layer: its geometry, in the order in which they run."""
    found: dict[str, Geometry | None] = {}

    def hook(name: str) -> Any:
        def note(module: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
            if isinstance(module, nn.Conv2d):
                pads = module.padding if isinstance(module.padding, tuple) else _same(module)
                kernel, stride, padding, dilation = (
                    (int(a), int(b)) for a, b in (module.kernel_size, module.stride, pads, module.dilation)
                )
                depthwise = _kind(module) == "depthwise"
                found[name] = Geometry(
                    kernel, stride, padding, dilation, given[0].shape[2], given[0].shape[3], depthwise
                )
            elif isinstance(module, nn.Linear):
                found[name] = Geometry((1, 1), (1, 1), (0, 0), (1, 1), 1, 1, False)
            else:
                found[name] = None

        return note

    hooks = [m.register_forward_hook(hook(n)) for n, m in network.named_modules() if _kind(m) is not None]
    try:
        with torch.no_grad():
            network(picture)
    except Exception as error:
        raise cannot_be_pruned(f"it does not run on {tuple(picture.shape)}: {str(error)[:100]}") from error
    finally:
        for each in hooks:
            each.remove()
    return found


def _same(conv: nn.Conv2d) -> tuple[int, int]:
    """`padding="same"` or "valid" as numbers."""
    if conv.padding == "valid":
        return 0, 0
    return tuple(d * (k - 1) // 2 for d, k in zip(conv.dilation, conv.kernel_size, strict=True))  # type: ignore[return-value]


def _kind(module: nn.Module) -> Kind | None:
    if isinstance(module, nn.Conv2d):
        return "depthwise" if 1 < module.groups == module.in_channels == module.out_channels else "conv"
    if isinstance(module, nn.Linear):
        return "linear"
    return "norm" if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) else None


class _Joined:
    """Output channels of all layers, joined where one cannot go without the other."""

    def __init__(self, network: nn.Module, graph: Any) -> None:
        self._graph = graph
        self.modules = {name: module for name, module in network.named_modules() if _kind(module) is not None}
        self._names = {module: name for name, module in self.modules.items()}
        self.kinds: dict[str, Any] = {name: _kind(module) for name, module in self.modules.items()}
        self.roots = [
            name for name, kind in self.kinds.items() if kind != "norm" and self.modules[name] in graph.module2node
        ]
        self.normed: set[str] = set()
        self._first: dict[str, int] = {}
        count = 0
        for name, module in self.modules.items():
            self._first[name] = count
            count += _outputs(module)
        self._parent = list(range(count))
        self._stays: set[int] = set()
        self._inputs: dict[str, list[int]] = {
            name: [FIXED] * _inputs(module)
            for name, module in self.modules.items()
            if self.kinds[name] in ("conv", "linear")
        }
        stuck = {
            n for n, m in self.modules.items() if isinstance(m, nn.Conv2d) and m.groups > 1 and self.kinds[n] == "conv"
        }
        self._stuck = stuck

    def follow(self, root: str) -> None:
        """Joins what hangs on the outputs of one layer."""
        import torch_pruning

        module = self.modules[root]
        prune = (
            torch_pruning.prune_linear_out_channels
            if self.kinds[root] == "linear"
            else torch_pruning.prune_conv_out_channels
        )
        group = self._graph.get_pruning_group(module, prune, list(range(_outputs(module))))
        for item in group:
            dependency, places, origins = item.dep, item.idxs, item.root_idxs
            name = self._names.get(dependency.target.module)
            if name is None:
                if type(dependency.target.module).__name__ in ("_OutputOp", "Parameter"):
                    self._stays.update(self._first[root] + origin for origin in origins)
                continue
            outwards = self.kinds[name] in ("norm", "depthwise") or self._graph.is_out_channel_pruning_fn(
                dependency.handler
            )
            if (
                self.kinds[name] == "norm"
                and dependency.source.module is module
                and len(dependency.source.outputs) == 1
            ):
                self.normed.add(root)
            if name in self._stuck:
                self._stays.update(self._first[root] + origin for origin in origins)
            for place, origin in zip(places, origins, strict=True):
                if outwards:
                    self._join(self._first[name] + place, self._first[root] + origin)
                else:
                    self._feed(name, place, self._first[root] + origin)

    def _feed(self, name: str, place: int, node: int) -> None:
        known = self._inputs[name][place]
        if known == FIXED:
            self._inputs[name][place] = node
        else:
            self._join(known, node)

    def _find(self, node: int) -> int:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def _join(self, a: int, b: int) -> None:
        a, b = self._find(a), self._find(b)
        if a != b:
            self._parent[max(a, b)] = min(a, b)

    def graph(self, geometry: Mapping[str, Geometry | None]) -> ChannelGraph:
        """The joined channels as units and groups."""
        stays = {self._find(node) for node in self._stays}
        makers: dict[int, list[str]] = {}
        for name in geometry:
            if self.kinds[name] != "norm" and name in self.roots:
                for node in range(self._first[name], self._first[name] + _outputs(self.modules[name])):
                    root = self._find(node)
                    if root not in stays:
                        makers.setdefault(root, []).append(name)
        fed = self._fed_by()
        families: dict[tuple[str, ...], list[int]] = {}
        for root, names in makers.items():
            if root in fed:  # what feeds nothing is no channel that anything is won by
                families.setdefault(tuple(dict.fromkeys(names)), []).append(root)
        number: dict[int, int] = {}
        groups = []
        for makers_of, roots in families.items():
            first = len(number)
            number.update({root: first + place for place, root in enumerate(roots)})
            groups.append(Group(makers_of[0], np.arange(first, first + len(roots))))
        groups = [Group(_unique(g.name, groups[:i]), g.units) for i, g in enumerate(groups)]
        return ChannelGraph({n: self._layer(n, geometry[n], number) for n in geometry}, tuple(groups), len(number))

    def _fed_by(self) -> set[int]:
        return {self._find(node) for nodes in self._inputs.values() for node in nodes if node != FIXED}

    def _layer(self, name: str, geometry: Geometry | None, number: Mapping[int, int]) -> Layer:
        kind, first = self.kinds[name], self._first[name]

        def units(nodes: Iterable[int]) -> Units:
            return np.array([number.get(self._find(n), FIXED) if n != FIXED else FIXED for n in nodes], np.int64)

        outputs = units(range(first, first + _outputs(self.modules[name])))
        inputs = units(self._inputs[name]) if name in self._inputs else outputs
        return Layer(name, kind, inputs, outputs, geometry, name in self.normed)


def _unique(name: str, before: Iterable[Group]) -> str:
    same = sum(group.name.partition("#")[0] == name for group in before)
    return name if same == 0 else f"{name}#{same + 1}"


def _outputs(module: Any) -> int:
    for attribute in ("out_channels", "out_features", "num_features"):
        if hasattr(module, attribute):
            return int(getattr(module, attribute))
    raise AssertionError(module)


def _inputs(module: Any) -> int:
    return int(module.in_channels if isinstance(module, nn.Conv2d) else module.in_features)
