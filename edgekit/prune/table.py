"""A table of what layers take on the target, in the precision that will run, over their channel counts.

Each layer is timed beside a reference, in the same runs, and kept as a ratio to it: a table that was made while the
clock fell, or in sessions of different clocks, is right up to a common scale: what the reference took in the median.

Points lie on one ladder of counts for all models, so that what was measured once on a device serves every network with
a layer of that geometry. Between them: steps in output channels are kept (counts are rounded up to the target's
granularity before they are looked up), the rest is linear.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from edgekit.json_files import json_file
from edgekit.prune.channels import ChannelGraph, Geometry
from edgekit.prune.probes import Probe
from edgekit.prune.relative import Rounds, scaled

OUTPUTS: Final = (4, 8, 16, 32, 48, 64, 80, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 1024, 1536, 2048)
GROUPS: Final = (1, 2, *OUTPUTS)
INPUTS: Final = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
"""Channel counts, and numbers of groups of grouped convolutions, at which layers are timed, as far as they reach."""

AT_ONCE: Final = 96
"""Probes in one graph: enough to spread what a graph costs, few enough to keep memory small."""

Timer = Callable[[Sequence[Probe]], Rounds]
"""Times some probes and the reference, turn by turn."""

Ratios = dict[str, float]
References = list[float]


@dataclass(frozen=True)
class LatencyTable:
    """Microseconds by probe, and how output channels are rounded up before a look-up."""

    times: Mapping[str, float]
    granularity: int

    def microseconds(self, geometry: Geometry, inputs: int, outputs: int) -> float:
        """What a layer takes, between the measured points; 0 for a layer without channels."""
        if inputs <= 0 or outputs <= 0:
            return 0.0
        if geometry.per_group is not None:
            into, out = geometry.per_group
            low, high, part = _around(_groups(geometry), outputs // out)
            return self._mixed((geometry, low * into, low * out), (geometry, high * into, high * out), part)
        low, high, part = _around(OUTPUTS, _rounded(outputs, self.granularity))
        first, last, along = _around(INPUTS, inputs)
        few = self._mixed((geometry, first, low), (geometry, first, high), part)
        many = self._mixed((geometry, last, low), (geometry, last, high), part)
        return few + (many - few) * along

    def _mixed(self, a: tuple[Geometry, int, int], b: tuple[Geometry, int, int], part: float) -> float:
        here, there = self.times[Probe(*a).key()], self.times[Probe(*b).key()]
        return here + (there - here) * part

    def total(self, graph: ChannelGraph, widths: Mapping[str, tuple[int, int]]) -> float:
        """Microseconds of all layers with these channels in and out; the order of layers does not matter."""
        return sum(
            self.microseconds(layer.geometry, *widths[layer.name])
            for layer in graph.layers.values()
            if layer.geometry is not None
        )


def _groups(geometry: Geometry) -> Sequence[int]:
    """Numbers of groups at which a grouped convolution is timed."""
    return OUTPUTS if geometry.depthwise else GROUPS


def _around(ladder: Sequence[int], count: int) -> tuple[int, int, float]:
    """The points below and above a count and how far it is between them (above 1 beyond the last)."""
    place = min(max(bisect_left(ladder, count), 1), len(ladder) - 1)
    low, high = ladder[place - 1], ladder[place]
    return low, high, max(0.0, (count - low) / (high - low))


def _rounded(count: int, granularity: int) -> int:
    """Up to a multiple of the granularity, beyond the first of them."""
    return -(-count // granularity) * granularity if count > granularity else count


def probes_for(graph: ChannelGraph, granularity: int) -> list[Probe]:
    """What must be timed to look up every layer of a network at any width up to its own."""
    reach: dict[Geometry, tuple[int, int]] = {}
    for layer in graph.layers.values():
        if layer.geometry is not None:
            inputs, outputs = reach.get(layer.geometry, (0, 0))
            reach[layer.geometry] = (max(inputs, len(layer.inputs)), max(outputs, len(layer.outputs)))
    found = []
    for geometry, (inputs, outputs) in reach.items():
        rows = _up_to(OUTPUTS, _rounded(outputs, granularity))
        if geometry.per_group is not None:
            into, out = geometry.per_group
            counts = rows if geometry.depthwise else _up_to(GROUPS, outputs // out)
            found += [Probe(geometry, count * into, count * out) for count in counts]
        else:
            found += [Probe(geometry, i, o) for i in _up_to(INPUTS, inputs) for o in rows]
    return found


def _up_to(ladder: Sequence[int], count: int) -> Sequence[int]:
    return ladder[: max(2, bisect_left(ladder, count) + 1)]


def measured(
    path: Path,
    probes: Iterable[Probe],
    time: Timer,
    granularity: int,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> LatencyTable:
    """The table in a file of the device, with what was missing timed now and written there.

    Args:
        path: one file a device, runtime and precision.
        time: times some probes on the target.
    """
    known, references = read(path)
    missing = [probe for probe in probes if probe.key() not in known]
    groups = [missing[first : first + AT_ONCE] for first in range(0, len(missing), AT_ONCE)]
    for done, group in enumerate(groups):
        on_progress(done * AT_ONCE, len(missing))
        rounds = time(group)
        known |= {probe.key(): each for probe, each in zip(group, rounds.ratios(), strict=True)}
        references.append(rounds.reference_us)
        _write(path, known, references)
    return LatencyTable(_monotone(scaled(known, references)), granularity)


def read(path: Path) -> tuple[Ratios, References]:
    """What a file holds: ratios by probe, and the reference's microseconds; nothing if it is damaged or not there."""
    try:
        told = json_file(path)
        ratios = {str(key): float(value) for key, value in told["ratios"].items()}
        return ratios, [float(each) for each in told["references_us"]]
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return {}, []


def _write(path: Path, known: Ratios, references: References) -> None:
    """Writes the file whole; what another process added meanwhile stays in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    there, of_others = read(path)
    whole = {"ratios": {**there, **known}, "references_us": max(references, of_others, key=len)}
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(whole, file, indent=0, sort_keys=True)
    with contextlib.suppress(FileNotFoundError):
        os.replace(partial, path)


def _monotone(times: Mapping[str, float]) -> dict[str, float]:
    """More outputs never take less: single points that a disturbance made slow are lowered to the next wider one's."""
    made = dict(times)
    rows: dict[tuple[str, int], list[int]] = {}
    for key in times:
        name, inputs, outputs = key.rsplit(":", 2)
        rows.setdefault((name, int(inputs)), []).append(int(outputs))
    for (of, taken), counts in rows.items():
        for fewer, more in reversed(list(pairwise(sorted(counts)))):
            here, wider = f"{of}:{taken}:{fewer}", f"{of}:{taken}:{more}"
            made[here] = min(made[here], made[wider])
    return made
