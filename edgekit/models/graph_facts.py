"""What a classifier's graph says of itself; light, so that a cached build reads it without onnx."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphFacts:
    """What a classifier's graph says of itself.

    Attributes:
        layout: "NCHW" or "NHWC".
        height, width: of the input, pixels; 0 when the graph leaves them open.
        classes: outputs; 0 when the graph leaves them open.
        output: name of the output in the file; inside: the activation that was taken out of the graph's end, "softmax",
            "sigmoid" or "none"; activation: what makes probabilities of the answers.
        params: numbers in the constants of weights; macs: multiply-accumulates of convolutions and matrix products.
    """

    layout: str
    height: int
    width: int
    classes: int
    params: int
    macs: int
    output: str | None = None
    inside: str = "none"
    activation: str = "softmax"
