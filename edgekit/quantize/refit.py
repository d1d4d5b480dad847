"""Layers of a Q/DQ graph fitted, from the first to the last, to what the float network's layers make.

Each reads what the quantized network before it really makes, with all that was fitted there, and is held against the
float layer on the float network's input. So it makes up for what went wrong before, too: by its bias, which brings the
mean of every output channel back (full bias correction, Nagel et al. 2019, arXiv 1906.04721, section 4.2, with measured
means), and by the rounding of its weights (see edgekit.quantize.rounding). Scales stay what they are. No labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.data.image_set import spread
from edgekit.errors import InputError
from edgekit.models.onnx_graph import (
    add_constant,
    array_of,
    constant,
    dims_of,
    drop_unused,
    infer_shapes,
    name_of,
    set_constant,
)
from edgekit.quantize.filters import Filters, as_in_graph, by_filter, filters_of
from edgekit.quantize.graph_format import Sums
from edgekit.quantize.observe import Inputs, Progress
from edgekit.quantize.qdq import WEIGHTED, named_as, quantizer_of
from edgekit.quantize.rounding import Floats, Moments, adapted, moments
from edgekit.quantize.stepwise import Stepwise
from edgekit.quantize.sums import LEVELS, by_output, int8_weight, saturates

PLACES: Final = 64
"""Places of an image at which a layer's output is looked at; all, where there are fewer."""

HELD_BYTES: Final = 400e6
"""What tensors that are on their way may take, by a rough count; there are as many images as fit."""

LEAST_IMAGES: Final = 16


@dataclass(frozen=True)
class Refit:
    """What became of one layer.

    Attributes:
        node: its name; weights: how many it has; changed: how many of them were rounded the other way.
        before, after: mean squared error of its outputs on the images, as a part of their power; before: of its weights
            as they were, with the best bias.
    """

    node: str
    weights: int
    changed: int
    before: float
    after: float


def silent(done: int, total: int) -> None:
    """Nobody listens."""


def refitted(
    core: ir.Model,
    quantized: ir.Model,
    inputs: Inputs,
    rounds: bool,
    sums: Sums = "exact",
    on_progress: Progress = silent,
) -> tuple[ir.Model, list[Refit]]:
    """A Q/DQ graph with fitted biases, and with fitted weights if asked; and what became of its layers.

    Layers that are not known here (transposed convolutions, weights that several layers share) stay as they are.

    Args:
        core: the float graph; quantized: a Q/DQ form of it.
        inputs: float32, batch 1; rounds: whether weights are rounded anew, not biases alone.
        sums: how products are added up; in 16 bits, weights that fitted before fit still.
        on_progress: called after each layer, or all that are as deep.
    """
    core, out = named_as(core, quantized).clone(), quantized.clone()
    infer_shapes(core)
    depths, done = _by_depth(core, _layers(core, out)), list[Refit]()
    images = _images(core, inputs)
    runs = Stepwise(core, images), Stepwise(out, images)
    for number, beside in enumerate(depths, 1):
        for layer, seen in zip(beside, _looked_at(runs, beside), strict=True):
            done.append(_fit(out.graph, layer, seen, rounds, sums))
        ahead = [layer for later in depths[number:] for layer in later]
        runs[0].forget({name_of(_first(layer.plain)) for layer in ahead})
        runs[1].forget({name_of(_first(layer.node)) for layer in ahead})
        on_progress(number, len(depths))
    drop_unused(out)
    return out, done


def _by_depth(core: ir.Model, layers: Sequence[_Layer]) -> list[list[_Layer]]:
    """Layers by how many others are before them: those of one depth do not read each other."""
    fitted, depth, found = {layer.node.name: layer for layer in layers}, dict[ir.Node, int](), dict[int, list[_Layer]]()
    for node in core.graph:
        makers = [value.producer() for value in node.inputs if value is not None]
        depth[node] = max((depth[maker] for maker in makers if maker is not None), default=0)
        if node.name in fitted:
            found.setdefault(depth[node], []).append(fitted[node.name])
            depth[node] += 1
    return [found[each] for each in sorted(found)]


def _images(core: ir.Model, inputs: Inputs) -> list[NDArray[np.float32]]:
    """As many as fit into memory while two networks are gone through, spread over all.

    Raises:
        InputError: there are none.
    """
    every = list(inputs())
    if not every:
        raise InputError("there are no images to fit layers on", "Give calibration images.")
    largest = max((math.prod(dims_of(value)) for node in core.graph for value in node.outputs), default=1)
    fitting = max(LEAST_IMAGES, int(HELD_BYTES / (2 * 4 * 3 * max(1, largest))))
    return [every[place] for place in spread(len(every), fitting)]


@dataclass(frozen=True)
class _Layer:
    """A layer in both graphs; float weights (G, O, K) and bias (G, O), and the INT8 constant with its scale (G, O).

    One that is in floating point has no such constant, and its bias alone is fitted: what it reads is quantized, too.
    """

    node: ir.Node
    plain: ir.Node
    filters: Filters
    floats: Floats
    float_bias: Floats
    constant: ir.Value | None
    scale: Floats

    @property
    def has_bias(self) -> bool:
        return self.node.op_type != "MatMul" and len(self.node.inputs) > 2 and constant(self.node.inputs[2]) is not None


def _layers(core: ir.Model, quantized: ir.Model) -> list[_Layer]:
    """Those of a Q/DQ graph that can be fitted, in its order: quantized ones, and those between them in float."""
    plain = {node.name: node for node in core.graph}
    found = []
    for node in quantized.graph:
        other = plain.get(node.name) if node.op_type in WEIGHTED and len(node.inputs) > 1 else None
        own = None if other is None else constant(other.inputs[1])
        filters = None if own is None else filters_of(node, own)
        if other is None or own is None or filters is None or not _is_known(node, own, filters):
            continue
        weights, weight = by_filter(node, own, filters.groups), int8_weight(node)
        shape = weights.shape[:2]
        bias = constant(other.inputs[2]) if len(other.inputs) > 2 else None
        known = np.zeros(1) if bias is None else bias.astype(np.float64).reshape(-1)
        scale = np.ones(1)
        if weight is not None and node.inputs[1] is not None:
            maker = node.inputs[1].producer()
            assert maker is not None, node
            scale = array_of(maker.inputs[1]).astype(np.float64).reshape(-1)
        biases, scales = (np.broadcast_to(each, shape[0] * shape[1]).reshape(shape) for each in (known, scale))
        found.append(_Layer(node, other, filters, weights, biases, weight, scales))
    return found


def _is_known(node: ir.Node, own: NDArray[Any], filters: Filters) -> bool:
    """Whether a layer's input is one that is known here, and its weight its own: the float one, or the INT8 form."""
    reads, weight = dims_of(node.inputs[0]), int8_weight(node)
    known = not reads or len(reads) == (2 if filters.is_row else 4)
    if weight is None:
        there = constant(node.inputs[1])
        return known and there is not None and there.shape == own.shape and bool((there == own).all())
    alone = len(weight.uses()) == 1 and node.inputs[1] is not None and len(node.inputs[1].uses()) == 1
    return known and alone and array_of(weight).shape == own.shape


def _looked_at(runs: tuple[Stepwise, Stepwise], layers: Sequence[_Layer]) -> list[Moments]:
    """The moments of some layers over all images.

    Args:
        runs: of the float and of the quantized graph, as far as they have come.
    """
    plain = [name_of(_first(layer.plain)) for layer in layers]
    quantized = [name_of(_first(layer.node)) for layer in layers]
    behind = [name_of(_before_quantizer(layer.node)) for layer in layers]
    dice = np.random.Generator(np.random.PCG64(0))
    read: list[list[NDArray[np.float32]]] = [[] for _ in layers]
    made: list[list[NDArray[np.float32]]] = [[] for _ in layers]
    for floats, rounded in zip(runs[0].step(plain, plain), runs[1].step(quantized, behind), strict=True):
        for at, layer in enumerate(layers):
            own = floats[plain[at]]
            count = 1 if layer.filters.is_row else math.prod(layer.filters.grid(own.shape))
            places = np.sort(dice.permutation(count)[:PLACES])
            weights, bias = layer.floats.astype(np.float32), layer.float_bias.astype(np.float32)
            made[at].append(layer.filters.rows(own, places) @ weights.transpose(0, 2, 1) + bias[:, None])
            read[at].append(layer.filters.rows(rounded[quantized[at]], places))
    return [
        moments(np.concatenate(seen, axis=1), np.concatenate(wanted, axis=1), layer.has_bias)
        for layer, seen, wanted in zip(layers, read, made, strict=True)
    ]


def _first(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None, node
    return value


def _before_quantizer(node: ir.Node) -> ir.Value:
    """The tensor that a layer's input is quantized from, which others may read too; else that input."""
    quantize = quantizer_of(node.inputs[0])
    value = _first(node) if quantize is None else quantize.inputs[0]
    assert value is not None, node
    return value


def _fit(graph: ir.Graph, layer: _Layer, seen: Moments, rounds: bool, sums: Sums) -> Refit:
    """Gives a layer its new constants, in place."""
    node = layer.node
    before = after = layer.floats
    changed = 0
    if layer.constant is not None:
        nearest = by_filter(node, array_of(layer.constant), layer.filters.groups)
        levels = _rounded(layer, nearest, seen, sums) if rounds else nearest
        before, after = (each * layer.scale[:, :, None] for each in (nearest, levels))
        changed = int((levels != nearest).sum())
        if changed:
            shape = array_of(layer.constant).shape
            set_constant(layer.constant, as_in_graph(node, levels, shape).astype(np.int8))
    if layer.has_bias:
        old = node.inputs[2]
        assert old is not None, node
        bias = seen.bias(after).reshape(-1).astype(array_of(old).dtype)
        node.replace_input_with(2, add_constant(graph, f"{name_of(node.outputs[0])}_fitted_bias", bias))
    power = max(float(seen.power.sum()), 1e-30)
    errors = [float(seen.error(weights).sum()) / power for weights in (before, after)]
    return Refit(node.name or "", after.size, changed, errors[0], errors[1])


def _rounded(layer: _Layer, nearest: Floats, seen: Moments, sums: Sums) -> Floats:
    """The levels of a layer's weights; where sums have 16 bits, those that fitted before fit still."""
    steps, limit = layer.floats / layer.scale[:, :, None], min(LEVELS, int(np.abs(nearest).max()))
    levels = adapted(steps, nearest, layer.scale, seen, limit)
    if sums == "exact":
        return levels
    return _fitting(layer, levels, adapted(steps, nearest, layer.scale, seen, limit, smaller=True), nearest)


def _fitting(layer: _Layer, levels: Floats, smaller: Floats, nearest: Floats) -> Floats:
    """Levels whose sums fit into 16 bits wherever those of the nearest did: where they do not, the smaller ones."""
    shape = array_of(layer.constant).shape  # of an INT8 layer, as these are levels

    def beyond(found: Floats) -> NDArray[np.bool_]:
        in_graph = as_in_graph(layer.node, found, shape)
        return saturates(layer.node, by_output(layer.node, in_graph), shape).reshape(found.shape[:2])

    return np.where((beyond(levels) & ~beyond(nearest))[:, :, None], smaller, levels)
