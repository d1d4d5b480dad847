"""The build, from a recipe to a bundle: the stages in order, the verdict, and what is left in the directory."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit import __version__
from edgekit.bundle import claim_directory, write_bundle
from edgekit.data.calibration import CalibrationSet, to_json
from edgekit.data.folder import open_images
from edgekit.errors import InputError
from edgekit.models.source import Source, resolve
from edgekit.recipe import Recipe, to_yaml
from edgekit.report import RENDERERS, validate
from edgekit.report.assemble import assemble
from edgekit.stages import (
    Event,
    Run,
    calibrate,
    compile_variants,
    export_graph,
    graph_of,
    hold_out,
    judge_accuracy,
    machine_identity,
    quantize_graph,
    read_json,
    time_variants,
)
from edgekit.store import Entry, Store
from edgekit.targets import processor, require
from edgekit.validate.verdict import Evidence, Verdict, decide

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet
    from edgekit.targets import Target

SIGNS_IMAGES: Final = 2_400
"""Signs that are evaluated unless more or fewer are asked for; enough to see a drop of half a point."""


@dataclass(frozen=True)
class Built:
    """What a build left: the report as report.json has it, and the bundle's directory."""

    report: dict[str, Any]
    directory: Path

    @property
    def ok(self) -> bool:
        """Whether every budget was met."""
        return bool(self.report["verdict"]["ok"])


def build(
    recipe: Recipe,
    out_dir: Path | None = None,
    store: Store | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Built:
    """Compresses a classifier for a target and proves what it cost: the whole way through the house.

    Args:
        out_dir: of the bundle; build/MODEL-TARGET by default.
        store: of finished stages; the user's own by default.
    Raises:
        InputError: bad input; nothing is written.
        UnavailableError: the target or a package is not there.
    """
    target = require(recipe.target)
    source = resolve(recipe)
    out = out_dir or Path("build") / f"{source.name}-{recipe.target}"
    claim_directory(out)
    run = Run(recipe, source, store or Store(), _variants(recipe, target), on_event)
    images, held = hold_out(run, _evaluation_images(run))

    exported = export_graph(run)
    facts = read_json(exported.path / "facts.json")
    _check_labels(images, facts["classes"])
    chosen, pool = calibrate(run, images, exported, held)
    quantized = quantize_graph(run, exported, chosen, pool)
    compiled = compile_variants(run, quantized)
    judged = judge_accuracy(run, exported, compiled, images, chosen, pool)
    timed = time_variants(run, compiled, facts["height"], facts["width"])

    verdict = _verdict(run, facts, images, compiled, judged, timed)
    report = assemble(
        source=source,
        facts=facts,
        target=recipe.target,
        machine=machine_identity(),
        images=images,
        calibration=chosen if "int8" in run.variants else None,
        verdict=verdict,
        stages=run.stages,
        warnings=run.warnings,
    )
    validate(report)
    return Built(report, _bundle(run, out, report, chosen, quantized, compiled, judged, images))


def _variants(recipe: Recipe, target: Target) -> tuple[str, ...]:
    """FP32 to compare with, the 16-bit format if this processor has it, and what was asked for."""
    fast = target.fast_precisions(processor()[1])
    return tuple(p for p in ("fp32", "bf16", "int8") if p in ("fp32", recipe.precision) or (p == "bf16" and p in fast))


def _evaluation_images(run: Run) -> ImageSet | None:
    recipe, source = run.recipe, run.source
    data = recipe.data or source.default_data
    if data is None:
        return None
    limit = recipe.images or (SIGNS_IMAGES if data == "signs" else None)
    images = open_images(data, skip_bad=recipe.skip_bad_images, limit=limit, num_classes=source.classes)
    if images.skipped:
        named = ", ".join(images.skipped[:3])
        run.warnings.append(f"{len(images.skipped)} unreadable images of {data} were left out: {named}")
    return images


def _check_labels(images: ImageSet | None, classes: int) -> None:
    if images is None or images.labels is None or classes <= 0:
        return
    worst = int(images.labels.max())
    if worst >= classes:
        raise InputError(
            f"label {worst} is out of range: the model has {classes} classes, 0 to {classes - 1}",
            "Check the labels of --data, or the --model.",
        )


def _verdict(
    run: Run, facts: dict[str, Any], images: ImageSet | None, compiled: Entry, judged: Entry, timed: Entry
) -> Verdict:
    accuracy = read_json(judged.path / "accuracy.json")
    if accuracy["warning"]:
        run.warnings.append(accuracy["warning"])
    why = None
    if run.source.random:
        why = "the weights are random"
    elif images is None:
        why = "no labelled images were given (--data)"
    evidence = Evidence(
        accuracy=accuracy,
        latency=read_json(timed.path / "latency.json"),
        sizes={name: told["size_bytes"] for name, told in read_json(compiled.path / "compiled.json").items()},
        params=facts["params"],
        macs=facts["macs"],
        why_no_accuracy=why,
    )
    return decide(evidence, run.recipe.precision, run.recipe.max_drop, run.recipe.latency_budget_ms)


def _bundle(
    run: Run,
    out: Path,
    report: dict[str, Any],
    calibration: CalibrationSet,
    quantized: Entry,
    compiled: Entry,
    judged: Entry,
    images: ImageSet | None,
) -> Path:
    chosen = report["chosen"]
    xml = compiled.path / read_json(compiled.path / "compiled.json")[chosen]["path"]
    files: dict[str, Path | bytes] = {
        "report.json": (json.dumps(report, indent=2) + "\n").encode(),
        **{f"report.{suffix}": render(report).encode() for suffix, render in RENDERERS.items()},
        "recipe.yaml": to_yaml(run.recipe).encode(),
        "calibration.json": to_json(calibration).encode(),
        "model.onnx": graph_of(quantized, chosen),
        "model.xml": xml,
        "model.bin": xml.with_suffix(".bin"),
        "golden.npz": _golden(judged, chosen),
    }
    return write_bundle(out, files, _manifest(run.source, report, images))


def _golden(judged: Entry, chosen: str) -> bytes:
    """The golden inputs with the chosen variant's logits."""
    import numpy as np

    with np.load(judged.path / "golden.npz") as kept:
        into = io.BytesIO()
        np.savez_compressed(into, inputs=kept["inputs"], logits=kept[f"logits-{chosen}"])
    return into.getvalue()


def _manifest(source: Source, report: dict[str, Any], images: ImageSet | None) -> dict[str, Any]:
    _, _, height, width = report["model"]["input"]
    return {
        "model": report["model"],
        "target": report["target"],
        "precision": report["chosen"],
        "input": {"name": "image", "dtype": "uint8", "shape": [1, height, width, 3], "layout": "NHWC", "color": "RGB"},
        "preprocessing": asdict(source.preprocessing),
        "labels": list(images.classes) if images is not None else [],
        "versions": {"edgekit": __version__, "openvino": report["target"]["runtime_version"]},
        "license": "Apache-2.0" if source.kind == "registry" and source.tag == "signs" else None,
    }
