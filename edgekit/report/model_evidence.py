"""What else a report holds as evidence: times of layers, quantiles of latencies, and what the lock holds to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from edgekit.report.fields import Amount, Count, Measured, Name, Part, Percent, Positive, Precision, Sha256, Whole


class LayerTime(Part):
    """A layer as it was executed: the median of its times, microseconds."""

    name: str
    operator: str = Field(description="Such as Convolution.")
    kernel: str | None = Field(description="What the runtime executes it with, where it tells that.")
    precision: str | None = Field(description="Of what it computes with, such as int8; null where it is not told.")
    microseconds: Amount


class LayerTimes(Measured):
    """The layers of a variant on a grey picture, the slowest first; timing layers makes all of them slower."""

    VALUES: ClassVar = ("layers",)

    runs: Positive | None
    layers: tuple[LayerTime, ...] | None
    why: str | None = None


class Quantiles(Part):
    """The distribution of single runs: `percent` of them took no longer than `ms`, place by place."""

    percent: tuple[Percent, ...] = Field(min_length=2)
    ms: tuple[Amount, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _are_a_curve(self) -> Quantiles:
        if len(self.percent) != len(self.ms):
            raise ValueError("percent and ms have different lengths")
        if list(self.percent) != sorted(self.percent) or list(self.ms) != sorted(self.ms):
            raise ValueError("quantiles do not rise")
        return self


class ClassCoverage(Part):
    """How many classes have calibration images, of how many (null: not known), and the fewest and most of one."""

    covered: Count
    of: Count | None
    fewest: Count
    most: Count


class LockedRecovery(Part):
    """A training run that is replayed."""

    steps: Count
    images: Count
    number_format: Name
    threads: Positive


class LockedPruning(Part):
    """Which channels stay: how many of how many, in how many layers that changed."""

    importance: str
    units: Count
    kept: Count
    layers: Count
    blocks: Count | None = Field(
        None, description="Residual blocks that were removed; null where they were left alone."
    )
    recovery: LockedRecovery | None


class LockedSearch(Part):
    """The mix of precisions that was found."""

    way: Name
    float_operators: Count
    trained: bool


class LockedDecisions(Part):
    """What recipe.lock.yaml holds a build to, so that another makes the same network; null was not decided."""

    made_on: Name = Field(description="The processor.")
    versions: Mapping[str, str | None] = Field(description="Of the packages that decide what is built.")
    weights_sha256: Sha256 | None
    calibration_digest: str | None
    seed: Whole
    precisions: tuple[Precision, ...] = Field(description="That were compared, fp32 first.")
    chosen: Name
    backend: str | None = Field(None, description="What compiles and runs it.")
    pruning: LockedPruning | None
    search: LockedSearch | None
