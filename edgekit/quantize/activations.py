"""What the inputs of quantized operators look like in the float network, and the quantizers that they meet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgekit.models.onnx_graph import image_input
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
    core: ModelProto, quantized: ModelProto, names: Sequence[str], inputs: Inputs
) -> tuple[dict[str, Activation | None], NetworkInput]:
    """The input of each operator that its quantizer changes most, and the network's own input.

    Args:
        core: the float graph, its nodes named as in `quantized`; names: of operators.
    """
    graph = _Graph(core, quantized)
    reads = {name: graph.reads(name) for name in names}
    tensors = list(dict.fromkeys(each.tensor for some in reads.values() for each in some))
    parts = {tensor: graph.parts(tensor) for tensor in tensors}
    seen = ranges(core, [*tensors, *(part for some in parts.values() for part in some)], inputs)
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
            tensor = worst.read.tensor
            joined = {graph.producer(part): float(np.abs(seen[part]).max()) for part in parts[tensor]}
            found[name] = worst.activation(graph.producer(tensor), joined, graph.is_pooled(tensor))
    ends = graph.input_ends()
    used = None if ends is None else (high - low) / max(ends[1] - ends[0], 1e-30)
    return found, NetworkInput(low, high, total / max(1, count), used)


def values_of(
    core: ModelProto, tensors: Sequence[str], inputs: Inputs
) -> Iterator[tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]]:
    """Each input, and the named tensors that the float network makes of it."""
    if not tensors:
        yield from ((image, {}) for image in inputs())
        return
    model = ModelProto()
    model.CopyFrom(core)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in tensors)
    run = runner(model)
    for image in inputs():
        yield image, dict(zip(tensors, run(image), strict=True))


class _Graph:
    """Who makes and reads what, in the float graph and in its Q/DQ form."""

    def __init__(self, core: ModelProto, quantized: ModelProto) -> None:
        self._core, self._quantized = core, quantized
        self._makers, self._int8_makers = _makers(core), _makers(quantized)
        self._nodes = {node.name: node for node in quantized.graph.node}
        self._weights = {tensor.name for tensor in core.graph.initializer}
        self._constants = {tensor.name: tensor for tensor in quantized.graph.initializer}
        self._image = image_input(core).name

    def reads(self, name: str) -> list[_Read]:
        """What an operator reads through quantizers."""
        found = []
        for each in self._nodes[name].input:
            quantize = self._quantizer(each)
            if quantize is not None:
                tensor = each if each in self._makers or each == self._image else quantize.input[0]
                found.append(self._read(quantize, tensor))
        return found

    def _quantizer(self, name: str) -> NodeProto | None:
        """What quantized an operator's input, maybe before it was moved; None for weights and what is in float."""
        maker = self._int8_makers.get(name)
        while maker is not None and maker.op_type in PASSING:
            name = maker.input[0]
            maker = self._int8_makers.get(name)
        return quantizer_of(name, self._int8_makers, self._constants)

    def _read(self, quantize: NodeProto, tensor: str) -> _Read:
        scale = numpy_helper.to_array(self._constants[quantize.input[1]]).astype(np.float32)
        zero, kind = np.zeros_like(scale), TensorProto.UINT8
        if len(quantize.input) > 2:
            constant = self._constants[quantize.input[2]]
            zero, kind = numpy_helper.to_array(constant).astype(np.float32), constant.data_type
        least = 0 if kind == TensorProto.UINT8 else -128
        return _Read(tensor, scale, (least - zero) * scale, (least + 255 - zero) * scale)

    def input_ends(self) -> tuple[float, float] | None:
        """Between what the network's input is quantized; None where it is not."""
        for node in self._quantized.graph.node:
            if node.op_type == "QuantizeLinear" and self.producer(node.input[0]) == INPUT:
                read = self._read(node, node.input[0])
                return float(read.low.min()), float(read.high.max())
        return None

    def parts(self, tensor: str) -> list[str]:
        """What a Concat put together to make a tensor; empty where none did."""
        maker = self._makers.get(tensor)
        while maker is not None and maker.op_type in PASSING and maker.op_type != "Concat":
            maker = self._makers.get(maker.input[0])
        if maker is None or maker.op_type != "Concat":
            return []
        return [name for name in maker.input if name not in self._weights]

    def producer(self, tensor: str) -> str:
        """The layer, sum or Concat behind a tensor, through what acts on each value alone."""
        maker = self._makers.get(tensor)
        while maker is not None and maker.op_type not in WEIGHTED and maker.op_type not in _JOINING:
            tensor = maker.input[0]
            maker = self._makers.get(tensor)
        if maker is not None:
            return str(maker.name)
        return INPUT if tensor == self._image else tensor

    def is_pooled(self, tensor: str) -> bool:
        """Whether a pooling reads a tensor."""
        return any(tensor in node.input and node.op_type in _POOLS for node in self._core.graph.node)


def _makers(model: ModelProto) -> dict[str, NodeProto]:
    return {output: node for node in model.graph.node for output in node.output}
