"""What evaluate, bench, quantize and compile work on: a model, a bundle or an ONNX file, made ready to run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.backends import Compiled
from edgekit.build.stages import Event, Run, export_graph, fetching, read_json
from edgekit.bundle.directory import MANIFEST, check_bundle, read_manifest
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models.source import Source, resolve
from edgekit.quantize.graph_format import GraphFormat, format_for
from edgekit.recipe import Recipe
from edgekit.store import Entry, Store, file_sha256


@dataclass(frozen=True)
class Subject:
    """A classifier that is ready to run.

    Attributes:
        classes: 0 when unknown; default_data: what it was trained on, if edgekit has it.
        network: its name in the registry of models; None when it is of none.
    """

    name: str
    compiled: Compiled
    preprocessing: Preprocessing
    height: int
    width: int
    classes: int
    default_data: str | None
    network: str | None = None


def prepare(
    recipe: Recipe, precision: str | None, store: Store, on_event: Callable[[Event], None] = lambda event: None
) -> Subject:
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
    if path.suffix == ".onnx" and path.is_file() and _is_ours(path):
        return _from_quantized(path, recipe, store)
    source, exported = export_source(recipe, store, on_event)
    return _from_source(source, exported, precision or "fp32", store)


def is_bundle(recipe: Recipe) -> bool:
    """Whether the model is a bundle, by its directory or its manifest."""
    path = Path(recipe.model)
    return path.is_dir() or path.name == MANIFEST


def export_source(
    recipe: Recipe, store: Store, on_event: Callable[[Event], None] = lambda event: None
) -> tuple[Source, Entry]:
    """The network of a recipe and its exported float32 graph, from the store if it is there."""
    source = resolve(recipe, fetching(on_event))
    return source, export_graph(Run(recipe, source, store, ("fp32",), on_event))


def of_bundle(directory: Path) -> Subject:
    """A bundle as it runs on this processor.

    Raises:
        InputError: it is none, or damaged.
    """
    problems = check_bundle(directory)
    if problems:
        raise InputError(f"the bundle {directory} is damaged: {problems[0]}", "Build it again.")
    told = read_manifest(directory)
    model = told["model"]
    _, height, width, _ = told["input"]["shape"]
    preprocessing = _preprocessing(told["preprocessing"])
    compiled = _of_bundle(directory, told)
    data = "signs" if model["tag"] == "signs" else None
    network = None if model["tag"] is None else model.get("name")
    return Subject(directory.name, compiled, preprocessing, height, width, model["classes"], data, network)


def _of_bundle(directory: Path, told: dict[str, Any]) -> Compiled:
    """What of a bundle runs on this processor: its OpenVINO form, or the graph that a GPU's engine is made of."""
    xml, graph = directory / "model.xml", directory / "model.onnx"
    if xml.exists():
        size = xml.stat().st_size + xml.with_suffix(".bin").stat().st_size
        return Compiled("openvino", str(xml), told["precision"], size)
    return Compiled("onnxruntime", str(graph), told["precision"], graph.stat().st_size)


def _preprocessing(told: dict[str, Any]) -> Preprocessing:
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
    return Preprocessing(**plain)


def _is_ours(path: Path) -> bool:
    """Whether an ONNX file takes raw pixels, as those that edgekit writes."""
    from edgekit.models.onnx_graph import takes_pixels

    return takes_pixels(path)


def _from_quantized(path: Path, recipe: Recipe, store: Store) -> Subject:
    from edgekit.models.onnx_graph import pixel_facts

    facts = pixel_facts(path)
    precision = "int8" if facts.quantized else "fp32"
    if facts.for_tensorrt:  # see edgekit.backends.onnxruntime for why not OpenVINO
        compiled = Compiled("onnxruntime", str(path), precision, path.stat().st_size)
    else:
        compiled = _compiled(path, precision, file_sha256(path), store)
    told = {key: value for key, value in recipe.preprocessing.model_dump().items() if value is not None}
    preprocessing = Preprocessing(**{**told, "size": facts.size})
    return Subject(path.stem, compiled, preprocessing, facts.size, facts.size, facts.classes, None)


def _from_source(source: Source, exported: Entry, precision: str, store: Store) -> Subject:
    facts = read_json(exported.path / "facts.json")
    graph, key = _graph(source, exported, precision, format_for(None), store)
    compiled = _compiled(graph, precision, key, store)
    data = source.default_data
    shape = facts["height"], facts["width"]
    network = source.name if source.kind == "registry" else None
    return Subject(source.name, compiled, source.preprocessing, *shape, facts["classes"], data, network)


def graph_for(
    recipe: Recipe,
    precision: str | None,
    form: GraphFormat,
    store: Store,
    on_event: Callable[[Event], None] = lambda event: None,
) -> tuple[Path, str]:
    """The graph of `recipe.model` that a compiler takes, and its precision; a graph of edgekit's own as it is.

    Raises:
        InputError: there is no such model, or its graph is not in the form that the target wants.
    """
    path = Path(recipe.model)
    if path.suffix == ".onnx" and path.is_file() and _is_ours(path):
        from edgekit.models.onnx_graph import pixel_facts, read_onnx
        from edgekit.quantize.rules import check

        if form.signed:
            check(read_onnx(path), form.opset)
        return path, "int8" if pixel_facts(path).quantized else "fp32"
    source, exported = export_source(recipe, store, on_event)
    precision = precision or "fp32"
    return _graph(source, exported, precision, form, store)[0], precision


def _graph(source: Source, exported: Entry, precision: str, form: GraphFormat, store: Store) -> tuple[Path, str]:
    """The graph of a precision with preprocessing inside, and its key in the store."""
    name = "fp32" if precision == "bf16" else precision

    def make(into: Path) -> None:
        from edgekit.quantize.graphs import write_graph

        write_graph(exported.path / "model.onnx", None, into / "graph.onnx", name, source.preprocessing, form)

    told = {"graph": exported.path.name, "preprocessing": source.preprocessing.as_dict()}
    key = store.key("prepare", {**told, "precision": name, "form": form.as_dict()})
    return store.build(key, "prepare", make).path / "graph.onnx", key


def _compiled(graph: Path, precision: str, identity: str, store: Store) -> Compiled:
    from edgekit.backends import openvino

    def make(into: Path) -> None:
        made = openvino.compile(graph, into, precision)
        (into / "compiled.json").write_text(json.dumps({"size_bytes": made.size_bytes}))

    key = store.key("prepare-compiled", {"graph": identity, "precision": precision})
    path = store.build(key, "compile", make).path
    return Compiled("openvino", str(path / "model.xml"), precision, read_json(path / "compiled.json")["size_bytes"])
