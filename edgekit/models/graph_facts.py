"""What a classifier's graph says of itself; light, so that a cached build reads it without onnx."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GraphFacts:
    """What a canonical graph says of itself, and what was found in the file that it was made of.

    Attributes:
        layout: "NCHW" or "NHWC".
        height, width: of the input, pixels; 0 when the graph leaves them open.
        classes: outputs; 0 when the graph leaves them open.
        params: numbers in the constants of weights; macs: multiply-accumulates of convolutions and matrix products.
        channels: of the input, 3 or 1.
        output: the name that the file gives to the output that was taken.
        activation: what makes probabilities of the logits: "softmax" or "sigmoid", which the graph itself does not
            compute; "none" where the file ends in neither and none was told.
        activation_found: whether that activation stood in the file, so that it is certain; one that was only told, or
            none, may mean that the numbers are probabilities already.
        narrow: whether the file computes in fewer than 32 bits somewhere.
        notes: what the user should know of how the graph was made.
    """

    layout: str
    height: int
    width: int
    classes: int
    params: int
    macs: int
    channels: int = 3
    output: str = "logits"
    activation: str = "none"
    activation_found: bool = False
    narrow: bool = False
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input, pixels."""
        return self.height, self.width

    @property
    def inside(self) -> str:
        """The activation that the file's own answers have gone through, and the graph's have not; "none" for none."""
        return self.activation if self.activation_found else "none"

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> GraphFacts:
        """Facts as `dataclasses.asdict` and JSON leave them."""
        return cls(**{**told, "notes": tuple(told.get("notes", ()))})
