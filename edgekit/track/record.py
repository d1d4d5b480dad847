"""What is recorded of a build, whatever the tracker: settings, numbers, words and files, read from its bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from edgekit.bundle.directory import MANIFEST, names_of, require_whole
from edgekit.recipe import read_yaml
from edgekit.report import Report, read
from edgekit.report.metrics import metric
from edgekit.report.model_variants import Variant
from edgekit.report.summary import baseline, state, title, verdict
from edgekit.runtime.manifest import UNNAMED

RECIPE: Final = "recipe.yaml"
TOLD: Final = ("report.", "recipe.", *UNNAMED)
"""How the names of files begin that tell of a build; the others are what it made."""


@dataclass(frozen=True)
class Record:
    """A build as a tracker keeps it.

    Attributes:
        experiment: it is one of: the same network for the same target.
        name: of the run; note: what came of it, in a sentence.
        ended_s: when the build ended, seconds since 1970.
        params: settings by their path in the recipe, and versions of what was used.
        metrics: numbers; of a variant with its name and a slash before. What was not measured is not there.
        tags: words to find runs by.
        files: to keep beside.
    """

    experiment: str
    name: str
    note: str
    ended_s: float
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Tracked:
    """What is there now.

    Attributes:
        experiment, run: their names; run_id: the run's own; url: where people see it, or where it is kept.
        is_new: False where the build had been recorded before.
        sent, sent_bytes: files that went over now.
        left_out: what the tracker does not take, in words.
    """

    experiment: str
    run: str
    run_id: str
    url: str
    is_new: bool
    sent: int
    sent_bytes: int
    left_out: tuple[str, ...] = ()


def record_of(bundle: Path, whole: bool = False) -> Record:
    """What is recorded of a build, read from what it left.

    Args:
        whole: all files of the bundle, not only those that tell of it.
    Raises:
        InputError: it is no bundle, a damaged one, or has no report.
    """
    manifest = require_whole(bundle)
    report, names = read(bundle), names_of(bundle)
    settings = read_yaml(bundle / RECIPE) if RECIPE in names else {}
    versions = {f"versions.{name}": version for name, version in manifest.versions.items() if version}
    model = report.model.name
    return Record(
        experiment=f"{model}-{report.target.name}",
        name=f"{report.chosen} {report.created[:16]}",
        note=f"{title(report)}: {verdict(report)}",
        ended_s=_seconds(report.created),
        params={**dict(_flattened(settings)), **versions},
        metrics=dict(_metrics(report)),
        tags={**dict(_tags(report)), "edgekit.bundle_sha256": _sha256(bundle / MANIFEST)},
        files=tuple(bundle / name for name in sorted(names) if whole or name.startswith(TOLD)),
    )


def _flattened(settings: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Scalars of a recipe by their path; what is null was not told and is left out, a list is one text."""
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            yield from _flattened(value, f"{place}.{key}" if place else str(key))
    elif isinstance(settings, list):
        yield place, ",".join(map(_text, settings))
    elif settings is not None:
        yield place, _text(settings)


def _text(value: object) -> str:
    """As YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _metrics(report: Report) -> Iterator[tuple[str, float]]:
    """All numbers that were measured: those of the verdict by themselves, those of variants with their names."""
    chosen, base = report.chosen_variant, baseline(report)
    accuracy, latency = report.verdict.accuracy, report.verdict.latency
    summed: dict[str, float | None] = {
        metric(report).key: metric(report).value(chosen.accuracy),
        "drop_points": accuracy.drop,
        **_ends("drop_points", accuracy.ci95),
        "p_value": accuracy.p_value,
        "speedup_vs_fp32": latency.speedup_vs_fp32,
        **_ends("speedup_vs_fp32", latency.ci95),
        "p50_ms": chosen.latency.p50,
        "p99_ms": chosen.latency.p99,
        "size_bytes": chosen.size_bytes,
        "within_budget": float(report.verdict.ok),
        "stages_s": sum(each.seconds or 0.0 for each in report.stages),
    }
    yield from _measured(summed)
    for variant in report.variants:
        numbers = {f"{variant.name}/{name}": value for name, value in _numbers(variant, base).items()}
        yield from _measured(numbers)


def _numbers(variant: Variant, base: Variant | None) -> dict[str, float | None]:
    """Of one variant, with units in their names: percent where none is named."""
    accuracy, latency, cosine, pairs = (
        variant.accuracy,
        variant.latency,
        variant.accuracy.cosine,
        variant.accuracy.pairs,
    )
    fidelity = variant.fidelity
    against = next((each for each in variant.ratios if base is not None and each.base == base.name), None)
    return {
        "top1": accuracy.top1,
        "top5": accuracy.top5,
        "agreement": accuracy.agreement,
        "map": accuracy.map,
        "f1": accuracy.f1,
        "f1_micro": accuracy.f1_micro,
        **_ends("map" if accuracy.top1 is None else "top1", accuracy.ci95),
        "images": accuracy.images,
        "cosine": cosine.mean if cosine else None,
        "cosine_p1": cosine.p1 if cosine else None,
        "roc_auc": pairs.roc_auc if pairs else None,
        "false_accept": pairs.false_accept if pairs else None,
        "false_reject": pairs.false_reject if pairs else None,
        "fidelity_agreement": fidelity.agreement if fidelity else None,
        "fidelity_cosine": fidelity.cosine if fidelity else None,
        "fidelity_kl": fidelity.kl if fidelity else None,
        "p50_ms": latency.p50,
        "p90_ms": latency.p90,
        "p99_ms": latency.p99,
        "mean_ms": latency.mean,
        "throughput_ips": latency.throughput_ips,
        "ratio_to_fp32": against.ratio if against else None,
        **_ends("ratio_to_fp32", against.ci95 if against else None),
        "size_bytes": variant.size_bytes,
        "params": variant.params,
        "macs": variant.macs,
        "memory_bytes": variant.memory_bytes,
        "energy_j": variant.energy_j,
        "kept": float(variant.kept),
    }


def _ends(name: str, interval: tuple[float, float] | None) -> dict[str, float | None]:
    """The ends of a 95 % interval."""
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _measured(numbers: Mapping[str, float | None]) -> Iterator[tuple[str, float]]:
    return ((name, float(value)) for name, value in numbers.items() if value is not None)


def _tags(report: Report) -> Iterator[tuple[str, str]]:
    accuracy, latency = report.verdict.accuracy, report.verdict.latency
    told: dict[str, str | bool | None] = {
        "verdict": state(report)[1],
        "within_budget": report.verdict.ok,
        "decided": accuracy.decided,
        "latency_decided": latency.decided,
        "why_no_accuracy": accuracy.why,
        "why_no_latency": latency.why,
        "chosen": report.chosen,
        "precision": report.chosen_variant.precision,
        "runtime": report.chosen_variant.runtime,
        "runtime_version": report.target.runtime_version,
        "processor": _environment(report, "cpu"),
        "device": report.target.device,
        "features": " ".join(report.target.features) or None,
        "task": report.task,
        "model_tag": report.model.tag,
        "weights_sha256": report.model.weights_sha256,
        "data_sha256": report.data.digest,
        "version": report.edgekit,
    }
    return ((f"edgekit.{name}", _text(value)) for name, value in told.items() if value is not None)


def _environment(report: Report, key: str) -> str | None:
    value = report.environment.get(key)
    return None if value is None else str(value)


def _seconds(created: str) -> float:
    """ISO 8601 as seconds since 1970; of a report that was changed by hand, when that makes no sense, 1970."""
    try:
        return datetime.fromisoformat(created.replace("Z", "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
