"""Pruning and the search for a mix of precisions, in a report."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.report.fields import Amount, Count, Name, Part, Percent, Positive, Precision, Share


class Counts(Part):
    """Of the whole network, before and after."""

    before: Positive
    after: Count


class Width(Part):
    """Channels in and out of a layer, before and after."""

    layer: Name
    before: tuple[Positive, Positive]
    after: tuple[Positive, Positive]


class Blocks(Part):
    """How many residual blocks could be removed, and which ones were."""

    there: Count
    removed: tuple[Name, ...]


class LatencyStep(Part):
    """A step of the search: what the table of layers foretold, and what the network took, ms."""

    predicted_ms: Amount
    measured_ms: Amount


class LatencyFit(Part):
    """What the table of layers foretold, and what the pruned network took, ms."""

    precision: Precision
    dense_ms: Amount
    budget_ms: Amount | None
    predicted_ms: Amount
    measured_ms: Amount
    steps: tuple[LatencyStep, ...]
    table: Name = Field(description="How the table of layers was measured.")
    table_points: Count


class RecoveryAccuracy(Part):
    """Top-1 of the images that pruning and recovery are judged on, before the verdict's, in percent."""

    images: Positive
    dense_top1: Percent
    pruned_top1: Percent
    reestimated_top1: Percent | None
    recovered_top1: Percent | None
    first_images: Positive | None = Field(
        None, description="Of how many of the images the accuracies just pruned and re-estimated are; null: of all."
    )


class Recovery(Part):
    """How the accuracy was won back: the images that were trained on, the steps and the seconds that they took."""

    method: Name
    images: Count
    steps: Count
    seconds: Amount
    batch_norm_images: Count
    tuning: RecoveryAccuracy | None
    why: str | None = Field(description="Where nothing, or less than usual, was done.")
    attempts: Count | None = Field(None, description="How many pruned networks were recovered.")
    cut: str | None = Field(None, description="What was cut from the plan of the recovery, and why.")
    refit_images: Count = Field(
        0, description="Images that weights were refit on by least squares when channels went; 0: they were not."
    )


class Block(Part):
    """Share of a block's channels removed, and the top-1 then, percent."""

    name: Name
    points: tuple[tuple[Share, Percent], ...]


class Sensitivity(Part):
    """Top-1 when channels are removed from one block at a time and nothing is trained."""

    images: Positive
    dense_top1: Percent
    blocks: tuple[Block, ...]


def _kept_has_widths(schema: dict[str, Any], model: type[BaseModel]) -> None:
    schema["if"] = {"properties": {"kept": {"const": True}}}
    schema["then"] = {"properties": {"channels": {"type": "object"}, "widths": {"minItems": 1}}}


class Pruning(Part):
    """What was pruned, or why nothing was."""

    model_config = ConfigDict(json_schema_extra=_kept_has_widths)

    asked: str = Field(
        pattern=r"^(auto|none|[01]|[01]?\.\d+)$", description="auto, none, or the share of channels to remove."
    )
    kept: bool
    reason: Name = Field(description="Why the pruning stayed, was taken back or was not tried.")
    importance: Literal["fisher", "taylor", "magnitude"] | None
    channels: Counts | None
    params: Counts | None
    macs: Counts | None
    latency: LatencyFit | None
    recovery: Recovery | None
    widths: tuple[Width, ...]
    sensitivity: Sensitivity | None
    blocks: Blocks | None = Field(None, description="Null where blocks were left alone.")

    @model_validator(mode="after")
    def _kept_tells_what(self) -> Pruning:
        if self.kept and (self.channels is None or not self.widths):
            raise ValueError(f"it was kept, but has no {'widths' if self.channels else 'channels'}")
        return self


class Trial(Part):
    """A network that was tried: points lost on the tuning images, KL divergence from FP32 in nats."""

    name: Name
    drop: float
    kl: Amount
    images: Positive
    seconds: Amount
    best: bool


class PrecisionSearch(Part):
    """The search for the fastest mix of precisions within a budget of accuracy."""

    ended: Name
    way: Name = Field(description="How the best network was made.")
    floats: tuple[str, ...] = Field(description="Operators in 16 bits.")
    drop: float = Field(description="Points lost on the tuning images; without labels, % of answers.")
    labelled: bool
    images: Positive
    budget: Amount
    seconds: Amount
    budget_seconds: float = Field(gt=0)
    peak_bytes: Count = Field(description="The most that the process held.")
    memory_bytes: Count = Field(description="What it was allowed to hold.")
    trials: tuple[Trial, ...] = Field(min_length=1)
