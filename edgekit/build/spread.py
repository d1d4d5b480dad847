"""The stages that show how much the INT8 drop depends on the images that happened to calibrate it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Final

from edgekit.build.make import quantize_graph
from edgekit.build.place import sessions
from edgekit.build.prove import compile_settings, engine_settings, is_executed, toolchain
from edgekit.build.run import Event, Run, read_json, write
from edgekit.data.calibration import STRATEGIES, CalibrationSet, choose
from edgekit.data.image_set import Selection
from edgekit.store import Entry

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

TRIES: Final = 4
"""Seeds tried for each set that is wanted: of few images, several seeds may choose the same."""


def calibration_spread(
    run: Run, exported: Entry, chosen: CalibrationSet, pool: ImageSet, images: ImageSet | None, judged: Entry
) -> dict[str, Any] | None:
    """Top-1 drops of the unpruned INT8 graph with the build's own calibration set and with others of the same kind.

    The others are as large, chosen from the same pool with the same strategy and the seeds after the recipe's, without
    the images that are evaluated.

    Returns:
        {"seeds", "drops", "min", "max", "mean", "std"} in points, the build's own set first, std of a sample; None
        where the recipe asks for one set only, or with a warning why nothing was measured.
    """
    if run.recipe.calibration.seeds == 1:
        return None
    told = read_json(judged.path / "accuracy.json")
    rest = pool if images is None else _not_evaluated(pool, images)
    why_not = _why_not(run, told, chosen, rest)
    others = [] if why_not is not None else _others(run, chosen, rest)
    if images is None or not others:
        why_not = why_not or "the seeds chose the same images again"
        run.warnings.append(f"the spread over calibration sets was not measured: {why_not}")
        return None
    if len(others) + 1 < run.recipe.calibration.seeds:
        run.warnings.append(f"only {len(others) + 1} calibration sets were compared: the seeds chose no others")
    top1, own = (told["variants"][name]["accuracy"]["top1"] for name in ("fp32", "int8"))
    drops = [top1 - own]
    for number, other in enumerate(others, 2):
        quantized = quantize_graph(run, exported, other, rest, ("int8",))
        drops.append(top1 - _top1(run, quantized, images, f"calibration set {number} of {len(others) + 1}"))
    return {
        "seeds": len(drops),
        "drops": drops,
        "min": min(drops),
        "max": max(drops),
        "mean": fmean(drops),
        "std": stdev(drops),
    }


def _why_not(run: Run, told: dict[str, Any], chosen: CalibrationSet, rest: ImageSet) -> str | None:
    """Why there is nothing to compare, or no way to; None where there is both."""
    if "int8" not in run.variants:
        return "nothing is quantized to INT8"
    if not is_executed(run):
        return f"INT8 for {run.recipe.target} is not executed here"
    if not told["labelled"]:
        return "accuracy was not measured"
    if chosen.strategy == "coverage" or chosen.strategy not in STRATEGIES:
        return f"no seed decides what the strategy {chosen.strategy} chooses"
    if len(rest) <= len(chosen.items):
        return f"all {len(rest)} images to calibrate with are in the set; give more with --calibration"
    return None


def _not_evaluated(pool: ImageSet, images: ImageSet) -> ImageSet:
    """The images of a pool that are not among the evaluated ones, by content."""
    seen = {images.content_hash(index) for index in range(len(images))}
    places = tuple(index for index in range(len(pool)) if pool.content_hash(index) not in seen)
    return pool if len(places) == len(pool) else Selection(pool, places)


def _others(run: Run, chosen: CalibrationSet, rest: ImageSet) -> list[CalibrationSet]:
    """Other sets like the chosen one, as many as the recipe asks for if the seeds choose so many different ones."""
    wanted, first = run.recipe.calibration.seeds - 1, run.recipe.seed + 1
    found: dict[frozenset[str], CalibrationSet] = {}
    own = frozenset(item.sha256 for item in chosen.items)
    for seed in range(first, first + TRIES * wanted):
        other = choose(rest, len(chosen.items), chosen.strategy, seed, data=chosen.data)
        hashes = frozenset(item.sha256 for item in other.items)
        if hashes != own:
            found.setdefault(hashes, other)
        if len(found) == wanted:
            break
    return list(found.values())


def _top1(run: Run, quantized: Entry, images: ImageSet, detail: str) -> float:
    """Percent right of the evaluation images with an INT8 graph, compiled and executed as the build's own."""
    preprocessing, graph = run.source.preprocessing, quantized.path / "int8.onnx"

    def make(into: Path) -> None:
        from edgekit.backends.for_target import compile_for
        from edgekit.validate.accuracy import accuracy
        from edgekit.validate.evaluation import predict

        def tell(done: int) -> None:
            run.on_event(Event("spread", done, len(images), detail=detail))

        labels = images.labels
        assert labels is not None  # accuracy was measured with them
        with tempfile.TemporaryDirectory(prefix="edgekit-spread-") as folder:
            made = compile_for(run.target.family, graph, Path(folder), "int8", compile_settings(run))
            with sessions(run, run.device, {"int8": made}, engine_settings(run)) as loaded:
                logits = predict(loaded, images, preprocessing, range(len(images)), tell)["int8"]
        write(into / "top1.json", json.dumps(accuracy(logits, labels).top1))

    settings = compile_settings(run)
    inputs = {
        "graph": quantized.path.name,
        "toolchain": toolchain(run),
        "settings": [list(settings.compute_capabilities), settings.optimization_level, settings.workspace_bytes],
        "device": run.device and run.device.identity(),
        "images": images.digest,
        "preprocessing": preprocessing.as_dict(),
    }
    entry = run.stage("spread", inputs, make)
    return float(read_json(entry.path / "top1.json"))
