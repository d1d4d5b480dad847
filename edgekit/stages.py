"""The stages of a build, each a function that puts its result in the stage store, or finds it there.

A stage's key holds everything that decides its result; what a stage needs to make it is imported only when it is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.data.calibration import CalibrationSet, check_disjoint, choose, indices_in, to_json
from edgekit.data.calibration import read as read_calibration
from edgekit.data.folder import FolderSet, open_images
from edgekit.data.image_set import spread
from edgekit.errors import InputError
from edgekit.models.source import Source, export
from edgekit.recipe import PreprocessingRecipe, Recipe, find_shipped
from edgekit.store import Entry, Store
from edgekit.targets import processor

if TYPE_CHECKING:
    from edgekit.compile import Compiled
    from edgekit.data.image_set import ImageSet

GOLDEN_IMAGES: Final = 4
FIDELITY_IMAGES: Final = 200
"""Images that outputs are compared on where accuracy has no meaning."""

UNCALIBRATED: Final = (
    "no calibration images were given: INT8 ranges come from the rendered signs; images of the task, given with"
    " --calibration, may lower the drop"
)


@dataclass(frozen=True)
class Event:
    """Progress of a stage: `done` of `total` units (None: unknown); `finished` when it is over."""

    stage: str
    done: float = 0
    total: float | None = None
    finished: bool = False
    cached: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Held:
    """Images set aside to calibrate with, and the set that they are of."""

    chosen: CalibrationSet
    pool: ImageSet


@dataclass
class Run:
    """One build under way: where stages keep their results, who hears of it, and what was done so far."""

    recipe: Recipe
    source: Source
    store: Store
    variants: tuple[str, ...]
    on_event: Callable[[Event], None]
    stages: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def stage(self, name: str, inputs: Mapping[str, Any], make: Callable[[Path], None]) -> Entry:
        """Runs one stage, or takes it from the store, and notes how long that took."""
        self.on_event(Event(name))
        entry = self.store.build(self.store.key(name, inputs), name, make)
        self.stages.append({"name": name, "seconds": round(entry.seconds, 3), "cached": entry.cached})
        self.on_event(Event(name, finished=True, cached=entry.cached))
        return entry

    def tell(self, stage: str, total: float | None) -> Callable[[float], None]:
        """A callback that turns a count into an event."""
        return lambda done: self.on_event(Event(stage, done, total))


def machine_identity() -> dict[str, Any]:
    """What decides compiled forms and timings: processor and runtime, by metadata, importing nothing."""
    cpu, features = processor()
    return {"cpu": cpu, "features": list(features), "openvino": version("openvino")}


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
    if manifest is None and told == type(told)():
        manifest = find_shipped("calibration", "signs.json")
        if source.default_data != "signs":
            run.warnings.append(UNCALIBRATED)
    if manifest is not None:
        chosen = read_calibration(manifest)
        pool = open_images(told.data or chosen.data, skip_bad=True, split=chosen.split or "calibration")
        indices_in(chosen, pool)
        run.stage("calibrate", {"manifest": chosen.digest}, lambda into: write(into / "set.json", to_json(chosen)))
    else:
        pool = open_images(data, skip_bad=run.recipe.skip_bad_images, split="calibration")
        entry = run.stage("calibrate", _choice_inputs(run, pool, exported), _choice(run, pool, exported, data))
        chosen = read_calibration(entry.path / "set.json")
    if images is not None:
        check_disjoint(chosen, images)
    return chosen, pool


def _choice_inputs(run: Run, pool: ImageSet, exported: Entry) -> dict[str, Any]:
    told = run.recipe.calibration
    graph = exported.path.name if told.strategy == "coverage" else None
    return {"pool": pool.digest, "told": told.model_dump(), "seed": run.recipe.seed, "graph": graph}


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


def quantize_graph(run: Run, exported: Entry, chosen: CalibrationSet, pool: ImageSet) -> Entry:
    """The graphs with preprocessing inside: fp32.onnx and, where it is wanted, int8.onnx."""
    preprocessing, int8 = run.source.preprocessing, "int8" in run.variants

    def make(into: Path) -> None:
        import onnx

        from edgekit.data.loading import batches
        from edgekit.models.onnx_graph import with_preprocessing
        from edgekit.quantize.ptq import quantize

        graph = exported.path / "model.onnx"
        onnx.save(with_preprocessing(onnx.load(str(graph)), preprocessing), str(into / "fp32.onnx"))
        if not int8:
            return
        indices = indices_in(chosen, pool)
        quantize(
            graph,
            into / "int8.onnx",
            lambda: (pictures for pictures, _ in batches(pool, preprocessing, indices, 1)),
            len(indices),
            preprocessing,
            run.tell("quantize", len(indices)),
        )

    inputs = {
        "graph": exported.path.name,
        "calibration": chosen.digest if int8 else None,
        "preprocessing": preprocessing.as_dict(),
        "nncf": version("nncf") if int8 else None,
    }
    return run.stage("quantize", inputs, make)


def compile_variants(run: Run, quantized: Entry) -> Entry:
    """One folder a variant with the compiled form, and compiled.json that tells of them."""

    def make(into: Path) -> None:
        from edgekit.compile import openvino

        told = {}
        for done, name in enumerate(run.variants):
            run.on_event(Event("compile", done, len(run.variants), detail=name))
            (into / name).mkdir()
            made = openvino.compile(graph_of(quantized, name), into / name, name)
            told[name] = {"path": f"{name}/{Path(made.path).name}", "size_bytes": made.size_bytes}
        write(into / "compiled.json", json.dumps(told))
        if run.source.kind == "registry":
            write(into / "torch-eager.json", json.dumps(_eager(run.source)))

    inputs = {"quantized": quantized.path.name, "variants": list(run.variants), "machine": machine_identity()}
    return run.stage("compile", inputs, make)


def _eager(source: Source) -> dict[str, Any]:
    """What the torch-eager reference needs; its weights do not matter to how long it takes."""
    return {
        "name": source.name,
        "num_classes": source.classes,
        "width": source.width,
        "weights": None,
        "mean": list(source.preprocessing.mean),
        "std": list(source.preprocessing.std),
    }


def graph_of(quantized: Entry, variant: str) -> Path:
    """The ONNX graph that a variant is compiled from."""
    return quantized.path / ("int8.onnx" if variant == "int8" else "fp32.onnx")


def compiled_of(compiled: Entry, variant: str) -> Compiled:
    """What the compile stage made of a variant."""
    from edgekit.compile import Compiled

    told = read_json(compiled.path / "compiled.json")[variant]
    return Compiled("openvino", str(compiled.path / told["path"]), variant, told["size_bytes"])


def judge_accuracy(
    run: Run, exported: Entry, compiled: Entry, images: ImageSet | None, chosen: CalibrationSet, pool: ImageSet
) -> Entry:
    """accuracy.json and golden.npz, of the evaluation images, or where there are none of a few not calibrated with."""
    labelled = images is not None and images.labels is not None and not run.source.random
    over, indices = (
        (images, spread(len(images), None if labelled else FIDELITY_IMAGES)) if images else _rest(chosen, pool)
    )
    check = labelled and (run.source.kind != "registry" or run.recipe.preprocessing != PreprocessingRecipe())
    preprocessing = run.source.preprocessing

    def make(into: Path) -> None:
        import numpy as np

        from edgekit.validate.judge import better_normalisation, judge

        variants = {name: compiled_of(compiled, name) for name in run.variants}
        tell = run.tell("validate", len(indices))
        told, golden = judge(variants, over, preprocessing, indices, labelled, GOLDEN_IMAGES, tell)
        warning = better_normalisation(exported.path / "model.onnx", over, preprocessing) if check else None
        write(into / "accuracy.json", json.dumps({**told, "warning": warning}))
        np.savez(into / "golden.npz", **golden)  # type: ignore[arg-type]

    inputs = {
        "compiled": compiled.path.name,
        "images": over.digest,
        "indices": [len(indices), indices[0], indices[-1]],
        "labelled": labelled,
        "check": check,
        "preprocessing": preprocessing.as_dict(),
    }
    return run.stage("validate", inputs, make)


def _rest(chosen: CalibrationSet, pool: ImageSet) -> tuple[ImageSet, list[int]]:
    """Images of the pool that were not calibrated with, spread evenly; all if none are left."""
    used = {item.sha256 for item in chosen.items}
    rest = [index for index in range(len(pool)) if pool.content_hash(index) not in used] or list(range(len(pool)))
    return pool, [rest[place] for place in spread(len(rest), FIDELITY_IMAGES)]


def time_variants(run: Run, compiled: Entry, height: int, width: int) -> Entry:
    """latency.json of all variants and the torch-eager reference."""
    settings = run.recipe.latency

    def make(into: Path) -> None:
        from edgekit.validate.latency import Candidate, measure

        told = read_json(compiled.path / "compiled.json")
        candidates = [Candidate(n, "openvino", str(compiled.path / told[n]["path"]), n) for n in run.variants]
        if (compiled.path / "torch-eager.json").exists():
            candidates.append(Candidate("torch-eager", "torch", str(compiled.path / "torch-eager.json"), "fp32"))

        def tell(done: int, total: int) -> None:
            run.on_event(Event("measure", done, total))

        measured = measure(candidates, (1, height, width, 3), settings.runs, settings.max_seconds, tell)
        write(into / "latency.json", json.dumps(measured.as_dict()))

    inputs = {"compiled": compiled.path.name, "settings": settings.model_dump(), "machine": machine_identity()}
    return run.stage("measure", inputs, make)


def write(path: Path, text: str) -> None:
    """Writes text as UTF-8."""
    path.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """Reads what a stage wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
