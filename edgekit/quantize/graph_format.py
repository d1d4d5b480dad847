"""In what form a runtime wants its graphs; light, so that a cached build reads it without onnx."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from edgekit.targets import Machine, Release, adds_int8_in_16_bits
from edgekit.targets.releases import Int8Placement

Sums = Literal["exact", "16-bit"]
"""How INT8 products are added up: without loss, or two at a time in 16 bits, where they may saturate."""

ADDING_AS_PROCESSORS_DO: Final = frozenset({"openvino"})
"""Backends whose kernels add INT8 products up in the way that is fastest on a processor, also where it saturates."""


@dataclass(frozen=True)
class GraphFormat:
    """What a runtime wants of a graph.

    Attributes:
        signed: INT8 activations are signed (TensorRT); else as NNCF chooses.
        typed: the graph carries its precisions: what is not INT8 in an int8 graph is FP16.
        opset: the newest that the runtime reads; None where it does not matter.
        half_opset: the newest for graphs in FP16 throughout, where that is another.
        float_input: the pixels are given as float32, 0 to 255, in place of uint8.
        int8_weights: quantized weights are INT8 constants; else float32 ones that are quantized and dequantized.
        moves: activations are unsigned, and values that were only moved are quantized once more (ONNX Runtime; see
            edgekit.quantize.unsigned and moves).
        open_batch: any number of pictures may be given at once.
        placement: which operators are worth INT8; None leaves all that were quantized.
        sums: how products are added up where the graph runs; in 16 bits its weights are kept from saturating.
    """

    signed: bool
    typed: bool
    opset: int | None
    float_input: bool = False
    int8_weights: bool = True
    placement: Int8Placement | None = None
    open_batch: bool = False
    moves: bool = False
    half_opset: int | None = None
    sums: Sums = "exact"

    @property
    def per_tensor(self) -> bool:
        """Whether each activation has one scale: TensorRT, and ONNX Runtime's integer kernels, take no other.

        NNCF gives the inputs of depthwise convolutions a scale a channel: of EfficientNet-Lite1, ONNX Runtime then left
        48 of 65 layers in floating point.
        """
        return self.signed or self.moves

    def quantized_as(self, other: GraphFormat) -> bool:
        """Whether NNCF makes the same of a network for both."""
        return (self.signed, self.per_tensor, self.sums) == (other.signed, other.per_tensor, other.sums)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def format_for(release: Release | None) -> GraphFormat:
    """The form for a release of TensorRT, or for the other runtimes (None)."""
    if release is None:
        return GraphFormat(False, False, None)
    return GraphFormat(True, release.typed, release.opset, release.float_input, release.int8_weights, release.placement)


def sums_of(backend: str, machine: Machine) -> Sums:
    """How a backend adds INT8 products up on a machine."""
    return "16-bit" if backend in ADDING_AS_PROCESSORS_DO and adds_int8_in_16_bits(machine) else "exact"
