"""What of a graph's INT8 weights was widened to fit into 16 bits, as it is kept beside the graph; light to read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Widened:
    """What keeps an INT8 graph from saturating.

    Attributes:
        layers: with INT8 weights whose products are added up in pairs; channels: their outputs.
        widened_layers, widened_channels: of those, the ones with wider scales.
        largest_factor: by which a scale is wider; 1 where none is.
    """

    layers: int
    channels: int
    widened_layers: int
    widened_channels: int
    largest_factor: float


def write_widened(told: Widened, graph: Path) -> None:
    """Writes it beside a graph."""
    _beside(graph).write_text(json.dumps(asdict(told)), encoding="utf-8")


def read_widened(graph: Path) -> Widened | None:
    """What is kept beside a graph; None where nothing had to fit."""
    path = _beside(graph)
    return Widened(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _beside(graph: Path) -> Path:
    return graph.with_suffix(".sums.json")
