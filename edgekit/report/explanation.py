"""What `quantize --explain` found, typed as its JSON has it; edgekit.quantize.explain says what the values are."""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic import Field, JsonValue

from edgekit.report.fields import Part


class Cause(Part):
    """What makes a tensor hard to quantize: a code for programs, a sentence for people."""

    code: str
    text: str


class SeenActivation(Part):
    """An operator's input as the float network makes it, and what the quantizer that it meets can tell apart."""

    tensor: str
    producer: str
    low: float
    high: float
    quantizer_low: float
    quantizer_high: float
    saturating: float
    cut_noise: float
    histogram: tuple[int, ...] = Field(min_length=1)
    channels: tuple[float, ...] = Field(min_length=1)
    spans: tuple[float, ...]
    per_channel: bool
    joined: dict[str, float]
    pooled: bool


class WorstOperator(Part):
    """One of the operators that cost most: ratios of signal to noise in dB, divergence won back in nats."""

    name: str
    kind: str
    own_db: float
    total_db: float
    kl_won: float
    activation: SeenActivation | None
    causes: tuple[Cause, ...]


class OperatorNoise(Part):
    """A quantized operator; kl_won is None where it was not tried."""

    name: str
    kind: str
    own_db: float
    total_db: float
    kl_won: float | None


class Explanation(Part):
    """What INT8 does to a network."""

    images: int
    kl: float
    causes: tuple[Cause, ...]
    worst: tuple[WorstOperator, ...]
    operators: tuple[OperatorNoise, ...]

    @classmethod
    def of(cls, values: Mapping[str, JsonValue]) -> Explanation:
        """From the values that explain.json holds.

        Raises:
            pydantic.ValidationError: they are no explanation.
        """
        return cls.model_validate_json(json.dumps(values))

    @property
    def sentence(self) -> str:
        """What it costs in the mean."""
        return f"INT8 answers diverge from FP32 by {self.kl:.4g} nats in the mean of {self.images} images."
