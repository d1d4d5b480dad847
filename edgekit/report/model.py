"""The report of a build, typed: what report.json holds, schema 1.

A key of JSON is an attribute of the same name, except `schema` (schema_version) and `tuning` (precision_search). Those
that reports may lack have a default; a new key is one more of these.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from edgekit.report.fields import (
    WHOLE,
    Amount,
    Count,
    Interval,
    Measured,
    Name,
    Part,
    Percent,
    Points,
    Positive,
    Scalar,
    Sha256,
    Share,
    Whole,
)
from edgekit.report.metrics import METRICS, Task
from edgekit.report.model_conditions import Conditions
from edgekit.report.model_evidence import ClassCoverage, LockedDecisions
from edgekit.report.model_pruning import PrecisionSearch, Pruning
from edgekit.report.model_variants import Variant


class ModelFacts(Part):
    """The network as it came."""

    name: Name
    tag: str | None
    weights_sha256: Sha256 | None
    params: Count | None
    macs: Count | None
    input: tuple[Positive, Positive, Positive, Positive] = Field(description="Batch, channels, height, width.")
    classes: Count | None


class Target(Part):
    """What was built for."""

    name: Name
    runtime: Name
    runtime_version: str | None
    device: str | None
    features: tuple[str, ...]


class LeftOut(Part):
    """What of the data was not used for one reason: how many, and the names of the first."""

    count: Count
    first: tuple[str, ...]


class Data(Measured):
    """The evaluation images, and by reason what of the data was not used."""

    VALUES: ClassVar = ("name", "images", "digest")

    name: str | None
    images: Count | None
    digest: str | None
    left_out: dict[str, LeftOut] = Field(default_factory=dict, description="Absent where everything was used.")
    why: str | None = None


class CalibrationVariance(Part):
    """Top-1 drops of the unpruned INT8 graph, calibrated with other images; the first with the build's own."""

    seeds: Annotated[int, Field(ge=2), WHOLE]
    drops: tuple[Points, ...] = Field(min_length=2)
    min: float
    max: float
    mean: float
    std: Amount = Field(description="Of a sample.")


class Int8Sums(Part):
    """How INT8 products are added up where the network runs, and what keeps their sums from saturating.

    The counts are of the chosen network, or of the plain INT8 one where another was chosen.
    """

    how: Literal["exact", "16-bit"] = Field(description="16-bit: two at a time, as x86-64 without VNNI does it.")
    layers: Count | None = Field(None, description="With INT8 weights that are added up so; null where sums are exact.")
    channels: Count | None = None
    widened_layers: Count | None = None
    widened_channels: Count | None = Field(None, description="Whose scales are wider than their weights need.")
    largest_factor: Amount | None = Field(None, description="By which a scale is wider.")


class Calibration(Measured):
    """The calibration set; null in a report whose variants need none."""

    VALUES: ClassVar = ("images", "strategy", "digest")

    images: Count | None
    strategy: str | None
    digest: str | None
    seed: Whole | None = None
    spread: CalibrationVariance | None = None
    coverage: ClassCoverage | None = Field(None, description="Absent where the images have no labels.")
    int8_sums: Int8Sums | None = None
    why: str | None = None


class AccuracyVerdict(Measured):
    """Drop of the task's accuracy from fp32 to the chosen variant on the same images, points.

    Of top-1, p_value is McNemar's, exact; of macro average precision, it and the interval come of resampled images.
    Where the labels have nothing to do with what fp32 answers, `ok` is null and `why` says so: no drop is within a
    budget then.
    """

    VALUES: ClassVar = ("drop", "ci95", "p_value")

    drop: Points | None
    ci95: Interval | None
    p_value: Share | None
    budget: float | None
    ok: bool | None
    decided: bool | None = Field(
        None, description="Whether the whole interval of the drop lies on one side of the budget."
    )
    images_needed: Positive | None = Field(
        None, description="How many images would decide at the same rates of lost and won ones; null where none would."
    )
    agreement: Percent | None = Field(
        None, description="Of the chosen variant with fp32, where that is the budget: without labels."
    )
    min_agreement: Percent | None = Field(None, description="Of the images, that must have the answer of fp32.")
    why: str | None = None


class LatencyVerdict(Measured):
    """The chosen variant's median latency and budget, ms, and how many times it is faster than fp32."""

    VALUES: ClassVar = ("speedup_vs_fp32", "p50")

    speedup_vs_fp32: Amount | None
    ci95: Interval | None = Field(None, description="Interval of the speedup.")
    p50: Amount | None
    budget: float | None
    ok: bool | None
    decided: bool | None = Field(None, description="Whether the bounds of the median lie on one side of the budget.")
    why: str | None = None


class Verdict(Part):
    """Whether the budgets were met."""

    ok: bool
    accuracy: AccuracyVerdict
    latency: LatencyVerdict


class StageRun(Part):
    """A stage of the build, and whether its result came from the store."""

    name: Name
    seconds: Amount | None
    cached: bool


class Referee(Part):
    """Whether what was compressed answers as the network that came, and the chosen runtime computes it so in FP32."""

    reference: Name = Field(description="The runtime that ran the network as it came.")
    runtime: Name | None = Field(None, description="The one that was compared with it.")
    images: Count
    agreement: Percent | None = Field(description="Same first answer, percent; ties agree.")
    max_logit_difference: Amount | None
    tolerance: Amount | None = Field(None, description="Largest difference of logits that is allowed.")
    operator: str | None = Field(description="The first operator whose outputs differ, where one was looked for.")


class InputSize(Part):
    """An input size that was tried beside the network's own: height and width, pixels."""

    size: tuple[Positive, Positive]
    variant: Name | None = Field(description="The network at that size; null where it takes no such images.")
    drop: float | None = Field(description="Points that it lost on images that a size was chosen by.")
    images: Positive | None = Field(description="How many images those were.")
    begun: bool = Field(description="Whether pruning, or the search for a mix of precisions, began with it.")
    why: str | None = Field(description="Why it was left out.")


class Report(Part):
    """Latencies in ms, accuracies in percent, drops in percentage points, sizes in bytes.

    A value that was not measured is null, and the object that holds it says why.
    """

    schema_version: Annotated[Literal[1], WHOLE] = Field(alias="schema")
    edgekit: Name
    created: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}", description="When the build ended, ISO 8601.")
    task: Task = "classify"
    model: ModelFacts
    target: Target
    data: Data
    calibration: Calibration | None
    variants: tuple[Variant, ...] = Field(min_length=1)
    chosen: Name = Field(description="Name of the variant that is in the bundle.")
    verdict: Verdict
    sizes: tuple[InputSize, ...] = Field((), description="Other input sizes; absent where none was asked for.")
    pruning: Pruning | None = Field(None, description="Absent or null where a build prunes nothing.")
    precision_search: PrecisionSearch | None = Field(
        None, alias="tuning", description="Absent or null where a build looks for no mix of precisions."
    )
    referee: Referee | None = None
    locked: LockedDecisions | None = None
    stages: tuple[StageRun, ...]
    warnings: tuple[str, ...] = ()
    environment: dict[str, Scalar]
    conditions: Conditions | None = Field(None, description="Of latencies; absent where nobody looked.")

    @field_validator("variants")
    @classmethod
    def _have_own_names(cls, variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
        if len({each.name for each in variants}) != len(variants):
            raise ValueError("two have the same name")
        return variants

    @field_validator("variants")
    @classmethod
    def _are_of_the_task(cls, variants: tuple[Variant, ...], info: ValidationInfo) -> tuple[Variant, ...]:
        task: Task | None = info.data.get("task")  # absent where it is not valid itself
        if task is None:
            return variants
        for each in variants:
            lacks = [key for key in METRICS[task].required if key not in each.accuracy.model_fields_set]
            if lacks:
                raise ValueError(f"the accuracy of {each.name!r} lacks {lacks[0]}, which the task {task} has")
        return variants

    @field_validator("chosen")
    @classmethod
    def _is_there(cls, chosen: str, info: ValidationInfo) -> str:
        variants = info.data.get("variants")  # absent where they are not valid themselves
        if variants is not None and all(each.name != chosen for each in variants):
            raise ValueError(f"no variant is named {chosen!r}")
        return chosen

    @property
    def chosen_variant(self) -> Variant:
        """The variant that is in the bundle."""
        return next(each for each in self.variants if each.name == self.chosen)
