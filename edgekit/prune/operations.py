"""What each operation of torch does to channels: a table from its name to a function, and nothing else.

A function gets what channels the tensors hold that go in, and says what those hold that come out; it may tie channels
to each other, or say that some must stay. Where it says None, or an operation is not in the table, all channels that go
in must stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch import Tensor

from edgekit.prune.channels import FIXED, Units
from edgekit.prune.followed import Along, Call, Followed, tensors_in, title
from edgekit.prune.layers import LAYERS

Given: TypeAlias = Mapping[int, Along]
"""By the identity of a tensor that goes in."""

Outcome: TypeAlias = "Sequence[Along | None] | None"
"""For each tensor that comes out; None: not followed."""

Rule: TypeAlias = Callable[[Followed, Call, Given], Outcome]


def _same(followed: Followed, call: Call, given: Given) -> Outcome:
    """What goes in first comes out, each channel by itself."""
    along = given.get(id(call.tensors[0]))
    alone = all(tensor.numel() == 1 for tensor in call.tensors[1:])
    return [along] if along is not None and alone else None


def _combined(followed: Followed, call: Call, given: Given) -> Outcome:
    """Sums, products and the like: what meets is tied; one number for all channels is tied to none."""
    made = next(tensors_in(call.made))
    lead: Along | None = None
    for tensor in call.tensors:
        along = given.get(id(tensor))
        if along is None:
            continue
        along = Along(along.axis + made.ndim - tensor.ndim, along.nodes)
        if lead is None:
            lead = along
        elif lead.axis != along.axis or len(lead.nodes) != len(along.nodes):
            return None
        else:
            followed.joined.join(lead.nodes, along.nodes, title(call.name))
    if lead is None:
        return None
    for tensor in call.tensors:
        axis = lead.axis - made.ndim + tensor.ndim
        if id(tensor) in given or axis < 0 or tensor.shape[axis] == 1:
            continue
        if not followed.is_bias_of(tensor, lead.nodes):
            followed.joined.hold(lead.nodes, f"{title(call.name)} with values of its own for each channel")
    return [lead]


def _reduced(followed: Followed, call: Call, given: Given) -> Outcome:
    """Means, sums and maxima over other axes than that of channels."""
    tensor = call.tensors[0]
    along, told = given.get(id(tensor)), call.argument("dim")
    if along is None or told is None or told == []:
        return None
    dims = {dim % tensor.ndim for dim in (told if isinstance(told, list | tuple) else [told])}
    if along.axis in dims:
        return None
    before = 0 if call.argument("keepdim", False) else sum(dim < along.axis for dim in dims)
    return [Along(along.axis - before, along.nodes)] * len(list(tensors_in(call.made)))


def _normalised(followed: Followed, call: Call, given: Given) -> Outcome:
    """Softmax along another axis than that of channels."""
    along = given.get(id(call.tensors[0]))
    return None if along is None or call.argument("dim") % call.tensors[0].ndim == along.axis else [along]


def _windowed(followed: Followed, call: Call, given: Given) -> Outcome:
    """What works on height and width, each channel by itself."""
    along = given.get(id(call.tensors[0]))
    if along is None or along.axis >= call.tensors[0].ndim - 2:
        return None
    return [along] * len(list(tensors_in(call.made)))


def _padded(followed: Followed, call: Call, given: Given) -> Outcome:
    along, pads = given.get(id(call.tensors[0])), call.argument("pad")
    if along is None:
        return None
    place = 2 * (call.tensors[0].ndim - 1 - along.axis)
    before, after = [*pads, *[0] * (2 * call.tensors[0].ndim)][place : place + 2]
    if min(before, after) < 0:
        return None
    sides = [np.full(count, FIXED, np.int64) for count in (before, after)]
    return [Along(along.axis, np.concatenate([sides[0], along.nodes, sides[1]]))]


def _concatenated(followed: Followed, call: Call, given: Given) -> Outcome:
    made, dim = next(tensors_in(call.made)), call.argument("dim", 0)
    dim %= made.ndim
    parts = [(tensor, given.get(id(tensor))) for tensor in call.tensors]
    axes = {along.axis for _, along in parts if along is not None}
    if len(axes) != 1:
        return None
    axis = axes.pop()
    nodes = [np.full(t.shape[axis], FIXED, np.int64) if along is None else along.nodes for t, along in parts]
    if axis == dim:
        return [Along(axis, np.concatenate(nodes))]
    for each in nodes[1:]:
        followed.joined.join(nodes[0], each, title(call.name))
    return [next(along for _, along in parts if along is not None)]


def _split(followed: Followed, call: Call, given: Given) -> Outcome:
    """Equal pieces keep equal numbers of channels; the sizes of others are fixed numbers, which cannot follow."""
    tensor, dim = call.tensors[0], call.argument("dim", 0)
    along, pieces = given.get(id(tensor)), list(tensors_in(call.made))
    if along is None:
        return None
    if along.axis != dim % tensor.ndim:
        return [along] * len(pieces)
    if len({piece.shape[along.axis] for piece in pieces}) != 1:
        return None
    rows = along.nodes.reshape(len(pieces), -1)
    for row in rows[1:]:
        followed.joined.join(rows[0], row, title(call.name))
    return [Along(along.axis, row) for row in rows]


def _sliced(followed: Followed, call: Call, given: Given) -> Outcome:
    tensor, dim = call.tensors[0], call.argument("dim", 0)
    along = given.get(id(tensor))
    if along is None:
        return None
    if call.name == "slice":
        whole = next(tensors_in(call.made)).shape == tensor.shape
        return [along] if whole or dim % tensor.ndim != along.axis else None
    dim %= tensor.ndim  # select and unbind take the axis away
    moved = Along(along.axis - (dim < along.axis), along.nodes)
    return None if dim == along.axis else [moved] * len(list(tensors_in(call.made)))


def _moved(followed: Followed, call: Call, given: Given) -> Outcome:
    """What only puts numbers elsewhere: done with the numbers of the channels in place of the values."""
    if not given:
        return followed.turn(call)
    held = [_spread(tensor, given.get(id(tensor))) for tensor in call.tensors]
    function = torch.reshape if call.name in RESHAPES else call.func
    with torch.no_grad():
        made = function(*_replaced(call.args, iter(held)), **call.kwargs)
    first = call.name in ("pixel_shuffle", "stack")
    return [_along(followed, each, title(call.name), first) for each in tensors_in(made)]


RESHAPES: Final = ("view", "_unsafe_view", "_reshape_alias", "reshape")


def _spread(tensor: Tensor, along: Along | None) -> Tensor:
    """The number of the channel in place of each value."""
    if along is None:
        return torch.full((1,) * tensor.ndim, float(FIXED), dtype=torch.float64).expand(tensor.shape)
    shape = [1] * tensor.ndim
    shape[along.axis] = -1
    return torch.from_numpy(along.nodes.astype(np.float64)).reshape(shape).expand(tensor.shape)


def _replaced(args: Any, held: Iterator[Tensor]) -> Any:
    """Arguments with other tensors in the place of theirs, in the same order."""
    if isinstance(args, Tensor):
        return next(held)
    return type(args)(_replaced(each, held) for each in args) if isinstance(args, list | tuple) else args


def _along(followed: Followed, numbers: Tensor, why: str, first: bool) -> Along | None:
    """Along which axis numbers of channels differ; where there are several, all but one are tied away.

    Args:
        first: whether the first of them is kept; else the last.
    """
    array = numbers.numpy().astype(np.int64)
    known = np.unique(array)
    roots = followed.joined.roots(known)
    array = roots[np.searchsorted(known, array)]
    varying = [a for a in range(array.ndim) if array.shape[a] > 1 and (array != array.take([0], a)).any()]
    if not varying:
        followed.joined.hold(roots, why)
        return None
    axis = varying[0] if first else varying[-1]
    rows: Units = np.unique(np.moveaxis(array, axis, -1).reshape(-1, array.shape[axis]), axis=0)
    for row in rows[1:]:
        followed.joined.join(rows[0], row, why)
    return Along(axis, rows[0])


def _written(followed: Followed, call: Call, given: Given) -> Outcome:
    """What is written into a part of another tensor is tied to what was there."""
    return _combined(followed, call, given) if len(given) == len(call.tensors) else None


BY_KIND: Final[tuple[tuple[Rule, str], ...]] = (
    (_same, """
     abs alias celu clamp clamp_max clamp_min clone contiguous cos detach elu erf exp expm1 gelu hardsigmoid hardswish
     hardtanh leaky_relu lift_fresh log log1p log_sigmoid_forward mish native_dropout neg reciprocal relu relu6
     round rsqrt selu sigmoid sign silu sin softplus sqrt square tanh threshold _to_copy dropout
     """),
    (_combined, """
     add addcdiv addcmul atan2 div eq fmod ge gt le lerp lt masked_fill maximum minimum mul ne pow _prelu_kernel
     remainder rsub sub where
     """),
    (_reduced, "all amax amin any logsumexp max mean min prod std std_mean sum var var_mean linalg_vector_norm"),
    (_normalised, "_softmax _log_softmax"),
    (_windowed, """
     adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d avg_pool2d max_pool2d_with_indices reflection_pad2d
     replication_pad2d upsample_bicubic2d upsample_bilinear2d _upsample_bicubic2d_aa _upsample_bilinear2d_aa
     upsample_nearest2d _upsample_nearest_exact2d
     """),
    (_padded, "constant_pad_nd"),
    (_concatenated, "cat"),
    (_split, "split split_with_sizes"),
    (_sliced, "select slice unbind"),
    (_moved, """
     channel_shuffle native_channel_shuffle expand flip movedim permute pixel_shuffle pixel_unshuffle repeat reshape
     _reshape_alias squeeze stack t transpose unsqueeze view _unsafe_view
     """),
    (_written, "copy"),
)  # fmt: skip

OPERATIONS: Final[Mapping[str, Rule]] = {
    **{name: rule for rule, names in BY_KIND for name in names.split()},
    **LAYERS,
}
"""By torch's name of the operation, without the mark of those that work in place."""
