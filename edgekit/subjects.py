"""What evaluate, bench, quantize and compile work on: a model, a bundle or an ONNX file, made ready to run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.bundle import MANIFEST, check_bundle, read_manifest
from edgekit.compile import Compiled
from edgekit.data.preprocessing import Preprocessing
from edgekit.errors import InputError
from edgekit.models.source import Source, resolve
from edgekit.recipe import Recipe
from edgekit.stages import Event, Run, export_graph, read_json
from edgekit.store import Entry, Store, file_sha256


@dataclass(frozen=True)
class Subject:
    """A classifier that is ready to run.

    Attributes:
        classes: 0 when unknown; default_data: what it was trained on, if edgekit has it.
    """

    name: str
    compiled: Compiled
    preprocessing: Preprocessing
    height: int
    width: int
    classes: int
    default_data: str | None


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
    if path.is_dir() or path.name == MANIFEST:
        if precision is not None:
            raise InputError("a bundle has its own precision", "Leave --precision out.")
        return _from_bundle(path.parent if path.name == MANIFEST else path)
    if path.suffix == ".onnx" and path.is_file() and _is_ours(path):
        return _from_quantized(path, recipe, store)
    source, exported = export_source(recipe, store, on_event)
    return _from_source(source, exported, precision or "fp32", store)


def export_source(
    recipe: Recipe, store: Store, on_event: Callable[[Event], None] = lambda event: None
) -> tuple[Source, Entry]:
    """The network of a recipe and its exported float32 graph, from the store if it is there."""
    source = resolve(recipe)
    return source, export_graph(Run(recipe, source, store, ("fp32",), on_event))


def _from_bundle(directory: Path) -> Subject:
    problems = check_bundle(directory)
    if problems:
        raise InputError(f"the bundle {directory} is damaged: {problems[0]}", "Build it again.")
    told = read_manifest(directory)
    xml, model = directory / "model.xml", told["model"]
    size = xml.stat().st_size + xml.with_suffix(".bin").stat().st_size
    _, height, width, _ = told["input"]["shape"]
    preprocessing = _preprocessing(told["preprocessing"])
    compiled = Compiled("openvino", str(xml), told["precision"], size)
    data = "signs" if model["tag"] == "signs" else None
    return Subject(directory.name, compiled, preprocessing, height, width, model["classes"], data)


def _preprocessing(told: dict[str, Any]) -> Preprocessing:
    plain: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in told.items()}
    return Preprocessing(**plain)


def _is_ours(path: Path) -> bool:
    """Whether an ONNX file takes raw pixels, as those that edgekit writes."""
    from edgekit.models.onnx_graph import takes_pixels

    return takes_pixels(path)


def _from_quantized(path: Path, recipe: Recipe, store: Store) -> Subject:
    from edgekit.models.onnx_graph import pixel_facts

    size, classes, quantized = pixel_facts(path)
    precision = "int8" if quantized else "fp32"
    compiled = _compiled(path, precision, file_sha256(path), store)
    told = {key: value for key, value in recipe.preprocessing.model_dump().items() if value is not None}
    return Subject(path.stem, compiled, Preprocessing(**{**told, "size": size}), size, size, classes, None)


def _from_source(source: Source, exported: Entry, precision: str, store: Store) -> Subject:
    facts = read_json(exported.path / "facts.json")

    def make(into: Path) -> None:
        import onnx

        from edgekit.models.onnx_graph import with_preprocessing

        graph = onnx.load(str(exported.path / "model.onnx"))
        onnx.save(with_preprocessing(graph, source.preprocessing), str(into / "fp32.onnx"))

    key = store.key("prepare", {"graph": exported.path.name, "preprocessing": source.preprocessing.as_dict()})
    graph = store.build(key, "prepare", make).path / "fp32.onnx"
    compiled = _compiled(graph, precision, key, store)
    data = source.default_data
    shape = facts["height"], facts["width"]
    return Subject(source.name, compiled, source.preprocessing, *shape, facts["classes"], data)


def _compiled(graph: Path, precision: str, identity: str, store: Store) -> Compiled:
    from edgekit.compile import openvino

    def make(into: Path) -> None:
        made = openvino.compile(graph, into, precision)
        (into / "compiled.json").write_text(json.dumps({"size_bytes": made.size_bytes}))

    key = store.key("prepare-compiled", {"graph": identity, "precision": precision})
    path = store.build(key, "compile", make).path
    return Compiled("openvino", str(path / "model.xml"), precision, read_json(path / "compiled.json")["size_bytes"])
