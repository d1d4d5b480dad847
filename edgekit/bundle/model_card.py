"""The model card of a bill of materials, as CycloneDX 1.6 has it: a network's task, measures and limits."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

MODEL_FILE: Final = "model.onnx"
"""The file that the network is, whatever its compiled form."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, protected_namespaces=())


class Interval(_Part):
    """A 95 % interval; numbers are text in a bill of materials."""

    lower_bound: str
    upper_bound: str


class Metric(_Part):
    """Something that was measured: what, with its unit, and on what."""

    type: str
    value: str
    slice: str | None = None
    confidence_interval: Interval | None = None


class DatasetRef(_Part):
    """A set of images, by the reference of its component."""

    ref: str


class Form(_Part):
    """Of an input or an output."""

    format: str


class ModelParameters(_Part):
    """What the network is; lists that are empty are not told."""

    task: str
    model_architecture: str | None
    datasets: tuple[DatasetRef, ...]
    inputs: tuple[Form, ...]
    outputs: tuple[Form, ...]


class QuantitativeAnalysis(_Part):
    """What was measured."""

    performance_metrics: tuple[Metric, ...]


class Considerations(_Part):
    """What it is for, what it cannot, and what compressing it cost."""

    use_cases: tuple[str, ...]
    technical_limitations: tuple[str, ...]
    performance_tradeoffs: tuple[str, ...]


class ModelCard(_Part):
    """All of it."""

    model_parameters: ModelParameters
    quantitative_analysis: QuantitativeAnalysis
    considerations: Considerations

    def as_json(self) -> object:
        """As a bill of materials has it: keys in camel case, nothing that is null or empty."""
        return _without_empty(self.model_dump(mode="json", by_alias=True))


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        kept = {key: _without_empty(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, [], {})}
    return [_without_empty(each) for each in value] if isinstance(value, list) else value
