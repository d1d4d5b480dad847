"""INT8 weights whose products can be added up in 16 bits without saturating, for x86-64 processors without VNNI.

There, oneDNN multiplies unsigned activations by signed weights and keeps the sum of two neighbouring products in signed
16 bits (vpmaddubsw). Neighbours are the input channels 2k and 2k + 1 at the same place of the kernel. Activations reach
255: signed ones are moved to unsigned ones first. So the positive weights of two neighbours may come to 128 in sum, and
the negative ones to -128: 255 times that is 32,640, and 255 more is too much. So OpenVINO 2026.4.1
was seen to do it with SSE4.1, AVX2 and AVX-512 without VNNI; tests/integration/test_exact_sums.py asks again.

A channel in which some pair comes to more gets the least wider scale that makes all fit, at most twice as wide; one in
which all fit stays as it is. That holds for every input, not for the calibration images alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import add_constant, array_of, drop_unused, name_of
from edgekit.quantize.qdq import PASSING, WEIGHTED, is_turned, operators, restored
from edgekit.quantize.widened import Widened

MOST: Final = 128
"""What two weights of one sign may come to: 255 times that fits into 16 bits."""

WIDEST: Final = 2.0
STEP: Final = 2.0**-11
LEVELS: Final = 127

MARK: Final = "edgekit_widened_scales"
"""Metadata of a DequantizeLinear of weights: how many scales are wider, and by what factor at most."""

Pairing = Literal["none", "neighbours", "any"]
Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """What a layer's weights lost when its scales were widened.

    Attributes:
        node: the layer's name; lost: (outputs, inputs of a group), summed over the places of the kernel.
    """

    node: str
    lost: Weights


def pairing(node: ir.Node, shape: tuple[int, ...]) -> Pairing:
    """Which two weights of a channel may have their products added first.

    Depthwise convolutions have kernels of their own that add in 32 bits. Where groups have an odd number of channels,
    or there is one channel, kernels go over channels and places together: any two may meet then.

    Args:
        shape: of the weight, as the graph has it.
    """
    if node.op_type != "Conv":
        return "neighbours"
    groups, each = node.attributes.get_int("group", 1), shape[1]
    if each == 1 and groups == shape[0] and groups > 1:
        return "none"
    return "any" if each == 1 or (groups > 1 and each % 2) else "neighbours"


def by_output(node: ir.Node, weight: NDArray[Any]) -> Weights:
    """A view of weights as (outputs, inputs, places of the kernel)."""
    first = np.moveaxis(weight, 1, 0) if _outputs_axis(node) else weight
    return first.reshape(*first.shape[:2], -1).astype(np.float64)


def _as_before(node: ir.Node, weight: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """What `by_output` was given."""
    if not _outputs_axis(node):
        return weight.reshape(shape)
    return np.ascontiguousarray(np.moveaxis(weight.reshape(shape[1], shape[0], *shape[2:]), 0, 1))


def largest_sums(weights: Weights, pairs: Pairing) -> Weights:
    """(outputs,) the most that two weights of one sign come to, whose products may be added first.

    Args:
        weights: (outputs, inputs, places of the kernel).
    """
    outputs, inputs, places = weights.shape
    sides = (np.maximum(weights, 0), np.maximum(-weights, 0))
    if pairs == "none" or not weights.size:
        return np.zeros(outputs)
    if pairs == "any":
        flat = [np.pad(side.reshape(outputs, -1), ((0, 0), (1, 0))) for side in sides]
        return _larger(*(np.partition(side, -2, axis=1)[:, -2:].sum(1) for side in flat))
    even = [np.pad(side, ((0, 0), (0, inputs % 2), (0, 0))).reshape(outputs, -1, 2, places) for side in sides]
    return _larger(*(side.sum(2).max((1, 2)) for side in even))


def saturates(node: ir.Node, weights: Weights, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(outputs,) whether some sum of products may leave 16 bits.

    Args:
        weights: (outputs, inputs, places) of a layer, whole numbers; shape: of the weight, as the graph has it.
    """
    return largest_sums(weights, pairing(node, shape)) > MOST


def _larger(positive: Weights, negative: Weights) -> Weights:
    return np.asarray(np.maximum(positive, negative), np.float64)


def rounded(weights: Weights, scale: NDArray[np.float32]) -> Weights:
    """Weights (outputs, inputs, places) in steps of a scale for each output, whole numbers."""
    steps = weights / scale.astype(np.float64).reshape(-1, 1, 1)
    return np.clip(np.rint(steps), -LEVELS, LEVELS)


def fitting_scales(weights: Weights, scale: NDArray[np.float32], pairs: Pairing) -> NDArray[np.float32]:
    """The least scales, none below the one that there is, by which rounded weights fit; never more than WIDEST times.

    Args:
        weights: (outputs, inputs, places), none beyond what its scale can tell apart.
    """
    out = scale.copy()
    left = np.flatnonzero(largest_sums(rounded(weights, scale), pairs) > MOST)
    sums = largest_sums(weights[left], pairs) / scale[left]
    factors = np.maximum(1.0, sums / (MOST + 1))  # rounding takes off no more than a half of each
    while left.size:
        out[left] = (scale[left] * factors).astype(np.float32)
        over = largest_sums(rounded(weights[left], out[left]), pairs) > MOST
        left, factors = left[over], np.minimum(factors[over] * (1 + STEP), WIDEST)
    return out


def float_weights(quantized: ir.Model, core: ir.Model) -> dict[str, NDArray[Any]]:
    """The float weights of a Q/DQ graph's layers, by the names of their INT8 constants.

    Args:
        core: the float graph that it was made of.
    """
    nodes, floats = {node.name: node for node in quantized.graph}, core.graph.initializers
    found = {}
    for each in operators(quantized, core):
        constant = int8_weight(nodes[each.name]) if each.weight in floats else None
        if constant is not None and each.weight is not None:
            found[name_of(constant)] = array_of(floats[each.weight])
    return found


def with_sums_that_fit(
    quantized: ir.Model, floats: Mapping[str, NDArray[Any]], core: ir.Model
) -> tuple[ir.Model, list[Change]]:
    """A Q/DQ graph that computes the same where products are added up in 16 bits; and what its weights lost.

    A product of two activations has no weights to make smaller, and transposed convolutions halve theirs on some of
    these processors where activations are signed: both go back to floating point.

    Args:
        quantized: as NNCF writes it.
        floats: weights before they were rounded, by the names of INT8 constants; the INT8 ones are rounded again where
            there are none, or others.
        core: the float graph that it was made of.
    """
    loose = [node.name or "" for node in quantized.graph if _is_loose(node)]
    out = restored(quantized, core, loose) if loose else quantized.clone()
    changes = []
    for node in tuple(out.graph):
        constant = int8_weight(node)
        if constant is not None:
            lost = _fit(out.graph, node, floats.get(name_of(constant)))
            changes += [] if lost is None else [Change(node.name or "", lost)]
    drop_unused(out)
    return out, changes


def saturating(model: ir.Model) -> list[str]:
    """The layers of a Q/DQ graph, by name, whose sums may leave 16 bits."""
    found = []
    for node in model.graph:
        constant = int8_weight(node)
        if constant is not None:
            weight = array_of(constant)
            sums = largest_sums(by_output(node, weight), pairing(node, weight.shape))
        if _is_loose(node) or (constant is not None and bool((sums > MOST).any())):
            found.append(node.name or name_of(node.outputs[0]))
    return found


def told_of(model: ir.Model) -> Widened:
    """What of a graph was widened."""
    layers = channels = most_layers = widened = 0
    most = 1.0
    for node in model.graph:
        constant = int8_weight(node)
        if constant is None or pairing(node, array_of(constant).shape) == "none":
            continue
        layers, channels = layers + 1, channels + by_output(node, array_of(constant)).shape[0]
        maker = None if node.inputs[1] is None else node.inputs[1].producer()
        count, _, factor = ("" if maker is None else maker.metadata_props.get(MARK, "")).partition(" ")
        if factor:
            most_layers, widened, most = most_layers + 1, widened + int(count), max(most, float(factor))
    return Widened(layers, channels, most_layers, widened, most)


def int8_weight(node: ir.Node) -> ir.Value | None:
    """The signed INT8 constant that a layer's weight is dequantized from, around zero."""
    weight = node.inputs[1] if node.op_type in WEIGHTED and len(node.inputs) > 1 else None
    maker = None if weight is None else weight.producer()
    constant = maker.inputs[0] if maker is not None and maker.op_type == "DequantizeLinear" else None
    if maker is None or constant is None or not constant.is_initializer() or constant.dtype != ir.DataType.INT8:
        return None
    shifted = len(maker.inputs) > 2 and maker.inputs[2] is not None and array_of(maker.inputs[2]).any()
    plain = node.op_type == "Conv" or (len(array_of(constant).shape) == 2 and node.op_type != "ConvTranspose")
    return constant if plain and not shifted else None


def _is_loose(node: ir.Node) -> bool:
    """Whether a product is of two quantized tensors, and none of them is an INT8 weight that can be made to fit."""
    if node.op_type not in WEIGHTED or int8_weight(node) is not None:
        return False
    return all(_is_quantized(value) for value in node.inputs[:2])


def _is_quantized(value: ir.Value | None) -> bool:
    """Whether a tensor was INT8, maybe before it was moved."""
    node = None if value is None else value.producer()
    while node is not None and node.op_type in PASSING:
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    return node is not None and node.op_type == "DequantizeLinear"


def _fit(graph: ir.Graph, node: ir.Node, floats: NDArray[Any] | None) -> Weights | None:
    """Widens the scales of one layer, in place; what its weights lost, None where nothing had to be widened."""
    old = node.inputs[1].producer() if node.inputs[1] is not None else None
    assert old is not None, node
    shape = array_of(old.inputs[0]).shape
    levels, pairs = by_output(node, array_of(old.inputs[0])), pairing(node, shape)
    if not bool((largest_sums(levels, pairs) > MOST).any()):
        return None
    scale = np.broadcast_to(array_of(old.inputs[1]).astype(np.float32).reshape(-1), levels.shape[:1]).copy()
    weights = _origins(by_output(node, floats), levels, scale) if floats is not None and floats.shape == shape else None
    if weights is None:
        weights = levels * scale.astype(np.float64).reshape(-1, 1, 1)
    fits = largest_sums(levels, pairs) <= MOST
    wide: NDArray[np.float32] = np.where(fits, scale, fitting_scales(weights, scale, pairs))
    made = np.where(fits.reshape(-1, 1, 1), levels, rounded(weights, wide))
    name = _new_name(graph, f"{name_of(node.outputs[0])}_weight")
    inputs = [
        add_constant(graph, name, _as_before(node, made.astype(np.int8), shape)),
        add_constant(graph, f"{name}_scale", wide),
        add_constant(graph, f"{name}_zero", np.zeros(len(wide), np.int8)),
    ]
    new = ir.node(
        "DequantizeLinear", inputs, {"axis": _outputs_axis(node)}, outputs=[ir.Value(name=f"{name}_float")], name=name
    )
    _mark(old, new, np.asarray(wide / scale, np.float64))
    graph.insert_before(node, new)
    node.replace_input_with(1, new.outputs[0])
    before, after = (each * by.astype(np.float64).reshape(-1, 1, 1) for each, by in ((levels, scale), (made, wide)))
    lost: Weights = (before - after).sum(2)
    return lost


def _outputs_axis(node: ir.Node) -> int:
    """The axis of output channels in a layer's weight."""
    return int(is_turned(node))


def _new_name(graph: ir.Graph, name: str) -> str:
    while name in graph.initializers:
        name = f"{name}_fit"
    return name


def _origins(floats: Weights, levels: Weights, scale: NDArray[np.float32]) -> Weights | None:
    """Float weights within what their scale can tell apart; None where the levels are not theirs."""
    steps = floats / scale.astype(np.float64).reshape(-1, 1, 1)
    if bool((np.abs(np.clip(steps, -LEVELS, LEVELS) - levels) > 1).any()):
        return None
    return np.clip(floats, *(side * scale.astype(np.float64).reshape(-1, 1, 1) * LEVELS for side in (-1, 1)))


def _mark(old: ir.Node, new: ir.Node, factors: Weights) -> None:
    """Notes how many scales are wider, also where some were already."""
    count, _, most = old.metadata_props.get(MARK, "0 1").partition(" ")
    widened, widest = max(int(count), int((factors > 1).sum())), float(most) * float(factors.max())
    new.metadata_props[MARK] = f"{widened} {widest:.4f}"
