"""What the inputs of quantized operators look like in the float network, and the quantizers that they meet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgekit.models.onnx_graph import array_of, give_only, name_of
from edgekit.quantize.observe import Inputs, ranges, runner
from edgekit.quantize.qdq import PASSING, WEIGHTED, quantizer_of

BINS: Final = 64
INPUT: Final = "input"
_POOLS: Final = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean"})
_JOINING: Final = frozenset({"Concat", "Add", "Sub", "Mul", "Sum"})


@dataclass(frozen=True)
class Activation:
    """An operator's input as the float network makes it, and the quantizer that it meets.

    Attributes:
        tensor: its name; producer: the operator that made it, "input" for the network's own input.
        low, high: over all images; quantizer_low, quantizer_high: what the quantizer can tell apart.
        saturating: share of values beyond the quantizer, 0 to 1; cut_noise: their share of its noise's power.
        histogram: counts of values in 64 equal bins from low to high.
        channels: largest absolute value of each channel; spans: highest less lowest value of each.
        per_channel: whether each channel has a scale of its own.
        joined: largest absolute values of what a Concat put together to make it, by producer; empty where none did.
        pooled: whether a pooling reads it.
    """

    tensor: str
    producer: str
    low: float
    high: float
    quantizer_low: float
    quantizer_high: float
    saturating: float
    cut_noise: float
    histogram: tuple[int, ...]
    channels: tuple[float, ...]
    spans: tuple[float, ...]
    per_channel: bool
    joined: Mapping[str, float]
    pooled: bool


@dataclass(frozen=True)
class NetworkInput:
    """The values that the network is given, over all images, and the share of its quantizer's range that they span.

    Attributes:
        used: 0 to 1; None where the input is not quantized.
    """

    low: float
    high: float
    mean: float
    used: float | None


@dataclass(frozen=True)
class _Read:
    """A tensor that an operator reads through a quantizer: scale and ends, one for all channels or one for each."""

    tensor: str
    scale: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


class _Tally:
    """Counts the values of one tensor that an operator reads."""

    def __init__(self, read: _Read, seen: NDArray[np.float32]) -> None:
        self.read, self.noise, self._cut = read, 0.0, 0.0
        self._seen = seen
        self._edges = (float(seen[0].min()), float(seen[1].max()))
        self._bins = np.zeros(BINS, np.int64)
        self._beyond = self._count = 0

    def add(self, values: NDArray[np.float32]) -> None:
        """Counts the values of one image."""
        shape = (1, -1, *[1] * (values.ndim - 2))
        scale, low, high = (each.reshape(shape) for each in (self.read.scale, self.read.low, self.read.high))
        kept = np.clip(np.round(values / scale) * scale, low, high)
        beyond = (values < low - scale / 2) | (values > high + scale / 2)
        self.noise += float(np.square(kept - values, dtype=np.float64).sum())
        self._cut += float(np.square((kept - values)[beyond], dtype=np.float64).sum())
        self._beyond += int(np.count_nonzero(beyond))
        self._count += values.size
        self._bins += np.histogram(values, BINS, self._edges)[0]

    def activation(self, producer: str, joined: Mapping[str, float], pooled: bool) -> Activation:
        """What was counted."""
        return Activation(
            tensor=self.read.tensor,
            producer=producer,
            low=self._edges[0],
            high=self._edges[1],
            quantizer_low=float(self.read.low.min()),
            quantizer_high=float(self.read.high.max()),
            saturating=self._beyond / max(1, self._count),
            cut_noise=self._cut / self.noise if self.noise > 0 else 0.0,
            histogram=tuple(int(each) for each in self._bins),
            channels=tuple(float(each) for each in np.abs(self._seen).max(0)),
            spans=tuple(float(each) for each in self._seen[1] - self._seen[0]),
            per_channel=self.read.scale.size > 1,
            joined=joined,
            pooled=pooled,
        )


def look_at(
    core: ir.Model, quantized: ir.Model, names: Sequence[str], inputs: Inputs
) -> tuple[dict[str, Activation | None], NetworkInput]:
    """The input of each operator that its quantizer changes most, and the network's own input.

    Args:
        core: the float graph, its nodes named as in `quantized`; names: of operators.
    """
    floats = ir.convenience.create_value_mapping(core.graph)
    nodes = {node.name: node for node in quantized.graph}
    reads = {name: _reads(nodes[name], floats) for name in names}
    tensors = list(dict.fromkeys(each.tensor for some in reads.values() for each in some))
    parts = {tensor: _parts(floats[tensor]) for tensor in tensors}
    seen = ranges(core, [*tensors, *(name_of(part) for some in parts.values() for part in some)], inputs)
    tallies = {name: [_Tally(each, seen[each.tensor]) for each in some] for name, some in reads.items()}
    low, high, total, count = math.inf, -math.inf, 0.0, 0
    for image, values in values_of(core, tensors, inputs):
        low, high = min(low, float(image.min())), max(high, float(image.max()))
        total, count = total + float(image.sum(dtype=np.float64)), count + image.size
        for tally in (each for some in tallies.values() for each in some):
            tally.add(values[tally.read.tensor])
    found: dict[str, Activation | None] = {}
    for name, some in tallies.items():
        worst = max(some, key=lambda each: each.noise, default=None)
        found[name] = None
        if worst is not None:
            tensor = floats[worst.read.tensor]
            joined = {_producer(part): float(np.abs(seen[name_of(part)]).max()) for part in parts[name_of(tensor)]}
            found[name] = worst.activation(_producer(tensor), joined, _is_pooled(tensor))
    ends = _input_ends(quantized)
    used = None if ends is None else (high - low) / max(ends[1] - ends[0], 1e-30)
    return found, NetworkInput(low, high, total / max(1, count), used)


def values_of(
    core: ir.Model, tensors: Sequence[str], inputs: Inputs
) -> Iterator[tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]]:
    """Each input, and the named tensors that the float network makes of it."""
    if not tensors:
        yield from ((image, {}) for image in inputs())
        return
    model = core.clone()
    known = ir.convenience.create_value_mapping(model.graph)
    give_only(model, [known[name] for name in tensors])
    run = runner(model)
    for image in inputs():
        yield image, dict(zip(tensors, run(image), strict=True))


def _reads(node: ir.Node, floats: Mapping[str, ir.Value]) -> list[_Read]:
    """What an operator of the Q/DQ graph reads through quantizers.

    Args:
        floats: the float graph's tensors by name.
    """
    found = []
    for value in node.inputs:
        quantize = _quantizer_before(value)
        if quantize is not None and value is not None:
            inner = floats.get(name_of(value))
            same = inner is not None and not inner.is_initializer()
            found.append(_read(quantize, name_of(value if same or quantize.inputs[0] is None else quantize.inputs[0])))
    return found


def _quantizer_before(value: ir.Value | None) -> ir.Node | None:
    """What quantized an operator's input, maybe before it was moved; None for weights and what is in float."""
    node = None if value is None else value.producer()
    while node is not None and node.op_type in PASSING:
        value = node.inputs[0]
        node = None if value is None else value.producer()
    return quantizer_of(value)


def _read(quantize: ir.Node, tensor: str) -> _Read:
    scale = array_of(quantize.inputs[1]).astype(np.float32)
    zero, least = np.zeros_like(scale), 0
    if len(quantize.inputs) > 2:
        levels = array_of(quantize.inputs[2])
        zero, least = levels.astype(np.float32), 0 if levels.dtype == np.uint8 else -128
    return _Read(tensor, scale, (least - zero) * scale, (least + 255 - zero) * scale)


def _input_ends(quantized: ir.Model) -> tuple[float, float] | None:
    """Between what the network's input is quantized; None where it is not."""
    for node in quantized.graph:
        source = node.inputs[0] if node.op_type == "QuantizeLinear" else None
        if source is not None and _producer(source) == INPUT:
            read = _read(node, name_of(source))
            return float(read.low.min()), float(read.high.max())
    return None


def _parts(tensor: ir.Value) -> list[ir.Value]:
    """What a Concat put together to make a tensor of the float graph; empty where none did."""
    node = tensor.producer()
    while node is not None and node.op_type in PASSING and node.op_type != "Concat":
        node = None if node.inputs[0] is None else node.inputs[0].producer()
    if node is None or node.op_type != "Concat":
        return []
    return [value for value in node.inputs if value is not None and not value.is_initializer()]


def _producer(tensor: ir.Value) -> str:
    """The layer, sum or Concat behind a tensor, through what acts on each value alone."""
    node = tensor.producer()
    while node is not None and node.op_type not in WEIGHTED and node.op_type not in _JOINING:
        tensor = node.inputs[0] or tensor
        node = None if node.inputs[0] is None else tensor.producer()
    if node is not None:
        return node.name or ""
    return INPUT if tensor.is_graph_input() and not tensor.is_initializer() else name_of(tensor)


def _is_pooled(tensor: ir.Value) -> bool:
    """Whether a pooling reads a tensor."""
    return any(node.op_type in _POOLS for node in tensor.consumers())
