"""The build, from a recipe to a bundle: the stages in order, the verdict, and what is left in the directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.build.bundle_contents import ALWAYS, write
from edgekit.build.place import reach, require_compiler
from edgekit.build.stages import (
    Event,
    Graphs,
    Pruned,
    Run,
    calibrate,
    calibration_spread,
    compile_variants,
    describe_target,
    export_graph,
    fetching,
    hold_back,
    hold_out,
    judge_accuracy,
    prune_network,
    quantize_graph,
    read_json,
    sizes_of,
    time_variants,
    tune,
)
from edgekit.bundle.directory import claim_directory
from edgekit.data.folder import open_images
from edgekit.errors import InputError
from edgekit.models.source import Source, resolve
from edgekit.recipe import Recipe
from edgekit.report import validate
from edgekit.report.assemble import assemble
from edgekit.store import Entry, Store
from edgekit.targets import find, processor, release_of, release_with
from edgekit.validate.variants import PRUNED, is_pruned
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
    require_compiler(target)
    source = resolve(recipe, fetching(on_event))
    out = out_dir or Path("build") / f"{source.name}-{recipe.target}"
    claim_directory(out, ALWAYS)
    run, wanted = _started(recipe, target, source, store or Store(), on_event)
    images, held = hold_out(run, _evaluation_images(run))
    images, held_back = hold_back(run, images)

    exported = export_graph(run)
    facts = read_json(exported.path / "facts.json")
    _check_labels(images, facts["classes"])
    chosen, pool = calibrate(run, images, exported, held)
    quantized = quantize_graph(run, exported, chosen, pool, run.variants)
    plain = "int8" if wanted == "mixed" else wanted
    pruned = prune_network(run, plain, exported, quantized, chosen, pool, images)
    graphs = Graphs(quantized)
    if pruned.entry is not None:
        graphs = Graphs(quantized, quantize_graph(run, pruned.entry, chosen, pool, (plain,)))
        run.variants = (*(name for name in run.variants if name != "mixed"), PRUNED + plain)
    if wanted == "mixed":
        mixed = tune(run, pruned.entry or exported, quantized, chosen, pool, images, held_back)
        graphs = Graphs(quantized, graphs.pruned, mixed)
    if pruned.entry is not None:
        wanted = PRUNED + wanted
        run.variants = tuple(dict.fromkeys((*run.variants, wanted)))
    compiled = compile_variants(run, graphs)
    judged = judge_accuracy(run, exported, graphs, compiled, images, chosen, pool)
    spread = calibration_spread(run, exported, chosen, pool, images, judged)
    latency = time_variants(run, compiled, facts["height"], facts["width"])

    verdict = _verdict(run, wanted, facts, pruned, images, compiled, judged, latency)
    report = assemble(
        source=source,
        facts=facts,
        target=describe_target(run, compiled, latency),
        images=images,
        calibration=chosen if "int8" in run.variants else None,
        spread=spread,
        verdict=verdict,
        pruning=_pruning(pruned, verdict),
        tuning=read_json(graphs.mixed.path / "tuning.json") if graphs.mixed is not None else None,
        stages=run.stages,
        warnings=run.warnings,
    )
    validate(report)
    return Built(report, write(run, out, report, chosen, graphs, compiled, judged, images))


def prune(
    recipe: Recipe, store: Store | None = None, on_event: Callable[[Event], None] = lambda event: None
) -> tuple[Pruned, list[str]]:
    """Prunes and recovers a classifier for a target, and no more: what came of it, and warnings.

    Raises:
        InputError: bad input, or a network that cannot be pruned.
        UnavailableError: the target or a package is not there.
    """
    target = find(recipe.target)
    source = resolve(recipe, fetching(on_event))
    run, wanted = _started(recipe, target, source, store or Store(), on_event)
    images, held = hold_out(run, _evaluation_images(run) if recipe.data is not None else None)
    exported = export_graph(run)
    chosen, pool = calibrate(run, images, exported, held)
    wanted = "int8" if wanted == "mixed" else wanted
    quantized = quantize_graph(run, exported, chosen, pool, (wanted,))
    return prune_network(run, wanted, exported, quantized, chosen, pool, images), run.warnings


def _started(
    recipe: Recipe, target: Target, source: Source, store: Store, on_event: Callable[[Event], None]
) -> tuple[Run, str]:
    """A run before its first stage, its device reached, and the precision to build.

    The release of TensorRT is the device's own where there is one, unless the recipe names a JetPack.
    """
    release = release_of(target, recipe.tensorrt.jetpack)
    wanted, notes = _wanted(recipe, target)
    run = Run(recipe, source, store, _variants(wanted, target), on_event, target, release)
    run.warnings.extend([*source.notes, *notes])
    run.device = reach(run)
    if run.device is not None and release is not None and recipe.tensorrt.jetpack is None:
        run.release = release_with(target, run.device.facts["runtimes"]["tensorrt"]) or release
    return run, wanted


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
    asked = "int8" if recipe.precision == "mixed" else recipe.precision
    if asked in target.precisions:
        return recipe.precision, []
    if asked == "int8":
        return target.precisions[0], [f"{target.description}: {target.notes[0]}"]
    raise InputError(
        f"{target.name} has no fast {recipe.precision}", f"Use --precision {' or '.join(target.precisions)}."
    )


def _variants(wanted: str, target: Target) -> tuple[str, ...]:
    """FP32 to compare with, the 16-bit format that is fast on the target, and what was asked for."""
    fast = target.fast_precisions(processor()[1]) if target.family == "cpu" else target.precisions
    half = [each for each in ("bf16", "fp16") if each in fast or each == wanted]
    return (
        "fp32",
        *half,
        *(("int8",) if wanted in ("int8", "mixed") else ()),
        *(("mixed",) if wanted == "mixed" else ()),
    )


def _evaluation_images(run: Run) -> ImageSet | None:
    recipe, source = run.recipe, run.source
    data = recipe.data or source.default_data
    if data is None:
        return None
    limit = recipe.images or (SIGNS_IMAGES if data == "signs" else None)
    images = open_images(
        data, skip_bad=recipe.skip_bad_images, limit=limit, num_classes=source.classes, index=run.store.index
    )
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
