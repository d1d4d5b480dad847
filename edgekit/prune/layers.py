"""What layers with weights do to channels: convolutions, linear layers and batch norms make, read and tie them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from torch import Tensor, nn

from edgekit.prune.channels import FIXED, Geometry, Units
from edgekit.prune.followed import Along, Call, Followed, title
from edgekit.prune.joined import Traced

SHARED: Final = "a second layer that has the same weights"
"""In place of an operation."""


def _convolved(followed: Followed, call: Call, given: Mapping[int, Along]) -> list[Along | None] | None:
    if len(call.args) != 9:
        return None
    x, weight, bias, stride, padding, dilation, transposed, _, groups = call.args
    owner = followed.owner(weight, "weight")
    if owner is None or transposed or x.ndim != 4 or not _is_own(owner[1], bias):
        return None
    along = given.get(id(x))
    if along is not None and along.axis != 1:
        return None
    name = owner[0]
    layer = followed.joined.layers.get(name)
    if layer is None:
        sides = [(int(side[0]), int(side[-1])) for side in (weight.shape[2:], stride, padding, dilation)]
        per_group = None if groups == 1 else (x.shape[1] // groups, weight.shape[0] // groups)
        geometry = Geometry(sides[0], sides[1], sides[2], sides[3], x.shape[2], x.shape[3], per_group)
        kind: Any = "conv" if groups == 1 else "grouped"
        layer = Traced(name, kind, None, followed.joined.fresh(weight.shape[0]), geometry)
        followed.joined.layers[name] = layer
    taken = np.full(x.shape[1], FIXED, np.int64) if along is None else along.nodes
    _feed(followed, layer, taken, title(call.name))
    if groups > 1:
        _tie_groups(followed, layer, groups)
    return _given(followed, owner, layer, 1)


def _linear(followed: Followed, call: Call, given: Mapping[int, Along]) -> list[Along | None] | None:
    """Products with the weight of a linear layer; of anything else they are not followed."""
    bias, x, weight = call.args[:3] if call.name == "addmm" else (None, *call.args[:2])
    if call.name == "linear":
        bias = call.args[2] if len(call.args) > 2 else None
    owner = followed.owner(weight, "weight")
    if owner is None or not isinstance(owner[1], nn.Linear) or not (bias is None or _is_own(owner[1], bias)):
        return None
    along = given.get(id(x))
    if along is not None and along.axis != x.ndim - 1:
        return None
    layer = followed.joined.layers.get(owner[0])
    if layer is None:
        geometry = Geometry((1, 1), (1, 1), (0, 0), (1, 1), 1, 1)
        layer = Traced(owner[0], "linear", None, followed.joined.fresh(owner[1].out_features), geometry)
        followed.joined.layers[owner[0]] = layer
    taken = np.full(x.shape[-1], FIXED, np.int64) if along is None else along.nodes
    _feed(followed, layer, taken, title(call.name))
    return _given(followed, owner, layer, x.ndim - 1)


def _batch_normed(followed: Followed, call: Call, given: Mapping[int, Along]) -> list[Along | None] | None:
    along, parts = given.get(id(call.args[0])), [each for each in call.args[1:5] if isinstance(each, Tensor)]
    owners = {each[0]: each for tensor in parts if (each := _any_part(followed, tensor)) is not None}
    if len(owners) != 1 or not parts:
        return None
    name, module, _ = next(iter(owners.values()))
    layer = followed.joined.layers.get(name)
    if layer is None:
        nodes = followed.joined.fresh(int(module.num_features))
        layer = Traced(name, "norm", None, nodes, None)
        followed.joined.layers[name] = layer
    if along is None or along.axis != 1:
        followed.joined.hold(layer.outputs, "")
        return None if along is not None else [None]
    followed.joined.join(along.nodes, layer.outputs, title(call.name))
    return [along]


def _any_part(followed: Followed, tensor: Tensor) -> Any:
    for part in ("weight", "bias", "running_mean", "running_var"):
        if (owner := followed.owner(tensor, part)) is not None and not followed.is_shared(owner):
            return owner
    return None


def _is_own(module: Any, bias: Tensor | None) -> bool:
    return bias is None or bias is module.bias


def _feed(followed: Followed, layer: Traced, taken: Units, why: str) -> None:
    """Notes what a layer reads; what it reads in two places of the network is tied."""
    if layer.inputs is None:
        layer.inputs = taken
    else:
        followed.joined.join(layer.inputs, taken, why)
        layer.inputs = np.maximum(layer.inputs, taken)


def _tie_groups(followed: Followed, layer: Traced, groups: int) -> None:
    """What goes into and out of each group of a grouped convolution can only go together."""
    assert layer.inputs is not None
    for taken, made in zip(np.split(layer.inputs, groups), np.split(layer.outputs, groups), strict=True):
        nodes = np.concatenate([taken, made])
        if FIXED in taken:
            followed.joined.hold(nodes, "")
        nodes = nodes[nodes != FIXED]
        followed.joined.join(np.full(len(nodes) - 1, nodes[0]), nodes[1:], "")


def _given(followed: Followed, owner: Any, layer: Traced, axis: int) -> list[Along | None]:
    """What a layer makes; of one channel, or with weights that another layer has too, it must stay."""
    if followed.is_shared(owner):
        followed.stay([layer.name], SHARED)
        return [None]
    if len(layer.outputs) == 1:
        followed.joined.hold(layer.outputs, "")
        return [None]
    return [Along(axis, layer.outputs)]


LAYERS: Final[Mapping[str, Callable[..., list[Along | None] | None]]] = {
    "convolution": _convolved,
    "addmm": _linear,
    "mm": _linear,
    "linear": _linear,
    "native_batch_norm": _batch_normed,
    "_native_batch_norm_legit_no_training": _batch_normed,
}
"""By torch's name of the operation."""

MAKING: Final = frozenset({"convolution", "addmm", "mm", "linear"})
NORMING: Final = frozenset({"native_batch_norm", "_native_batch_norm_legit_no_training"})
