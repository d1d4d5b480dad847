"""Ranges of activations by the least squared error: of what the float network makes, as little as can be is lost.

A wide range rounds coarsely, a narrow one cuts off. And a range may begin at zero: hard-swish and its like reach down
to -0.375 and far up, so that a signed range leaves half of its levels to next to nothing. Cutting that off may lose
less than a step that is twice as wide (LSQ+, Bhalgat et al. 2020, arXiv 2004.09576, section 2, has the problem). Zero
points stay 0, so that nothing is slower for it, and TensorRT takes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import add_constant, array_of, constant, drop_unused, forget_shapes, name_of
from edgekit.quantize.activations import values_of
from edgekit.quantize.observe import Inputs

VALUES: Final = 4096
"""Values of a tensor that are kept of each image; of each channel a few, where each has a scale of its own."""

RANGES: Final = np.geomspace(0.1, 1.0, 60)
"""Ranges that are tried, as parts of the widest."""

Kind = Literal["unsigned", "signed"]
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """How one tensor is quantized around zero.

    Attributes:
        kind: from 0 to 255 steps, or from -128 to 127; scales: (C,) of each channel, or (1,); error: (C,) mean square.
    """

    kind: Kind
    scales: NDArray[np.float64]
    error: NDArray[np.float64]


def squared_error(values: Values, scales: NDArray[np.float64], low: int, high: int) -> NDArray[np.float64]:
    """(C,) mean squared error of values (C, N) in steps of scales (C,), between two levels."""
    step = scales.astype(np.float32)[:, None]
    lost = np.clip(np.rint(values / step), low, high) * step - values
    return np.asarray(np.square(lost, dtype=np.float64).mean(1), np.float64)


def least(values: Values, kind: Kind, high: int) -> Grid:
    """The scales of least squared error for values (C, N), of which no channel is zero throughout.

    The widest range is among those that are tried: its error is no less.
    """
    low = 0 if kind == "unsigned" else -high - 1
    reach = (values.max(1) if kind == "unsigned" else np.abs(values).max(1)).astype(np.float64)
    best = Grid(kind, reach / high, np.full(len(values), np.inf))
    for part in RANGES:
        scales = part * reach / high
        error = squared_error(values, scales, low, high)
        won = error <= best.error  # the wider one of two that are as good
        best = Grid(kind, np.where(won, scales, best.scales), np.where(won, error, best.error))
    return best


def with_least_squares(core: ir.Model, quantized: ir.Model, inputs: Inputs, signed: bool) -> ir.Model:
    """A Q/DQ graph whose activations have ranges of least squared error; one whose range is better already keeps it.

    Quantizers of one scale, as those before a concat, keep one. Those with a zero point other than 0, and those of
    tensors that the float graph does not have, stay as they are; so do biases.

    Args:
        core: the float graph, whose tensors have the same names; inputs: float32, batch 1.
        signed: whether the target has signed activations alone: unsigned ranges have 127 steps then.
    """
    out = quantized.clone()
    floats = ir.convenience.create_value_mapping(core.graph)
    groups = [group for group in _groups(out) if all(_tensor(node) in floats for node in group)]
    kept = _sampled(core, groups, inputs)
    for number, (group, values) in enumerate(zip(groups, kept, strict=True)):
        _refine(out.graph, group, values, signed, f"edgekit_range_{number}")
    drop_unused(out)
    forget_shapes(out.graph)
    return out


def _tensor(node: ir.Node) -> str:
    value = node.inputs[0]
    return "" if value is None else name_of(value)


def _groups(model: ir.Model) -> list[list[ir.Node]]:
    """The quantizers of activations around zero, those of one scale together."""
    found = dict[tuple[Any, ...], list[ir.Node]]()
    for node in model.graph:
        if node.op_type != "QuantizeLinear" or len(node.inputs) < 3 or constant(node.inputs[0]) is not None:
            continue
        scale, zero = constant(node.inputs[1]), constant(node.inputs[2])
        readers = node.outputs[0].consumers()
        plain = scale is not None and zero is not None and not zero.any()
        if not plain or any(reader.op_type != "DequantizeLinear" for reader in readers):
            continue
        assert scale is not None
        assert zero is not None
        axis = node.attributes.get_int("axis", 1)
        if zero.dtype not in (np.dtype(np.int8), np.dtype(np.uint8)) or (scale.size > 1 and axis != 1):
            continue
        found.setdefault((scale.tobytes(), str(zero.dtype), scale.size), []).append(node)
    return list(found.values())


def _sampled(core: ir.Model, groups: Sequence[Sequence[ir.Node]], inputs: Inputs) -> list[Values]:
    """(C, N) values of every group over all inputs: C channels, or 1 where they have one scale."""
    tensors = list(dict.fromkeys(_tensor(node) for group in groups for node in group))
    dice = np.random.Generator(np.random.PCG64(0))
    kept: list[list[Values]] = [[] for _ in groups]
    image = {name_of(value) for value in core.graph.inputs if not value.is_initializer()}
    for given, values in values_of(core, [name for name in tensors if name not in image], inputs):
        values |= dict.fromkeys(image, given)
        for group, chosen in zip(groups, kept, strict=True):
            channels = _channels(group[0])
            for name in dict.fromkeys(_tensor(node) for node in group):
                flat = values[name].reshape(channels, -1)
                count = min(flat.shape[1], max(64, VALUES // channels))
                chosen.append(flat[:, np.sort(dice.permutation(flat.shape[1])[:count])])
    return [np.concatenate(each, axis=1) for each in kept]


def _channels(node: ir.Node) -> int:
    scale = constant(node.inputs[1])
    assert scale is not None, node
    return scale.size


def _refine(graph: ir.Graph, group: Sequence[ir.Node], values: Values, signed: bool, name: str) -> None:
    """Gives quantizers of one scale, and what dequantizes their levels, the better range, in place."""
    scale, zero = constant(group[0].inputs[1]), constant(group[0].inputs[2])
    assert scale is not None
    assert zero is not None
    now: Kind = "unsigned" if zero.dtype == np.uint8 else "signed"
    negative, alive = bool((values < 0).any()), np.abs(values).max(1) > 0
    high: dict[Kind, int] = {"unsigned": 127 if signed else 255, "signed": 127}
    kinds: list[Kind] = [now] if signed else ["signed", "unsigned"] if negative else ["unsigned"]
    before = scale.astype(np.float64).reshape(-1) * (255 / 127 if signed and now == "unsigned" else 1)
    low = 0 if now == "unsigned" else -128
    best = Grid(now, before, squared_error(values, before, low, high[now]))
    for kind in kinds:
        usable = alive & ((values.max(1) > 0) if kind == "unsigned" else alive)
        if not usable.all() and kind != now:
            continue
        found = least(np.where(usable[:, None], values, 1), kind, high[kind])
        scales = np.where(usable, found.scales, before)
        error = np.where(usable, found.error, best.error)
        if kind == best.kind:
            won = error < best.error
            best = Grid(best.kind, np.where(won, scales, best.scales), np.where(won, error, best.error))
        elif error.sum() < best.error.sum():
            best = Grid(kind, scales, error)
    _write(graph, group, best, signed, name)


def _write(graph: ir.Graph, group: Sequence[ir.Node], grid: Grid, signed: bool, name: str) -> None:
    shape = array_of(group[0].inputs[1]).shape
    scales = grid.scales * (127 / 255 if signed and grid.kind == "unsigned" else 1)
    dtype = np.uint8 if grid.kind == "unsigned" else np.int8
    new = [
        add_constant(graph, f"{name}_scale", scales.astype(np.float32).reshape(shape)),
        add_constant(graph, f"{name}_zero", np.zeros(shape, dtype)),
    ]
    for node in group:
        for each in (node, *node.outputs[0].consumers()):
            for place, value in enumerate(new, 1):
                each.replace_input_with(place, value)
