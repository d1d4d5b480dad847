"""The stages that make graphs: export, hold out, calibrate, quantize.

A stage's key holds everything that decides its result; what a stage needs to make it is imported only when it is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.build.run import Run, write
from edgekit.data.calibration import CalibrationSet, check_disjoint, choose, indices_in, renamed, to_json
from edgekit.data.calibration import read as read_calibration
from edgekit.data.folder import FolderSet, open_images
from edgekit.errors import InputError
from edgekit.models.export import export
from edgekit.quantize.graph_format import format_for
from edgekit.recipe import find_shipped
from edgekit.store import Entry

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

UNCALIBRATED: Final = (
    "no calibration images were given: INT8 ranges come from the rendered signs; images of the task, given with"
    " --calibration, may lower the drop"
)


@dataclass(frozen=True)
class Held:
    """Images set aside to calibrate with, and the set that they are of."""

    chosen: CalibrationSet
    pool: ImageSet


def export_graph(run: Run) -> Entry:
    """model.onnx (float32 input, batch 1) and facts.json."""

    def make(into: Path) -> None:
        write(into / "facts.json", json.dumps(export(run.source, into / "model.onnx")))

    return run.stage("export", {"source": run.source.identity(), "torch": version("torch")}, make)


def hold_out(run: Run, images: ImageSet | None) -> tuple[ImageSet | None, Held | None]:
    """Sets part of the evaluation images aside to calibrate with, where no other images were given.

    Returns:
        the images to evaluate on, and what was set aside, if anything was.
    Raises:
        InputError: there are too few images for both.
    """
    if not isinstance(images, FolderSet) or "int8" not in run.variants:
        return images, None
    told = run.recipe.calibration
    if told.file is not None or told.data is not None:
        return images, None
    count = min(told.images, len(images) // 3)
    if count < 1:
        raise InputError(
            f"{len(images)} images are too few to evaluate and to calibrate", "Give more, or --calibration."
        )
    chosen = choose(images, count, "stratified", run.recipe.seed, data=run.recipe.data)
    rest = images.without(frozenset(item.sha256 for item in chosen.items))
    run.warnings.append(
        f"no calibration images were given: {count} of the {len(images)} in --data were set aside to calibrate with,"
        f" and accuracy is of the other {len(rest)}"
    )
    return rest, Held(chosen, images)


def calibrate(
    run: Run, images: ImageSet | None, exported: Entry, held: Held | None = None
) -> tuple[CalibrationSet, ImageSet]:
    """The calibration set: what was set aside, a manifest, the shipped one, or a choice made now; and its images.

    Raises:
        InputError: it overlaps the evaluation images, or its files are missing or changed.
    """
    told, source = run.recipe.calibration, run.source
    if held is not None:
        text = to_json(held.chosen)
        run.stage("calibrate", {"manifest": held.chosen.digest}, lambda into: write(into / "set.json", text))
        return held.chosen, held.pool
    data = told.data or "signs"
    manifest = Path(told.file) if told.file is not None else None
    if manifest is None and told.model_copy(update={"seeds": 1}) == type(told)():
        manifest = find_shipped("calibration", "signs.json")
        if source.default_data != "signs":
            run.warnings.append(UNCALIBRATED)
    if manifest is not None:
        chosen = read_calibration(manifest)
        data, split = told.data or chosen.data, chosen.split or "calibration"
        pool = open_images(data, skip_bad=True, split=split, index=run.store.index)
        chosen = renamed(chosen, pool)
        run.stage("calibrate", {"manifest": chosen.digest}, lambda into: write(into / "set.json", to_json(chosen)))
    else:
        skip_bad = run.recipe.skip_bad_images
        pool = open_images(data, skip_bad=skip_bad, split="calibration", index=run.store.index)
        entry = run.stage("calibrate", _choice_inputs(run, pool, exported), _choice(run, pool, exported, data))
        chosen = renamed(read_calibration(entry.path / "set.json"), pool)
    if images is not None:
        check_disjoint(chosen, images)
    return chosen, pool


def _choice_inputs(run: Run, pool: ImageSet, exported: Entry) -> dict[str, Any]:
    told = run.recipe.calibration
    graph = exported.path.name if told.strategy == "coverage" else None
    return {"pool": pool.digest, "told": told.model_dump(exclude={"seeds"}), "seed": run.recipe.seed, "graph": graph}


def _choice(run: Run, pool: ImageSet, exported: Entry, data: str) -> Callable[[Path], None]:
    told = run.recipe.calibration

    def make(into: Path) -> None:
        features = None
        if told.strategy == "coverage":
            from edgekit.quantize.features import penultimate_features

            tell = run.tell("calibrate", len(pool))
            features = penultimate_features(exported.path / "model.onnx", pool, run.source.preprocessing, tell)
        count = min(told.images, len(pool))
        write(into / "set.json", to_json(choose(pool, count, told.strategy, run.recipe.seed, features, data)))

    return make


def quantize_graph(
    run: Run, exported: Entry, chosen: CalibrationSet, pool: ImageSet, precisions: Sequence[str]
) -> Entry:
    """The graph of every precision with preprocessing inside, in the form that the target's runtime wants: fp32.onnx
    (of bf16 too), fp16.onnx and int8.onnx, as far as they are wanted.
    """
    preprocessing, int8 = run.source.preprocessing, "int8" in precisions
    graphs = {"fp32" if each == "bf16" else each for each in precisions}
    wanted = [each for each in ("fp32", "fp16", "int8") if each in graphs]
    form, dla = format_for(run.release), int8 and run.recipe.tensorrt.dla

    def make(into: Path) -> None:
        from edgekit.data.loading import batches
        from edgekit.quantize.graphs import write_graph
        from edgekit.quantize.ptq import quantize

        core, quantized = exported.path / "model.onnx", into / "quantized.onnx"
        if int8:
            indices = indices_in(chosen, pool)
            quantize(
                core,
                quantized,
                lambda: (pictures for pictures, _ in batches(pool, preprocessing, indices, 1)),
                len(indices),
                preprocessing,
                run.tell("quantize", len(indices)),
                form.signed,
            )
        for precision in wanted:
            write_graph(core, quantized, into / f"{precision}.onnx", precision, preprocessing, form)
        if dla:
            from edgekit.quantize.graphs import write_dla

            write_dla(quantized, into, preprocessing, form)

    inputs = {
        "graph": exported.path.name,
        "calibration": chosen.digest if int8 else None,
        "preprocessing": preprocessing.as_dict(),
        "form": [*form.as_dict().values(), *wanted, *(("dla",) if dla else ())],
        "nncf": version("nncf") if int8 else None,
        "kept": ["quantized.onnx"] if int8 else [],
    }
    return run.stage("quantize", inputs, make)
