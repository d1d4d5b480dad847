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
    Graphs,
    Pruned,
    Run,
    calibrate,
    compile_variants,
    describe_target,
    engine_facts,
    export_graph,
    hold_out,
    judge_accuracy,
    prune_network,
    quantize_graph,
    read_json,
    sizes_of,
    time_variants,
)
from edgekit.stages.place import reach, require_compiler
from edgekit.store import Entry, Store
from edgekit.targets import find, processor, release_of, release_with
from edgekit.validate.variants import PRUNED, is_pruned, precision_of
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
    target = find(recipe.target)
    release = release_of(target, recipe.tensorrt.jetpack)
    require_compiler(target)
    source = resolve(recipe)
    out = out_dir or Path("build") / f"{source.name}-{recipe.target}"
    claim_directory(out)
    wanted, notes = _wanted(recipe, target)
    run = Run(recipe, source, store or Store(), _variants(wanted, target), on_event, target, release, warnings=notes)
    run.device = reach(run)
    if run.device is not None and release is not None and recipe.tensorrt.jetpack is None:
        run.release = release_with(target, run.device.facts["runtimes"]["tensorrt"]) or release
    images, held = hold_out(run, _evaluation_images(run))

    exported = export_graph(run)
    facts = read_json(exported.path / "facts.json")
    _check_labels(images, facts["classes"])
    chosen, pool = calibrate(run, images, exported, held)
    quantized = quantize_graph(run, exported, chosen, pool, run.variants)
    pruned = prune_network(run, wanted, exported, quantized, chosen, pool, images)
    graphs = Graphs(quantized)
    if pruned.entry is not None:
        graphs = Graphs(quantized, quantize_graph(run, pruned.entry, chosen, pool, (wanted,)))
        run.variants, wanted = (*run.variants, PRUNED + wanted), PRUNED + wanted
    compiled = compile_variants(run, graphs)
    judged = judge_accuracy(run, exported, graphs, compiled, images, chosen, pool)
    latency = time_variants(run, compiled, facts["height"], facts["width"])

    verdict = _verdict(run, wanted, facts, pruned, images, compiled, judged, latency)
    report = assemble(
        source=source,
        facts=facts,
        target=describe_target(run, compiled, latency),
        images=images,
        calibration=chosen if "int8" in run.variants else None,
        verdict=verdict,
        pruning=_pruning(pruned, verdict),
        stages=run.stages,
        warnings=run.warnings,
    )
    validate(report)
    return Built(report, _bundle(run, out, report, chosen, graphs, compiled, judged, images))


def prune(
    recipe: Recipe, store: Store | None = None, on_event: Callable[[Event], None] = lambda event: None
) -> tuple[Pruned, list[str]]:
    """Prunes and recovers a classifier for a target, and no more: what came of it, and warnings.

    Raises:
        InputError: bad input, or a network that cannot be pruned.
        UnavailableError: the target or a package is not there.
    """
    target = find(recipe.target)
    source = resolve(recipe)
    wanted, notes = _wanted(recipe, target)
    run = Run(recipe, source, store or Store(), _variants(wanted, target), on_event, target, release_of(target))
    run.warnings.extend(notes)
    run.device = reach(run)
    images, held = hold_out(run, _evaluation_images(run) if recipe.data is not None else None)
    exported = export_graph(run)
    chosen, pool = calibrate(run, images, exported, held)
    quantized = quantize_graph(run, exported, chosen, pool, (wanted,))
    return prune_network(run, wanted, exported, quantized, chosen, pool, images), run.warnings


def _pruning(pruned: Pruned, verdict: Verdict) -> dict[str, Any]:
    """The report's `pruning`, with whether the pruned network stays."""
    variant = next((each for each in verdict.variants if is_pruned(each["name"])), None)
    if variant is None:
        return pruned.told
    return {**pruned.told, "kept": variant["kept"], "reason": variant["reason"]}


def _wanted(recipe: Recipe, target: Target) -> tuple[str, list[str]]:
    """The precision to build, and what the user should know where that is not the one asked for.

    Raises:
        InputError: the target cannot do what was asked, or not on the DLA.
    """
    if recipe.tensorrt.dla and not target.dla_cores:
        raise InputError(f"{target.name} has no DLA", "Leave --dla out.")
    if recipe.precision in target.precisions:
        return recipe.precision, []
    if recipe.precision == "int8":
        return target.precisions[0], [f"{target.description}: {target.notes[0]}"]
    raise InputError(
        f"{target.name} has no fast {recipe.precision}", f"Use --precision {' or '.join(target.precisions)}."
    )


def _variants(wanted: str, target: Target) -> tuple[str, ...]:
    """FP32 to compare with, the 16-bit format that is fast on the target, and what was asked for."""
    fast = target.fast_precisions(processor()[1]) if target.family == "cpu" else target.precisions
    half = [each for each in ("bf16", "fp16") if each in fast or each == wanted]
    return ("fp32", *half, *(("int8",) if wanted == "int8" else ()))


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
    run: Run,
    wanted: str,
    facts: dict[str, Any],
    pruned: Pruned,
    images: ImageSet | None,
    compiled: Entry,
    judged: Entry,
    latency: dict[str, Any],
) -> Verdict:
    accuracy = read_json(judged.path / "accuracy.json")
    if accuracy["warning"]:
        run.warnings.append(accuracy["warning"])
    why = None
    if run.source.random:
        why = "the weights are random"
    elif images is None:
        why = "no labelled images were given (--data)"
    made = sizes_of(compiled)
    evidence = Evidence(
        accuracy=accuracy,
        latency=latency,
        sizes={name: told["size_bytes"] for name, told in made.items()},
        runtimes={name: told["runtime"] for name, told in made.items()},
        facts=facts,
        pruned_facts=read_json(pruned.entry.path / "facts.json") if pruned.entry is not None else None,
        why_no_accuracy=why,
        layers={name: told["layers"] for name, told in made.items()},
    )
    return decide(evidence, wanted, run.recipe.max_drop, run.recipe.latency_budget_ms)


def _bundle(
    run: Run,
    out: Path,
    report: dict[str, Any],
    calibration: CalibrationSet,
    graphs: Graphs,
    compiled: Entry,
    judged: Entry,
    images: ImageSet | None,
) -> Path:
    chosen = report["chosen"]
    form = compiled.path / sizes_of(compiled)[chosen]["path"]
    files: dict[str, Path | bytes] = {
        "report.json": (json.dumps(report, indent=2) + "\n").encode(),
        **{f"report.{suffix}": render(report).encode() for suffix, render in RENDERERS.items()},
        "recipe.yaml": to_yaml(run.recipe).encode(),
        "calibration.json": to_json(calibration).encode(),
        "model.onnx": graphs.of(chosen),
        "golden.npz": _golden(judged, chosen),
    }
    if form.suffix != ".onnx":
        files[f"model{form.suffix}"] = form
    if form.suffix == ".xml":
        files["model.bin"] = form.with_suffix(".bin")
    if run.recipe.tensorrt.dla and precision_of(chosen) == "int8":
        files |= {name: graphs.of(chosen).parent / name for name in ("model.dla.onnx", "model.dla.cache")}
    return write_bundle(out, files, {**_manifest(run.source, report, images), **engine_facts(run, chosen)})


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
        "precision": precision_of(report["chosen"]),
        "input": {"name": "image", "dtype": "uint8", "shape": [1, height, width, 3], "layout": "NHWC", "color": "RGB"},
        "preprocessing": asdict(source.preprocessing),
        "labels": list(images.classes) if images is not None else [],
        "versions": {"edgekit": __version__, report["target"]["runtime"]: report["target"]["runtime_version"]},
        "license": "Apache-2.0" if source.kind == "registry" and source.tag == "signs" else None,
    }
