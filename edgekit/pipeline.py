"""The build, from a recipe to a bundle: the stages in order, each from the store when nothing before it changed."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import __version__
from edgekit.bundle import claim_directory, write_bundle
from edgekit.data.calibration import CalibrationSet, check_disjoint, choose, indices_in, to_json
from edgekit.data.calibration import read as read_calibration
from edgekit.data.folder import open_images
from edgekit.errors import InputError
from edgekit.models.source import Source, export, resolve
from edgekit.recipe import Recipe, find_shipped, to_yaml
from edgekit.store import Entry, Store
from edgekit.targets import require

if TYPE_CHECKING:
    from edgekit.data.image_set import ImageSet

DEFAULT_SIGNS_IMAGES = 2_400
GOLDEN_IMAGES = 4
WRONG_NORMALISATION_POINTS = 3.0


@dataclass(frozen=True)
class Event:
    """Progress of a stage: `done` of `total` units (None: unknown); `finished` when it is over."""

    stage: str
    done: float = 0
    total: float | None = None
    finished: bool = False
    cached: bool = False
    detail: str = ""


OnEvent = Callable[[Event], None]


@dataclass
class _Run:
    """One build under way: where stages keep their results, who hears of it, and what was done so far."""

    recipe: Recipe
    source: Source
    store: Store
    on_event: OnEvent
    stages: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def stage(self, name: str, inputs: Mapping[str, Any], make: Callable[[Path], None]) -> Entry:
        self.on_event(Event(name))
        entry = self.store.build(self.store.key(name, inputs), name, make)
        self.stages.append({"name": name, "seconds": round(entry.seconds, 3), "cached": entry.cached})
        self.on_event(Event(name, finished=True, cached=entry.cached))
        return entry

    def tell(self, stage: str, total: float | None) -> Callable[[float], None]:
        return lambda done: self.on_event(Event(stage, done, total))


@dataclass(frozen=True)
class Built:
    """What a build left: the report as DESIGN's report.json has it, and the bundle's directory."""

    report: dict[str, Any]
    directory: Path

    @property
    def ok(self) -> bool:
        return bool(self.report["verdict"]["ok"])


def build(recipe: Recipe, out_dir: Path | None = None, store: Store | None = None, on_event: OnEvent = lambda e: None) -> Built:
    """Compresses a classifier for a target and proves what it cost: the whole way through the house.

    Raises:
        InputError: bad input; nothing is written.
        UnavailableError: the target or a package is not there.
    """
    target = require(recipe.target)
    source = resolve(recipe)
    out = out_dir or Path("build") / f"{source.name}-{target.name}"
    claim_directory(out)
    run = _Run(recipe, source, store or Store(), on_event)
    images = _evaluation_images(recipe, source)

    exported = run.stage("export", {"source": source.identity()}, lambda into: _export(source, into))
    graph_facts = json.loads((exported.path / "facts.json").read_text())
    _check_labels(images, graph_facts["classes"])
    calibration, calibration_images = _calibrate(run, images, exported)
    quantized = _quantize(run, exported, calibration, calibration_images)
    compiled = _compile(run, exported, quantized)
    judged = _judge_accuracy(run, exported, compiled, images, calibration_images)
    timed = _time(run, compiled, graph_facts)

    report = _report(run, graph_facts, calibration, images, compiled, judged, timed)
    return Built(report, _bundle(run, out, report, calibration, quantized, compiled, judged, images))


def _evaluation_images(recipe: Recipe, source: Source) -> ImageSet | None:
    data = recipe.data or source.default_data
    if data is None:
        return None
    limit = recipe.images or (DEFAULT_SIGNS_IMAGES if data == "signs" else None)
    return open_images(data, skip_bad=recipe.skip_bad_images, limit=limit, num_classes=source.classes)


def _check_labels(images: ImageSet | None, classes: int) -> None:
    if images is None or images.labels is None or classes <= 0:
        return
    worst = int(images.labels.max())
    if worst >= classes:
        raise InputError(
            f"label {worst} is out of range: the model has {classes} classes, 0 to {classes - 1}",
            "Check the labels of --data, or the --model.",
        )


def _export(source: Source, into: Path) -> None:
    (into / "facts.json").write_text(json.dumps(export(source, into / "model.onnx")))


def _calibrate(run: _Run, images: ImageSet | None, exported: Entry) -> tuple[CalibrationSet, ImageSet]:
    """The calibration set: a manifest that was given, the shipped one for signs, or a choice made now."""
    told, source = run.recipe.calibration, run.source
    data = told.data or ("signs" if (run.recipe.data or source.default_data or "signs") == "signs" else None)
    shipped = find_shipped("calibration", "signs.json")
    if told.file is None and data is None:
        raise InputError(
            "there are no images to calibrate with beside the evaluation set",
            "Give --calibration a folder or a manifest made by `edgekit calibrate`.",
        )
    if told.file is not None or (data == "signs" and shipped is not None and told == type(told)()):
        chosen = read_calibration(Path(told.file) if told.file is not None else shipped)  # type: ignore[arg-type]
        pool = open_images(told.data or chosen.data, skip_bad=True, split="calibration")
        run.stage("calibrate", {"manifest": chosen.digest}, lambda into: _write(into / "set.json", to_json(chosen)))
    else:
        pool = open_images(str(data), skip_bad=run.recipe.skip_bad_images, split="calibration")
        inputs = {"pool": pool.digest, "told": told.model_dump(), "seed": run.recipe.seed}
        if told.strategy == "coverage":
            inputs["graph"] = exported.path.name

        def pick(into: Path) -> None:
            features = None
            if told.strategy == "coverage":
                from edgekit.quantize.features import penultimate_features

                tell = run.tell("calibrate", len(pool))
                features = penultimate_features(exported.path / "model.onnx", pool, source.preprocessing, tell)
            count = min(told.images, len(pool))
            _write(into / "set.json", to_json(choose(pool, count, told.strategy, run.recipe.seed, features)))

        chosen = read_calibration(run.stage("calibrate", inputs, pick).path / "set.json")
    if images is not None:
        check_disjoint(chosen, images)
    return chosen, pool


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _quantize(run: _Run, exported: Entry, chosen: CalibrationSet, pool: ImageSet) -> Entry:
    """The graphs with preprocessing inside: fp32.onnx and int8.onnx."""
    preprocessing = run.source.preprocessing

    def make(into: Path) -> None:
        import onnx

        from edgekit.data.loading import batches
        from edgekit.models.onnx_graph import with_preprocessing
        from edgekit.quantize.ptq import quantize

        graph = exported.path / "model.onnx"
        onnx.save(with_preprocessing(onnx.load(str(graph)), preprocessing), str(into / "fp32.onnx"))
        if run.recipe.precision != "int8":
            return
        indices = indices_in(chosen, pool)
        tell = run.tell("quantize", len(indices))
        quantize(
            graph,
            into / "int8.onnx",
            lambda: (pictures for pictures, _ in batches(pool, preprocessing, indices, 1)),
            len(indices),
            preprocessing,
            tell,
        )

    inputs = {
        "graph": run.store.key("export", {"source": run.source.identity()}),
        "calibration": chosen.digest,
        "preprocessing": preprocessing.as_dict(),
        "int8": run.recipe.precision == "int8",
    }
    return run.stage("quantize", inputs, make)


def _variant_names(recipe: Recipe) -> list[str]:
    return ["fp32", "bf16", "int8"] if recipe.precision == "int8" else ["fp32", "bf16"]


def _compile(run: _Run, exported: Entry, quantized: Entry) -> Entry:
    """One folder a variant with the compiled form, and compiled.json that tells of them."""
    names = _variant_names(run.recipe)

    def make(into: Path) -> None:
        from edgekit.compile import openvino

        told = {}
        for done, name in enumerate(names):
            run.on_event(Event("compile", done, len(names), detail=name))
            (into / name).mkdir()
            graph = quantized.path / ("int8.onnx" if name == "int8" else "fp32.onnx")
            made = openvino.compile(graph, into / name, name)
            told[name] = {"path": f"{name}/{Path(made.path).name}", "size_bytes": made.size_bytes}
        _write(into / "compiled.json", json.dumps(told))
        if run.source.kind == "registry":
            _write_eager(run.source, into)

    inputs = {"quantized": quantized.path.name, "variants": names, "machine": _machine()}
    return run.stage("compile", inputs, make)


def _write_eager(source: Source, into: Path) -> None:
    """What the torch-eager reference needs: the network's name and shape; random weights time the same."""
    told = {"name": source.name, "num_classes": source.classes, "width": source.width, "weights": None}
    told["size"] = source.preprocessing.size
    _write(into / "torch-eager.json", json.dumps(told))


def _machine() -> dict[str, Any]:
    """What decides compiled forms and timings: processor and runtime versions, by metadata, importing nothing."""
    from importlib.metadata import version

    from edgekit.targets.machine import cpu_features, cpu_name

    return {"cpu": cpu_name(), "features": sorted(cpu_features()), "openvino": version("openvino")}


def _judge_accuracy(run: _Run, exported: Entry, compiled: Entry, images: ImageSet | None, pool: ImageSet) -> Entry:
    """accuracy.json (per variant), drop.json and golden.npz, over one pass of the images."""
    names = _variant_names(run.recipe)
    labelled = images is not None and images.labels is not None and not run.source.random
    over = images if images is not None else pool

    def make(into: Path) -> None:
        from edgekit.validate.judge import judge

        judge(
            {name: _compiled_of(compiled, name) for name in names},
            over,
            run.source.preprocessing,
            into,
            labelled=labelled,
            graph=exported.path / "model.onnx" if labelled else None,
            golden_images=GOLDEN_IMAGES,
            chosen=names[-1],
            on_progress=run.tell("validate", len(over)),
        )

    inputs = {
        "compiled": compiled.path.name,
        "images": over.digest,
        "count": len(over),
        "labelled": labelled,
        "preprocessing": run.source.preprocessing.as_dict(),
    }
    return run.stage("validate", inputs, make)


def _compiled_of(compiled: Entry, name: str) -> Any:
    from edgekit.compile import Compiled

    told = json.loads((compiled.path / "compiled.json").read_text())[name]
    return Compiled("openvino", str(compiled.path / told["path"]), name, told["size_bytes"])


def _time(run: _Run, compiled: Entry, graph_facts: Mapping[str, Any]) -> Entry:
    names = _variant_names(run.recipe)

    def make(into: Path) -> None:
        from edgekit.validate.latency import Candidate, measure

        told = json.loads((compiled.path / "compiled.json").read_text())
        candidates = [Candidate(n, "openvino", str(compiled.path / told[n]["path"]), n) for n in names]
        if (compiled.path / "torch-eager.json").exists():
            candidates.append(Candidate("torch-eager", "torch", str(compiled.path / "torch-eager.json"), "fp32"))
        shape = (1, graph_facts["height"], graph_facts["width"], 3)
        measured = measure(
            candidates, shape, runs=run.recipe.latency.runs, max_seconds=run.recipe.latency.max_seconds
        )
        _write(into / "latency.json", json.dumps(measured.as_dict()))

    inputs = {
        "compiled": compiled.path.name,
        "settings": run.recipe.latency.model_dump(),
        "machine": _machine(),
    }
    return run.stage("measure", inputs, make)


def _report(
    run: _Run,
    graph_facts: Mapping[str, Any],
    calibration: CalibrationSet,
    images: ImageSet | None,
    compiled: Entry,
    judged: Entry,
    timed: Entry,
) -> dict[str, Any]:
    from edgekit.validate.verdict import Evidence, variants_and_verdict

    evidence = Evidence(
        accuracy=json.loads((judged.path / "accuracy.json").read_text()),
        latency=json.loads((timed.path / "latency.json").read_text()),
        sizes={n: t["size_bytes"] for n, t in json.loads((compiled.path / "compiled.json").read_text()).items()},
        params=graph_facts["params"],
        macs=graph_facts["macs"],
    )
    machine = _machine()
    variants, verdict, warnings = variants_and_verdict(
        evidence, run.recipe.precision, run.recipe.max_drop, run.recipe.latency_budget_ms
    )
    source = run.source
    return {
        "schema": 1,
        "edgekit": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "model": {
            "name": source.name,
            "tag": source.tag,
            "weights_sha256": source.weights_sha256,
            "params": graph_facts["params"],
            "macs": graph_facts["macs"],
            "input": [1, 3, graph_facts["height"], graph_facts["width"]],
            "classes": graph_facts["classes"],
        },
        "target": {
            "name": run.recipe.target,
            "runtime": "openvino",
            "runtime_version": machine["openvino"],
            "device": machine["cpu"],
            "features": machine["features"],
        },
        "data": _data_record(images),
        "calibration": {
            "images": len(calibration.items),
            "strategy": calibration.strategy,
            "digest": calibration.digest,
        },
        "variants": variants,
        "chosen": run.recipe.precision,
        "verdict": verdict,
        "stages": run.stages,
        "warnings": [*run.warnings, *warnings],
        "environment": {"python": platform.python_version(), "system": platform.platform(), "cpu": machine["cpu"]},
    }


def _data_record(images: ImageSet | None) -> dict[str, Any]:
    if images is None:
        return {"name": None, "images": 0, "digest": None, "why": "no --data was given"}
    return {"name": images.name, "images": len(images), "digest": images.digest}


def _bundle(
    run: _Run,
    out: Path,
    report: dict[str, Any],
    calibration: CalibrationSet,
    quantized: Entry,
    compiled: Entry,
    judged: Entry,
    images: ImageSet | None,
) -> Path:
    from edgekit.report import RENDERERS, validate

    validate(report)
    chosen = run.recipe.precision
    xml = compiled.path / json.loads((compiled.path / "compiled.json").read_text())[chosen]["path"]
    files: dict[str, Path | bytes] = {
        "report.json": json.dumps(report, indent=2).encode(),
        "report.md": RENDERERS["md"](report).encode(),
        "report.html": RENDERERS["html"](report).encode(),
        "recipe.yaml": to_yaml(run.recipe).encode(),
        "calibration.json": to_json(calibration).encode(),
        "model.onnx": quantized.path / ("int8.onnx" if chosen == "int8" else "fp32.onnx"),
        "model.xml": xml,
        "model.bin": xml.with_suffix(".bin"),
        "golden.npz": judged.path / "golden.npz",
    }
    size = run.source.preprocessing.size
    manifest = {
        "model": report["model"],
        "target": report["target"],
        "precision": chosen,
        "input": {"name": "image", "dtype": "uint8", "shape": [1, size, size, 3], "layout": "NHWC", "color": "RGB"},
        "preprocessing": asdict(run.source.preprocessing),
        "labels": list(images.classes) if images is not None else [],
        "versions": {"edgekit": __version__, "openvino": report["target"]["runtime_version"]},
        "license": "Apache-2.0" if run.source.kind == "registry" else None,
    }
    return write_bundle(out, files, manifest)
