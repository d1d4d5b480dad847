"""Latencies of several networks once more, side by side: in several fresh processes, in each of them interleaved.

Where a process happens to put weights and buffers makes one of two equal networks a percent or two faster for as long
as it runs, so that what repeats is the process: the interval is Student's over their ratios (Kalibera and Jones,
Rigorous benchmarking in reasonable time, 2013).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.devices.noise import TimingProcess
from edgekit.runtime.timing import BLOCK
from edgekit.validate.faster import t95
from edgekit.validate.latency import Candidate, timed_apart
from edgekit.validate.quantiles import Bounds, median_bounds
from edgekit.validate.sequential import Outcome

PROCESSES: Final = 5
LEAST_RUNS: Final = 3 * BLOCK
"""Of a network in one process."""


@dataclass(frozen=True)
class Slower:
    """How many times as long a network takes as the first one, and the 95 % interval of that."""

    times: float
    ci95: tuple[float, float]

    def outcome(self, limit: float) -> Outcome:
        """Whether it is known to take at most so many times as long."""
        low, high = self.ci95
        return "met" if high <= limit else "missed" if low > limit else "undecided"


@dataclass(frozen=True)
class Timed:
    """Median of one network, ms, over all processes, and its bounds as in edgekit.validate.latency."""

    p50: float
    p50_bounds: Bounds
    runs: int


@dataclass(frozen=True)
class SideBySide:
    """What was timed, by name; `slower` is of all but the first."""

    timed: Mapping[str, Timed]
    slower: Mapping[str, Slower]
    processes: int
    warnings: tuple[str, ...] = field(default=())


def side_by_side(
    candidates: Sequence[Candidate],
    shape: tuple[int, int, int, int],
    runs: int = 200,
    max_seconds: float = 90.0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> SideBySide:
    """Times the candidates at batch 1; the first is what the others are compared with.

    Args:
        shape: of the uint8 input, (1, H, W, 3).
        runs: timed runs of each, over all processes, fewer if max_seconds end before.
        on_progress: called with processes done and processes in all.
    Raises:
        UnavailableError: a process was killed.
        EdgekitError: one failed.
    """
    blocks: dict[str, list[NDArray[np.float64]]] = {each.name: [] for each in candidates}
    doubts = dict[str, None]()
    for done in range(PROCESSES):
        shift = done % len(candidates)
        turned = [*candidates[shift:], *candidates[:shift]]
        each_runs = max(LEAST_RUNS, -(-runs // PROCESSES))
        told = timed_apart(turned, shape, each_runs, max_seconds / PROCESSES, latency_alone=True)
        for name, times in told["times"].items():
            blocks[name].append(np.array(times["blocks"], np.float64))
            if not times["steady"]:
                doubts[f"{name} did not become steady while it warmed up"] = None
        if told["throttled"]:
            doubts[f"this machine was throttled while it was measured: {told['throttled']}"] = None
        for each in TimingProcess.model_validate(told["process"]).doubts:
            doubts[f"while process {done + 1} of {PROCESSES} timed {each}"] = None
        on_progress(done + 1, PROCESSES)
    names = list(blocks)
    slower = {name: slower_than(blocks[names[0]], blocks[name]) for name in names[1:]}
    return SideBySide({name: _timed(each) for name, each in blocks.items()}, slower, PROCESSES, tuple(doubts))


def slower_than(first: Sequence[NDArray[np.float64]], other: Sequence[NDArray[np.float64]]) -> Slower:
    """How many times as long `other` takes, from the milliseconds of both in each of several processes.

    Of a process it is the median over the rounds, in each of which both had their turn: what slows the machine for a
    while slows both.

    Args:
        first, other: of each process (rounds, runs a block).
    Raises:
        ValueError: of fewer than two processes.
    """
    ratios = [math.log(float(np.median(np.median(b, 1) / np.median(a, 1)))) for a, b in zip(first, other, strict=True)]
    if len(ratios) < 2:
        raise ValueError("of one process no interval can be told")
    middle, half = fmean(ratios), t95(len(ratios) - 1) * stdev(ratios) / math.sqrt(len(ratios))
    return Slower(math.exp(middle), (math.exp(middle - half), math.exp(middle + half)))


def _timed(blocks: Sequence[NDArray[np.float64]]) -> Timed:
    whole = np.concatenate(blocks)
    return Timed(float(np.median(whole)), median_bounds(whole), whole.size)
