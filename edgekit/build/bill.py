"""What a build's report tells of its network for a bill of materials: its model card and where its parts come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from edgekit.bundle.model_card import (
    Considerations,
    DatasetRef,
    Form,
    Interval,
    Metric,
    ModelCard,
    ModelParameters,
    QuantitativeAnalysis,
)
from edgekit.bundle.sbom import Images, Product
from edgekit.report import Report
from edgekit.report.metrics import metric
from edgekit.report.model_variants import Variant

TASKS: Final = {
    "classify": ("image-classification", "scores of {classes} classes, of which the best is the answer"),
    "multilabel": ("image-multilabel-classification", "a probability for each of {classes} labels"),
    "embed": ("image-feature-extraction", "a vector of {classes} numbers, compared by cosine"),
}
"""By task: its name on model cards, and what comes out."""


def product(report: Report) -> Product:
    """What a report tells of the network that was made, for its bill of materials."""
    model, data, calibration = report.model, report.data, report.calibration
    evaluated = Images(data.name or "images", data.digest, data.images or 0) if data.digest else None
    calibrated = None
    if calibration is not None and calibration.digest:
        calibrated = Images("images", calibration.digest, calibration.images or 0)
    return Product(
        name=".".join(part for part in (model.name, model.tag) if part),
        weights_sha256=model.weights_sha256,
        target=report.target.name,
        variant=report.chosen,
        created=report.created,
        data=evaluated,
        calibration=calibrated,
        card=card(report),
        description=f"{TASKS[report.task][0]}, {report.chosen_variant.precision}, compressed for {report.target.name}",
        runtime=" ".join(part for part in (report.target.runtime, report.target.runtime_version) if part),
        device=report.target.device,
    )


def card(report: Report) -> ModelCard:
    """The model card of the network that was made; what was not measured is among its limits, with the reason."""
    task, output = TASKS[report.task]
    _, channels, height, width = report.model.input
    sets = [
        ("set-data", report.data.digest),
        ("set-calibration", report.calibration.digest if report.calibration is not None else None),
    ]
    what = ModelParameters(
        task=task,
        model_architecture=report.model.name,
        datasets=tuple(DatasetRef(ref=ref) for ref, digest in sets if digest),
        inputs=(Form(format=f"image: uint8, {height}x{width} pixels, RGB, for {channels} channels of the network"),),
        outputs=(Form(format=output.format(classes=report.model.classes or "unknown")),),
    )
    return ModelCard(
        model_parameters=what,
        quantitative_analysis=QuantitativeAnalysis(performance_metrics=tuple(_metrics(report))),
        considerations=Considerations(
            use_cases=(f"{task} on {report.target.name}, with {report.target.runtime}",),
            technical_limitations=tuple(_limits(report)),
            performance_tradeoffs=tuple(_cost(report)),
        ),
    )


def _metrics(report: Report) -> Iterator[Metric]:
    """What was measured of the chosen variant and of FP32, then how they compare."""
    variants = [report.chosen_variant, *(each for each in report.variants if each.kind == "baseline")]
    for variant in {each.name: each for each in variants}.values():
        yield from _of_variant(report, variant)
    accuracy, latency = report.verdict.accuracy, report.verdict.latency
    slice = f"{report.chosen} against fp32"
    yield from _one(f"drop of {metric(report).name}, percentage points", accuracy.drop, slice, accuracy.ci95)
    yield from _one("speedup, times", latency.speedup_vs_fp32, slice, latency.ci95)


def _of_variant(report: Report, variant: Variant) -> Iterator[Metric]:
    accuracy, latency, named = variant.accuracy, variant.latency, metric(report)
    images = f"{variant.name}, {accuracy.images} images of {report.data.name or 'the evaluation set'}"
    yield from _one(f"{named.name}, %", named.value(accuracy), images, accuracy.ci95)
    yield from _one("top-5, %", accuracy.top5, images)
    yield from _one("macro F1, %", accuracy.f1, images)
    yield from _one("answers as FP32's, %", accuracy.agreement, images)
    for name in ("p50", "p90", "p99"):
        yield from _one(f"latency {name}, ms", getattr(latency, name), variant.name)
    yield from _one("latency mean, ms", latency.mean, variant.name, latency.ci95)
    yield from _one("throughput, images/s", latency.throughput_ips, variant.name)
    yield from _one("size, bytes", variant.size_bytes, variant.name)
    yield from _one("memory, bytes", variant.memory_bytes, variant.name)
    yield from _one("energy of an image, J", variant.energy_j, variant.name)


def _one(kind: str, value: float | None, slice: str, interval: tuple[float, float] | None = None) -> Iterator[Metric]:
    """A metric, if it was measured."""
    if value is not None:
        ends = None if interval is None else Interval(lower_bound=_text(interval[0]), upper_bound=_text(interval[1]))
        yield Metric(type=kind, value=_text(value), slice=slice, confidence_interval=ends)


def _text(value: float) -> str:
    return f"{value:.10g}"


def _limits(report: Report) -> Iterator[str]:
    chosen, verdict = report.chosen_variant, report.verdict
    for name, part in (("accuracy", chosen.accuracy), ("latency", chosen.latency)):
        if part.why:
            yield f"{name}: {part.why}"
    if verdict.accuracy.decided is False:
        yield "Whether the drop of accuracy is within its budget is not decided: its interval lies on both sides."
    if not verdict.ok:
        yield "A budget of the build was not met."
    if report.data.digest:
        yield "What was measured holds for images like those of the evaluation set."
    if chosen.precision in ("int8", "mixed") and report.calibration is not None and report.calibration.images:
        yield f"Ranges of INT8 come from {report.calibration.images} calibration images."
    yield from report.warnings


def _cost(report: Report) -> Iterator[str]:
    """What compressing cost and won, in a sentence."""
    accuracy, latency = report.verdict.accuracy, report.verdict.latency
    parts = []
    if accuracy.drop is not None:
        parts.append(f"{accuracy.drop:.2f} percentage points less {metric(report).name}{_between(accuracy.ci95, 2)}")
    if latency.speedup_vs_fp32 is not None:
        parts.append(f"{latency.speedup_vs_fp32:.2f} times as fast{_between(latency.ci95, 2)}")
    if parts:
        yield f"{report.chosen} against FP32 on the same runtime: {', '.join(parts)}."


def _between(interval: tuple[float, float] | None, digits: int) -> str:
    return f" (95 %: {interval[0]:.{digits}f} to {interval[1]:.{digits}f})" if interval is not None else ""
