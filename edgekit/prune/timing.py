"""Times single layers on this machine, as a backend runs them inside a network."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgekit.backends import DEFAULTS, backend
from edgekit.prune.probes import Probe, node_name, write_probes
from edgekit.prune.table import Timer

RUNS: Final = 15


def layer_timer(name: str, precision: str) -> Timer:
    """A timer of layers with a backend in a precision: int8, bf16 or fp32."""
    executing = backend(name)

    def time(probes: Sequence[Probe]) -> Sequence[float]:
        with tempfile.TemporaryDirectory(prefix="edgekit-probes-") as folder:
            graph = Path(folder) / "probes.onnx"
            write_probes(probes, graph, quantized=precision == "int8")
            layers = executing.profile(executing.compile(graph, Path(folder), precision, DEFAULTS), RUNS)
        took = {node_name(place): 0.0 for place in range(len(probes))}
        for layer in layers:
            name = layer.name.partition("/")[0]  # fused layers keep the first one's name before a slash
            if name in took:
                took[name] += layer.microseconds
        return list(took.values())

    return time
