"""Times single layers on this machine, as a backend runs them inside a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from edgekit.backends import DEFAULTS, backend
from edgekit.prune.probes import REFERENCE, Probe, node_name, relu_name, write_probes
from edgekit.prune.relative import Rounds
from edgekit.prune.table import Timer
from edgekit.temporary import temporary_folder

RUNS: Final = 15


def layer_timer(name: str, precision: str) -> Timer:
    """A timer of layers with a backend in a precision: int8, bf16 or fp32.

    The reference layers stand in the same graph, so that each run times them within milliseconds of the others.
    """
    executing = backend(name)

    def time(probes: Sequence[Probe]) -> Rounds:
        whole = [*REFERENCE, *probes]
        with temporary_folder() as folder:
            graph = folder / "probes.onnx"
            write_probes(whole, graph, quantized=precision == "int8")
            layers = executing.profile(executing.compile(graph, folder, precision, DEFAULTS), RUNS)
        took = np.zeros((RUNS, len(whole)), np.float64)
        # a convolution that its ReLU is fused with keeps the name of either
        places = {name: place for place in range(len(whole)) for name in (node_name(place), relu_name(place))}
        for layer in layers:
            place = places.get(layer.name.partition("/")[0])  # what was split keeps its name before a slash
            if place is not None:
                took[:, place] += layer.by_run if len(layer.by_run) == RUNS else layer.microseconds
        return Rounds(took[:, : len(REFERENCE)].sum(1), took[:, len(REFERENCE) :])

    return time
