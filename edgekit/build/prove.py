"""The stages that compile variants and prove what they do: compile, validate, measure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.backends.for_target import CompileSettings
from edgekit.build.place import HERE, networks, sessions
from edgekit.build.run import Event, Graphs, Run, machine_identity, read_json, write
from edgekit.data.image_set import spread
from edgekit.models.source import Source
from edgekit.recipe import PreprocessingRecipe
from edgekit.store import Entry
from edgekit.validate.variants import precision_of

if TYPE_CHECKING:
    from edgekit.backends import Compiled
    from edgekit.data.calibration import CalibrationSet
    from edgekit.data.image_set import ImageSet
    from edgekit.validate.latency import Measured

GOLDEN_IMAGES: Final = 4
FIDELITY_IMAGES: Final = 200
"""Images that outputs are compared on where accuracy has no meaning."""
TELLS: Final = 2
"""Changes with what is told of a variant, so that what was judged before is judged again."""


def compile_variants(run: Run, graphs: Graphs) -> Entry:
    """One folder a variant with the compiled form, and compiled.json that tells of them."""
    settings = compile_settings(run)

    def make(into: Path) -> None:
        from edgekit.backends.for_target import compile_for, preflight

        told, count, parser = {}, len(run.variants), None
        for done, name in enumerate(run.variants):
            run.on_event(Event("compile", done, count, detail=name))
            (into / name).mkdir()
            graph = graphs.of(name)

            def tell(share: float, done: int = done, name: str = name) -> None:
                run.on_event(Event("compile", done + share, count, detail=name))

            precision = precision_of(name)
            made = compile_for(run.target.family, graph, into / name, precision, settings, _timing_cache(run), tell)
            if run.target.family == "jetson" and run.release is not None and run.release.typed:
                parser = preflight(graph)
            told[name] = {
                "path": f"{name}/{Path(made.path).name}",
                "size_bytes": made.size_bytes,
                "runtime": made.runtime,
                "layers": _layers(made) if run.target.family == "gpu" else None,
            }
        write(into / "compiled.json", json.dumps({"variants": told, "parser": parser}))
        if run.source.kind == "registry" and run.target.family in HERE and run.device is None:
            write(into / "torch-eager.json", json.dumps(_eager(run.source)))

    inputs = {
        "graphs": graphs.keys(),
        "variants": list(run.variants),
        "toolchain": toolchain(run),
        "eager": run.device is None,
        "settings": [list(settings.compute_capabilities), settings.optimization_level, settings.workspace_bytes],
    }
    return run.stage("compile", inputs, make)


def _layers(made: Compiled) -> list[dict[str, str]]:
    from edgekit.backends.tensorrt import inspect

    return inspect(Path(made.path), "tensorrt")


def compile_settings(run: Run) -> CompileSettings:
    """What the recipe asks of the compiler."""
    told = run.recipe.tensorrt
    return CompileSettings(
        told.compute_capabilities or run.target.compute_capabilities,
        told.optimization_level,
        None if told.workspace_mb is None else told.workspace_mb << 20,
    )


def toolchain(run: Run) -> dict[str, Any]:
    """What decides compiled forms, by metadata alone: the machine and runtime, or the TensorRT."""
    if run.target.family == "cpu":
        return machine_identity()
    from edgekit.backends.tensorrt_library import installed

    both = {"tensorrt": installed("tensorrt"), "tensorrt-rtx": installed("tensorrt-rtx")}
    if run.target.family == "gpu":
        from edgekit.targets import describe

        machine = describe()
        return {**both, "gpus": list(machine.gpus), "driver": machine.nvidia_driver}
    return both


def _timing_cache(run: Run) -> Path | None:
    """Where TensorRT remembers how fast its kernels were on this GPU; kept in the store, beside the entries."""
    if run.target.family != "gpu":
        return None
    folder = run.store.root / "timing"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "tensorrt.cache"


def _eager(source: Source) -> dict[str, Any]:
    """What the torch-eager reference needs; weights matter to how long it takes only where they are narrower."""
    from edgekit.models.weights import is_pruned

    return {
        "name": source.name,
        "num_classes": source.classes,
        "width": source.width,
        "weights": str(source.weights) if source.weights is not None and is_pruned(source.weights) else None,
        "mean": list(source.preprocessing.mean),
        "std": list(source.preprocessing.std),
    }


def sizes_of(compiled: Entry) -> dict[str, dict[str, Any]]:
    """Variant: path, size_bytes and runtime of its compiled form, and its layers where an inspector told them."""
    told: dict[str, dict[str, Any]] = read_json(compiled.path / "compiled.json")["variants"]
    return told


def compiled_of(compiled: Entry, variant: str) -> Compiled:
    """What the compile stage made of a variant."""
    from edgekit.backends import Compiled

    told = sizes_of(compiled)[variant]
    return Compiled(told["runtime"], str(compiled.path / told["path"]), precision_of(variant), told["size_bytes"])


def is_executed(run: Run) -> bool:
    """Whether what is compiled can be executed: on this machine, or on a device."""
    return run.device is not None or run.target.family in HERE


def _executed(run: Run, graphs: Graphs, compiled: Entry) -> dict[str, Compiled]:
    """What accuracy is measured with: the compiled forms, or where they do not run here the very graphs of them."""
    if is_executed(run):
        return {name: compiled_of(compiled, name) for name in run.variants}
    from edgekit.backends import Compiled

    return {name: Compiled("onnxruntime", str(graphs.of(name)), precision_of(name), 0) for name in run.variants}


def engine_settings(run: Run) -> dict[str, Any]:
    """How a device builds its engine; see edgekit.runtime.engines.load."""
    if run.target.family != "jetson" or run.release is None:
        return {}
    settings: dict[str, Any] = {"typed": run.release.typed}
    if run.recipe.tensorrt.workspace_mb is not None:
        settings["workspace_bytes"] = run.recipe.tensorrt.workspace_mb << 20
    if run.recipe.tensorrt.dla:
        settings["dla_core"] = 0
    return settings


def judge_accuracy(
    run: Run,
    exported: Entry,
    graphs: Graphs,
    compiled: Entry,
    images: ImageSet | None,
    chosen: CalibrationSet,
    pool: ImageSet,
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

        from edgekit.validate.evaluation import better_normalisation, judge

        tell = run.tell("validate", len(indices))
        with sessions(run, run.device, _executed(run, graphs, compiled), engine_settings(run)) as loaded:
            told, golden = judge(loaded, over, preprocessing, indices, labelled, GOLDEN_IMAGES, tell)
        warning = better_normalisation(exported.path / "model.onnx", over, preprocessing) if check else None
        write(into / "accuracy.json", json.dumps({**told, "warning": warning}))
        np.savez(into / "golden.npz", **golden)  # type: ignore[arg-type]

    inputs = {
        "compiled": compiled.path.name if is_executed(run) else graphs.keys(),
        "runtime": None if is_executed(run) else version("onnxruntime"),
        "device": run.device and run.device.identity(),
        "images": over.digest,
        "indices": [len(indices), indices[0], indices[-1]],
        "labelled": labelled,
        "check": check,
        "tells": TELLS,
        "preprocessing": preprocessing.as_dict(),
    }
    return run.stage("validate", inputs, make)


def _rest(chosen: CalibrationSet, pool: ImageSet) -> tuple[ImageSet, list[int]]:
    """Images of the pool that were not calibrated with, spread evenly; all if none are left."""
    used = {item.sha256 for item in chosen.items}
    rest = [index for index in range(len(pool)) if pool.content_hash(index) not in used] or list(range(len(pool)))
    return pool, [rest[place] for place in spread(len(rest), FIDELITY_IMAGES)]


def time_variants(run: Run, compiled: Entry, height: int, width: int) -> dict[str, Any]:
    """Latencies of all variants and the torch-eager reference, or why there are none; see Measured.as_dict."""
    if not is_executed(run):
        how = f"edgekit build --target {run.recipe.target} --device ssh://USER@HOST"
        why = f"no device: measure it with `{how}`" if run.target.family == "jetson" else "no device with this GPU here"
        return {"latency": {}, "speedup": {}, "warnings": [], "why": why}
    from edgekit.backends import Compiled

    settings = run.recipe.latency
    shape = (1, height, width, 3)

    def make(into: Path) -> None:
        forms = {name: compiled_of(compiled, name) for name in run.variants}
        if (compiled.path / "torch-eager.json").exists():
            forms["torch-eager"] = Compiled("torch", str(compiled.path / "torch-eager.json"), "fp32", 0)
        measured = time_forms(run, forms, shape, settings.runs, settings.max_seconds, "measure")
        write(into / "latency.json", json.dumps(measured.as_dict()))

    where = run.device.identity() if run.device else toolchain(run)
    inputs = {"compiled": compiled.path.name, "settings": settings.model_dump(), "machine": where}
    entry = run.stage("measure", inputs, make)
    told: dict[str, Any] = read_json(entry.path / "latency.json")
    return told


def time_forms(
    run: Run,
    forms: Mapping[str, Compiled],
    shape: tuple[int, int, int, int],
    runs: int,
    max_seconds: float,
    stage: str,
) -> Measured:
    """Times compiled networks side by side, where the build executes: here, or on the device."""

    def tell(done: int, total: int) -> None:
        run.on_event(Event(stage, done, total))

    if run.device is not None:
        from edgekit.devices.remote import bench
        from edgekit.validate.latency import summed_up

        sent = networks(run, run.device, forms, engine_settings(run))
        return summed_up(bench(run.device.connection, sent, shape, runs, max_seconds, tell))
    from edgekit.validate.latency import Candidate, measure

    candidates = [Candidate(name, each.runtime, each.path, each.precision) for name, each in forms.items()]
    return measure(candidates, shape, runs, max_seconds, tell)
