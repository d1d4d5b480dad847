"""Times single layers on this machine, as a backend runs them inside a network."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgekit.backends import DEFAULTS, backend
from edgekit.prune.probes import Probe, node_name, relu_name, write_probes
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
        took = [0.0] * len(probes)
        # a convolution that its ReLU is fused with keeps the name of either
        places = {name: place for place in range(len(probes)) for name in (node_name(place), relu_name(place))}
        for layer in layers:
            place = places.get(layer.name.partition("/")[0])  # what was split keeps its name before a slash
            if place is not None:
                took[place] += layer.microseconds
        return took

    return time
