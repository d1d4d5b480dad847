"""Classifiers that are ready to run: what verbs for one stage make of a model, a bundle or a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgekit.backends import DEFAULTS, Compiled, backend
from edgekit.backends.openvino_plugin import backend_here
from edgekit.build.compile import COMPILE, CompileInput, CompileTask
from edgekit.build.export import EXPORT, Exported, ExportInput
from edgekit.build.referee import IMAGES as REFEREE_IMAGES
from edgekit.build.referee import checked_runtime
from edgekit.build.runner import Listener, Runner, fetching, nobody
from edgekit.build.stage import File
from edgekit.build.with_pixels import WITH_PIXELS, PixelsInput
from edgekit.bundle.directory import MANIFEST, require_whole
from edgekit.bundle.manifest import Manifest, Output
from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs_set import SignsSet
from edgekit.errors import InputError
from edgekit.models.source import Source, resolve
from edgekit.models.told_input import told_input
from edgekit.quantize.graph_format import GraphFormat, sums_of
from edgekit.recipe import Recipe
from edgekit.runtime.processor import what_differs
from edgekit.store import Store, file_sha256
from edgekit.targets import this_machine
from edgekit.validate.question import Question, question_of

HERE: Final = ("openvino", "onnxruntime")
"""Backends that run what is not a bundle: the first, or the next where that computes a network otherwise."""

CLASSIFY: Final = Question()
"""How outputs are read where a bundle says nothing of them."""


@dataclass(frozen=True)
class Runnable:
    """A classifier that is ready to run.

    Attributes:
        classes: 0 when unknown; default_data: what it was trained on, if edgekit has it.
        network: its name in the registry of models; None when it is of none.
        question: how its outputs are read; notes: what the user should know of it.
    """

    name: str
    compiled: Compiled
    preprocessing: Preprocessing
    height: int
    width: int
    classes: int
    default_data: str | None
    network: str | None = None
    question: Question = CLASSIFY
    notes: tuple[str, ...] = ()


def prepare(recipe: Recipe, precision: str | None, store: Store, on_event: Listener = nobody) -> Runnable:
    """Makes `recipe.model` ready: a bundle as it is, anything else exported and compiled for this processor.

    Args:
        precision: fp32 or bf16, for what is not quantized; fp32 by default.
    Raises:
        InputError: there is no such model, or it cannot be read.
    """
    path = Path(recipe.model)
    if is_bundle(recipe):
        if precision is not None:
            raise InputError("a bundle has its own precision", "Leave --precision out.")
        return of_bundle(path.parent if path.name == MANIFEST else path)
    run = Runner(store, on_event)
    if path.suffix == ".onnx" and path.is_file() and _takes_pixels(path):
        return _of_graph(path, recipe, run)
    source, exported = export_source(recipe, run)
    return _of_source(recipe, source, exported, precision or "fp32", run)


def is_bundle(recipe: Recipe) -> bool:
    """Whether the model is a bundle, by its directory or its manifest."""
    path = Path(recipe.model)
    return path.is_dir() or path.name == MANIFEST


def export_source(recipe: Recipe, run: Runner) -> tuple[Source, Exported]:
    """The network of a recipe and its exported float32 graph, from the store if it is there."""
    source = resolve(recipe, fetching(run.listener))
    return source, run(EXPORT, ExportInput(source, source.preprocessing.size))


def of_bundle(directory: Path) -> Runnable:
    """A bundle as it runs on this machine.

    Raises:
        InputError: it is none, or damaged.
    """
    manifest = require_whole(directory)
    model = manifest.model
    _, height, width, _ = manifest.input.shape
    data = "signs" if model.tag == "signs" else None
    network = None if model.tag is None else model.name
    compiled, notes = compiled_of_bundle(directory, manifest)
    question = CLASSIFY if manifest.output is None else _question(manifest.output)
    needs = None if manifest.arithmetic is None else manifest.arithmetic.model_dump()
    differs = what_differs(needs, compiled.backend)
    notes += () if differs is None else (differs,)
    how = manifest.preprocessing
    return Runnable(directory.name, compiled, how, height, width, model.classes, data, network, question, notes)


def _question(output: Output) -> Question:
    return Question(output.task, output.activation, output.threshold)


def compiled_of_bundle(directory: Path, manifest: Manifest) -> tuple[Compiled, tuple[str, ...]]:
    """What of a bundle runs on this machine, and what must be said of that.

    It is the form for OpenVINO, on the device that it was built for where that is here, or the graph that an engine is
    made of, on the processor.
    """
    xml, graph = directory / "model.xml", directory / "model.onnx"
    if xml.exists():
        size = xml.stat().st_size + xml.with_suffix(".bin").stat().st_size
        name, notes = backend_here(manifest.target.plugin)
        return Compiled(name, str(xml), manifest.precision, size), notes
    return Compiled("onnxruntime", str(graph), manifest.precision, graph.stat().st_size), ()


def _takes_pixels(path: Path) -> bool:
    """Whether an ONNX file takes raw pixels, as those that edgekit writes."""
    from edgekit.models.onnx_graph import takes_pixels

    return takes_pixels(path)


def _of_graph(path: Path, recipe: Recipe, run: Runner) -> Runnable:
    from edgekit.models.onnx_graph import pixel_facts

    facts = pixel_facts(path)
    precision = "int8" if facts.quantized else "fp32"
    if facts.for_tensorrt:  # see edgekit.backends.onnxruntime for why not OpenVINO
        compiled = Compiled("onnxruntime", str(path), precision, path.stat().st_size)
    else:
        compiled = _compiled(File(path, file_sha256(path)), precision, run)
    preprocessing = replace(told_input(Preprocessing(), recipe.preprocessing), size=facts.size)
    question = question_of(recipe.task or "classify", recipe.output.activation, "none", recipe.threshold)
    notes = saturates_here(path, compiled.backend) if facts.quantized else ()
    return Runnable(
        path.stem, compiled, preprocessing, *facts.size, facts.classes, None, question=question, notes=notes
    )


def saturates_here(graph: Path, backend_name: str) -> tuple[str, ...]:
    """What a user should know of an INT8 graph whose sums a backend cannot hold on this processor."""
    if sums_of(backend_name, this_machine()) == "exact":
        return ()
    from edgekit.models.onnx_graph import load
    from edgekit.quantize.sums import saturating

    names = saturating(load(graph))
    if not names:
        return ()
    why = "this processor has no VNNI, and OpenVINO adds INT8 products in 16 bits: the sums of"
    return (f"{why} {len(names)} layers may saturate ({names[0]} first); quantize the float model here",)


def _of_source(recipe: Recipe, source: Source, exported: Exported, precision: str, run: Runner) -> Runnable:
    source, exported, runtime = _checked(source, exported, precision, run)
    facts = exported.facts
    graph = _graph(source, exported, precision, backend(runtime).graph_format(None), run)
    network = source.name if source.kind == "registry" else None
    task = recipe.task or source.task
    return Runnable(
        source.name,
        _compiled(graph, precision, run, runtime),
        source.preprocessing,
        facts.height,
        facts.width,
        facts.classes,
        source.default_data,
        network,
        question_of(task, recipe.output.activation, facts.activation, recipe.threshold),
        tuple(run.warnings),
    )


def _checked(source: Source, exported: Exported, precision: str, run: Runner) -> tuple[Source, Exported, str]:
    """A network of others with a backend that computes it as it came, shown some rendered signs; the own as they are.

    Raises:
        UnavailableError: no backend computes it so.
    """
    if source.kind == "registry" and source.task == "classify":
        return source, exported, HERE[0]
    able = [name for name in HERE if precision in backend(name).PRECISIONS]
    return checked_runtime(source, exported, able, SignsSet("calibration", REFEREE_IMAGES), run)


def graph_for(
    recipe: Recipe, precision: str | None, graph_format: GraphFormat, store: Store, on_event: Listener = nobody
) -> tuple[Path, str]:
    """The graph of `recipe.model` that a compiler takes, and its precision; a graph of edgekit's own as it is.

    Raises:
        InputError: there is no such model, or its graph is not in the form that the target wants.
    """
    path = Path(recipe.model)
    if path.suffix == ".onnx" and path.is_file() and _takes_pixels(path):
        from edgekit.models.onnx_file import read_onnx
        from edgekit.models.onnx_graph import pixel_facts
        from edgekit.quantize.rules import check

        if graph_format.signed:
            check(read_onnx(path), graph_format)
        return path, "int8" if pixel_facts(path).quantized else "fp32"
    run = Runner(store, on_event)
    source, exported = export_source(recipe, run)
    precision = precision or "fp32"
    return _graph(source, exported, precision, graph_format, run).path, precision


def _graph(source: Source, exported: Exported, precision: str, graph_format: GraphFormat, run: Runner) -> File:
    name = "fp32" if precision == "bf16" else precision
    return run(WITH_PIXELS, PixelsInput(exported.graph, name, source.preprocessing, graph_format))


def _compiled(graph: File, precision: str, run: Runner, runtime: str = HERE[0]) -> Compiled:
    identity = backend(runtime).identity(this_machine())
    task = CompileTask("model", precision, runtime, identity, graph)
    return run(COMPILE, CompileInput((task,), DEFAULTS))["model"].compiled
