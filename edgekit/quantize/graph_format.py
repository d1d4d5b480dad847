"""In what form a runtime wants its graphs; light, so that a cached build reads it without onnx."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgekit.targets import Release
from edgekit.targets.releases import Int8Placement


@dataclass(frozen=True)
class GraphFormat:
    """What a runtime wants of a graph.

    Attributes:
        signed: INT8 activations are signed (TensorRT); else as NNCF chooses.
        typed: the graph carries its precisions: what is not INT8 in an int8 graph is FP16.
        opset: the newest that the runtime reads; None where it does not matter.
        float_input: the pixels are given as float32, 0 to 255, in place of uint8.
        int8_weights: quantized weights are INT8 constants; else float32 ones that are quantized and dequantized.
        moves: values that were only moved are quantized once more, see edgekit.quantize.moves (ONNX Runtime).
        open_batch: any number of pictures may be given at once.
        placement: which operators are worth INT8; None leaves all that were quantized.
    """

    signed: bool
    typed: bool
    opset: int | None
    float_input: bool = False
    int8_weights: bool = True
    placement: Int8Placement | None = None
    open_batch: bool = False
    moves: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def format_for(release: Release | None) -> GraphFormat:
    """The form for a release of TensorRT, or for the other runtimes (None)."""
    if release is None:
        return GraphFormat(False, False, None)
    return GraphFormat(True, release.typed, release.opset, release.float_input, release.int8_weights, release.placement)
