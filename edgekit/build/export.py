"""The stage that writes a network as an ONNX graph."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from edgekit.build.stage import File, Progress, Stage, kept_file
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import Source
from edgekit.size import Size

GRAPH: Final = "model.onnx"
FACTS: Final = "facts.json"


@dataclass(frozen=True)
class ExportInput:
    """A network, and the size of the images that it is shown."""

    source: Source
    size: Size


@dataclass(frozen=True)
class Exported:
    """A float32 graph with batch 1, and its facts."""

    graph: File
    facts: GraphFacts


def _make(given: ExportInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.models.export import export

    told: list[str] = []
    facts = export(given.source, given.size, folder / GRAPH, told.append)
    write_facts(folder, facts)
    return (*told, *facts.notes)


def write_facts(folder: Path, facts: GraphFacts) -> None:
    """Keeps the facts of a graph beside it."""
    (folder / FACTS).write_text(json.dumps(asdict(facts)), encoding="utf-8")


def read_exported(folder: Path) -> Exported:
    """What a stage kept that exports a network."""
    facts = GraphFacts.from_dict(json.loads((folder / FACTS).read_text(encoding="utf-8")))
    return Exported(kept_file(folder, GRAPH), facts)


EXPORT: Final = Stage("export", ("torch", "onnx", "onnxscript", "onnx-ir", "onnxruntime"), _make, read_exported)
