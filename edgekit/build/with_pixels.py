"""The stage that puts preprocessing inside a float graph, for verbs that work on one network alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgekit.build.stage import File, Progress, Stage, kept_file
from edgekit.data.preprocessing import Preprocessing
from edgekit.quantize.graph_format import GraphFormat

GRAPH: Final = "graph.onnx"


@dataclass(frozen=True)
class PixelsInput:
    """A float graph, and the precision, preprocessing and format of the graph that is made of it."""

    core: File
    precision: str
    preprocessing: Preprocessing
    graph_format: GraphFormat


def _make(given: PixelsInput, folder: Path, progress: Progress) -> Sequence[str]:
    from edgekit.quantize.graphs import write_graph

    write_graph(given.core.path, None, folder / GRAPH, given.precision, given.preprocessing, given.graph_format)
    return ()


WITH_PIXELS: Final = Stage("prepare", ("onnx", "onnx-ir"), _make, lambda folder: kept_file(folder, GRAPH))
"""The graph of a precision with preprocessing inside."""
