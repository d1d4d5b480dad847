"""The variants in a report: what each was measured to be, and what it answers otherwise than FP32."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from edgekit.report.fields import (
    Amount,
    Cosine,
    Count,
    Interval,
    Measured,
    Name,
    Part,
    Percent,
    Positive,
    Precision,
    Share,
)
from edgekit.report.metrics import METRICS
from edgekit.report.model_evidence import LayerTimes, Quantiles

_MEMORY = r"^memory(_[a-z0-9_]+)?$"


class CosineToFp32(Part):
    """Cosines between a variant's vectors and FP32's of the same images."""

    mean: Cosine
    p1: Cosine = Field(description="1st percentile.")


class PairsOfImages(Part):
    """How well cosines tell pairs of images of one class from others."""

    threshold: Cosine = Field(description="From which two images are taken for one class.")
    roc_auc: Share
    false_accept: Percent = Field(description="Of the pairs of different classes, at the threshold.")
    false_reject: Percent = Field(description="Of the pairs of the same class, at the threshold.")
    compared: Count | None = Field(None, description="Pairs that were looked at.")
    of: Count | None = Field(None, description="Pairs that there are.")


def _of_one_task(schema: dict[str, Any], model: type[Accuracy]) -> None:
    """Says in the JSON schema what keys there are, by the task, and why what is null is."""
    base: Any = Measured.model_config["json_schema_extra"]
    base(schema, model)
    schema["anyOf"] = [{"required": list(each.required)} for each in METRICS.values()]


class Accuracy(Measured):
    """Of a variant on the evaluation images, in percent; which keys there are depends on the task.

    `top1` is of first answers, or for the task embed of nearest neighbours; `agreement` is with FP32's first answers.
    """

    model_config = ConfigDict(json_schema_extra=_of_one_task)
    VALUES: ClassVar = ("top1", "top5", "agreement", "map", "f1", "cosine", "pairs")

    top1: Percent | None = None
    top5: Percent | None = None
    agreement: Percent | None = None
    map: Percent | None = Field(None, description="Macro average precision.")
    f1: Percent | None = Field(None, description="Macro F1 at the threshold.")
    f1_micro: Percent | None = None
    threshold: Share | None = Field(None, description="Probability from which a label is given, for F1.")
    cosine: CosineToFp32 | None = None
    pairs: PairsOfImages | None = None
    images: Count | None
    ci95: Interval | None = Field(None, description="Interval of top1 or map.")
    why: str | None = None

    @model_validator(mode="after")
    def _is_of_a_task(self) -> Accuracy:
        if not any(set(each.required) <= self.model_fields_set for each in METRICS.values()):
            sets = "; or ".join(" and ".join(each.required) for each in METRICS.values())
            raise ValueError(f"keys are missing: {sets}")
        return self


def _memory(schema: dict[str, Any], model: type[Latency]) -> None:
    """Says in the JSON schema which further keys there may be, and why what is null is."""
    base: Any = Measured.model_config["json_schema_extra"]
    base(schema, model)
    schema["additionalProperties"] = False
    schema["patternProperties"] = {_MEMORY: {"type": ["number", "string", "null"]}}


class Latency(Measured):
    """Of a variant in ms, of single images; further keys `memory` and `memory_*` tell what the process held."""

    model_config = ConfigDict(extra="allow", json_schema_extra=_memory)
    __pydantic_extra__: dict[str, float | str | None]
    VALUES: ClassVar = ("p50", "p90", "p99", "mean", "ci95", "throughput_ips")

    p50: Amount | None
    p90: Amount | None
    p99: Amount | None
    mean: Amount | None
    ci95: Interval | None = Field(description="Interval of the mean.")
    throughput_ips: Amount | None
    by_batch: Mapping[str, Amount] | None = Field(None, description="Images a second by how many are given at once.")
    p50_bounds: tuple[Amount | None, Amount | None] | None = Field(
        None, description="Of the median, 95 % each, whatever the distribution; null for an end that runs do not bound."
    )
    p99_bounds: tuple[Amount | None, Amount | None] | None = Field(None, description="The same of p99.")
    runs: Count | None
    warmup: Count | None
    quantiles: Quantiles | None = None
    why: str | None = None

    @model_validator(mode="after")
    def _only_memory(self) -> Latency:
        for key in self.__pydantic_extra__:
            if not re.search(_MEMORY, key):
                raise ValueError(f"{key} is no key of a latency")
        return self


class Fidelity(Measured):
    """To FP32's outputs, without labels: same first answers in percent, cosine, KL divergence in nats.

    Of vectors, the same answer is the same nearest other image, and there is no `kl`.
    """

    VALUES: ClassVar = ("agreement", "cosine", "kl")

    agreement: Percent | None
    cosine: Cosine | None
    kl: float | None = None
    why: str | None = None


class Layer(Part):
    """Of an engine, as its inspector tells it."""

    name: str
    kind: str
    output: str = Field(description="Format and data type.")


class Flip(Part):
    """An image whose first answer is not FP32's."""

    image: Name
    label: str | None = Field(description="Name of the class, or its number.")
    before: str | None = Field(description="FP32's answer; null where outputs are not finite.")
    after: str | None
    before_probability: Share | None
    after_probability: Share | None
    outcome: Literal["lost", "won", "other"]
    thumbnail: str = Field(
        pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=8192, description="What the networks saw: a JPEG in base64."
    )


class Flips(Part):
    """Images whose first answer is not FP32's; lost were right before, won are right now."""

    changed: Count
    lost: Count | None = Field(description="Null without labels.")
    won: Count | None = Field(description="Null without labels.")
    shown: tuple[Flip, ...] = Field(
        max_length=12, description="The lost ones first, then the others, each by how sure FP32 was."
    )


class ClassChange(Part):
    """A class that lost or won images."""

    label: str = Field(description="Name of the class, or its number.")
    images: Positive
    right_before: Count
    right_after: Count
    lost: Count
    won: Count


class ClassChanges(Part):
    """Classes that lost or won images against FP32, by net loss; and how many more such classes there are."""

    shown: tuple[ClassChange, ...] = Field(max_length=20)
    left_out: Count


class LatencyRatio(Part):
    """How many times faster than a simpler variant, paired in time: the median ratio and its 95 % interval."""

    base: Name = Field(description="Name of the simpler variant.")
    ratio: Amount
    ci95: Interval


class Arithmetic(Part):
    """An INT8 variant beside exact integer arithmetic on its graph: the same images, what its runtime made of them."""

    exact: Name = Field(description="The runtime that computed exactly.")
    images: Positive
    same: Percent = Field(description="Of the images, with the same answer.")
    cosine: float = Field(ge=-1.001, le=1.001, description="Of the outputs, on average.")
    least_cosine: float = Field(ge=-1.001, le=1.001, description="Of one image.")
    ok: bool


class KernelCount(Part):
    """A kernel, and how many layers with weights it computes."""

    kernel: Name
    layers: Positive


class Kernels(Part):
    """What the runtime took for the layers with weights, read from what it compiled on the machine of the build."""

    layers: Count
    as_built: Count = Field(description="Of them, on kernels of the variant's precision.")
    reference: Count = Field(description="On plain kernels that no user would wait for.")
    floating: Count = Field(description="Others that are quantized and compute in floating point.")
    ok: bool = Field(description="Whether those that are not as built are too few, or too quick, to matter.")
    sentence: str
    primitives: tuple[KernelCount, ...]


class Variant(Part):
    """One form of the network, what was measured of it, and whether it stays."""

    name: Name
    kind: Literal["baseline", "step", "chosen"]
    runtime: Name
    precision: Precision
    params: Count | None
    macs: Count | None
    size_bytes: Count | None
    accuracy: Accuracy
    latency: Latency
    memory_bytes: Count | None = None
    energy_j: Amount | None = None
    fidelity: Fidelity | None = None
    kept: bool
    taken_back: bool | None = Field(None, description="Whether its step was taken back; absent where that is not told.")
    reason: str
    why: str | None = None
    layers: tuple[Layer, ...] = ()
    layer_times: LayerTimes | None = None
    flips: Flips | None = None
    classes: ClassChanges | None = None
    parent: Name | None = Field(None, description="Name of the variant that this one was made from.")
    beaten_by: Name | None = Field(None, description="Name of the simpler variant that this one does not beat.")
    ratios: tuple[LatencyRatio, ...] = Field((), description="Against the variants that this one must beat.")
    arithmetic: Arithmetic | None = Field(None, description="Of INT8 that a processor runs.")
    kernels: Kernels | None = Field(None, description="Of int8, mixed and fp16, where they run on the build's machine.")

    @field_validator("ratios")
    @classmethod
    def _of_others(cls, ratios: tuple[LatencyRatio, ...]) -> tuple[LatencyRatio, ...]:
        bases = [each.base for each in ratios]
        if len(set(bases)) != len(bases):
            raise ValueError("two are to the same variant")
        return ratios
