"""Latency of variants side by side: measured in one fresh process, interleaved, after each has become steady."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations, pairwise
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Compiled
from edgekit.devices.noise import MachineReading, TimingProcess
from edgekit.devices.timed import BenchAnswer, BenchConditions
from edgekit.errors import EdgekitError, UnavailableError
from edgekit.validate.faster import ratio, t95
from edgekit.validate.own_process import module_command
from edgekit.validate.quantiles import Bounds, Quantiles, bounds, distribution, median_bounds, surely

LOADING_SECONDS: Final = 300.0
"""What loading may take before the process is taken for stuck, beside three times what timing may."""

TAIL_BYTES: Final = 1 << 16
"""How much of what a process said on stderr is looked at."""


@dataclass(frozen=True)
class Candidate:
    """What is timed: a name, what edgekit.backends loads, and the shape of its input where it takes another."""

    name: str
    compiled: Compiled
    shape: tuple[int, int, int, int] | None = None


Figure = float | int | bool | tuple[float, float] | Bounds | Mapping[str, float] | Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one inference, batch 1, input in memory.

    Attributes:
        ci95: of the mean, from the means of blocks (single runs are not independent of each other).
        runs, warmup: how many were counted and how many came before.
        throughput_ips: images a second with as many requests in flight as the runtime likes.
        by_batch: the same by how many images are given at once, of networks that take several; None of others.
        steady: whether the medians of the last warm-up blocks agreed (edgekit.runtime.timing).
        p50_bounds, p99_bounds: lower and upper one, each of 95 %, whatever the distribution, of the medians of blocks
            and of runs; None for an end that so few of them do not bound (edgekit.validate.quantiles).
    """

    p50: float
    p90: float
    p99: float
    mean: float
    ci95: tuple[float, float]
    runs: int
    warmup: int
    throughput_ips: float
    steady: bool
    by_batch: Mapping[str, float] | None = None
    p50_bounds: Bounds | None = None
    p99_bounds: Bounds | None = None
    quantiles: Quantiles | None = None

    def within(self, budget_ms: float) -> bool | None:
        """Whether the median is known to be within a budget; None where its bounds cannot tell."""
        low, high = surely(self.p50, self.p50_bounds)
        return True if high <= budget_ms else False if low > budget_ms else None

    def as_dict(self) -> dict[str, Figure]:
        """Plain values, without what it has not."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Ratio:
    """How many times faster one is than another: the ratio of medians and its 95 % interval, paired by rounds."""

    base: str
    other: str
    times_faster: float
    low: float
    high: float


@dataclass(frozen=True)
class Conditions:
    """Under what power, temperatures and clocks latencies were measured; see edgekit.runtime.power.summary.

    Attributes:
        source: what power was read with; None where it could not be, and `why` says why.
        hottest_c: the highest reading of any sensor.
        throttled: None where that is not told.
        machine: as it was right before; process: how it was run that timed.
    """

    source: str | None = None
    why: str | None = None
    mean_power_w: float | None = None
    hottest_c: float | None = None
    throttled: bool | None = None
    throttle_reasons: tuple[str, ...] = ()
    power_mode: str | None = None
    machine: MachineReading | None = None
    process: TimingProcess | None = None

    @property
    def doubts(self) -> list[str]:
        """What makes latencies doubtful."""
        found = []
        if self.machine is not None and self.machine.verdict == "noisy":
            found.append(f"right before latencies were timed the machine was {self.machine.words}")
        if self.process is not None and self.process.doubts:
            found.append(f"while latencies were timed {'; '.join(self.process.doubts)}")
        if self.throttled:
            found.append(f"the device was throttled while it was measured: {'; '.join(self.throttle_reasons)}")
        return found


@dataclass(frozen=True)
class Measured:
    """Latencies by name, and how they compare.

    Attributes:
        ratios: of every pair of them.
        energy_j: joules of one image by name, None where no power could be read.
        conditions: None where nothing was timed.
        why: why nothing was timed; None where something was.
    """

    latency: dict[str, Latency] = field(default_factory=dict)
    ratios: tuple[Ratio, ...] = ()
    warnings: tuple[str, ...] = ()
    energy_j: dict[str, float | None] = field(default_factory=dict)
    conditions: Conditions | None = None
    why: str | None = None

    def ratio(self, base: str, other: str) -> Ratio | None:
        """How many times faster `other` is than `base`; None where one of them was not timed."""
        for each in self.ratios:
            if (each.base, each.other) == (base, other):
                return each
            if (each.base, each.other) == (other, base):
                return Ratio(base, other, 1 / each.times_faster, 1 / each.high, 1 / each.low)
        return None


def measure(
    candidates: Sequence[Candidate],
    shape: tuple[int, int, int, int],
    runs: int = 200,
    max_seconds: float = 90.0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Times the candidates in a process of their own, which loads nothing else.

    Args:
        shape: of the uint8 input, (1, H, W, 3).
        runs: timed runs of each, fewer if max_seconds end before.
        on_progress: called with rounds done and rounds in all.
    Raises:
        UnavailableError: the process was killed.
        EdgekitError: it failed.
    """
    told = timed_apart(candidates, shape, runs, max_seconds, on_progress)
    return summed_up(BenchAnswer.of(told))


def timed_apart(
    candidates: Sequence[Candidate],
    shape: tuple[int, int, int, int],
    runs: int,
    max_seconds: float,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    latency_alone: bool = False,
) -> Any:
    """What edgekit.validate.latency_worker says at its end, as JSON has it; see `measure`.

    Args:
        latency_alone: of single pictures, without throughput and power.
    Raises:
        UnavailableError: the process was killed.
        EdgekitError: it failed.
    """
    spec = {
        "candidates": [asdict(each) for each in candidates],
        "shape": list(shape),
        "runs": runs,
        "max_seconds": max_seconds,
    }
    answers: list[Any] = []

    def hear(line: str) -> None:
        told = json.loads(line)
        if "done" in told:
            on_progress(told["done"], told["total"])
        else:
            answers.append(told)

    worker = module_command("edgekit.validate.latency_worker", *(["--latency-alone"] if latency_alone else []))
    code, last = converse(worker, json.dumps(spec), max_seconds * 3 + LOADING_SECONDS, hear)
    if code < 0:
        raise UnavailableError(
            f"the timing process was killed by {signal.Signals(-code).name}",
            "A lack of memory can be why. What is finished is kept: the same command goes on from there.",
        )
    if code != 0 or not answers:
        why = last or f"exit code {code}"
        raise EdgekitError(f"the timing process failed: {why[:200]}", "A lack of memory can be why.")
    return answers[-1]


def converse(command: Sequence[str], given: str, limit_s: float, on_line: Callable[[str], None]) -> tuple[int, str]:
    """Runs a process of this Python's path: gives it text on stdin, and hears each line of its stdout as it comes.

    Args:
        limit_s: it is killed after that many seconds.
    Returns:
        its exit code (negative: the signal that ended it) and the last line that it said on stderr, if any.
    """
    # Files, and no pipes: a pipe that nobody reads meanwhile is full after 64 kB, and stops the process.
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(given.encode())
        stdin.seek(0)
        process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        )
        assert process.stdout is not None
        watch = threading.Timer(limit_s, process.kill)
        watch.daemon = True  # whatever ends this process, it does not stay for the limit
        try:  # a signal that comes while the watch begins ends it, too
            watch.start()
            for line in process.stdout:
                on_line(line)
        except BaseException:
            process.kill()
            raise
        finally:
            watch.cancel()
            process.stdout.close()
            process.wait()
        return process.returncode, _last_line(stderr)


def _last_line(file: BinaryIO) -> str:
    """The last line with something in it; of a long text only the end is read."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
    said = file.read().decode("utf-8", "replace").strip()
    return said.splitlines()[-1] if said else ""


def summed_up(answer: BenchAnswer) -> Measured:
    """What was timed, as figures."""
    latency, blocks = {}, {}
    for name, each in answer.timed.items():
        blocks[name] = np.array(each.blocks, np.float64)
        made = figures(blocks[name], each.warmup, each.throughput_ips, each.steady)
        latency[name] = replace(made, by_batch=each.by_batch)
    ratios = tuple(Ratio(a, b, *ratio(blocks[a], blocks[b])) for a, b in combinations(blocks, 2))
    energy = {name: each.energy_j for name, each in answer.timed.items()}
    conditions = _conditions(answer.conditions)
    return Measured(latency, ratios, (*_doubts(latency, blocks), *conditions.doubts), energy, conditions)


def _conditions(told: BenchConditions) -> Conditions:
    return Conditions(
        told.source,
        told.why,
        told.mean_power_w,
        told.hottest_c,
        told.throttled,
        told.throttle_reasons,
        told.power_mode,
        told.machine,
        told.process,
    )


def figures(blocks: NDArray[np.float64], warmup: int, throughput_ips: float, steady: bool) -> Latency:
    """Percentiles over all runs of (rounds, runs a block) milliseconds, the mean and its interval over the blocks."""
    whole, means = blocks.ravel(), blocks.mean(1)
    mean = float(means.mean())
    ends = float(whole.min()), float(whole.max())  # of one block nothing narrower is known
    if len(means) > 1:
        half = t95(len(means) - 1) * float(means.std(ddof=1)) / math.sqrt(len(means))
        ends = mean - half, mean + half
    p50, p90, p99 = (float(value) for value in np.percentile(whole, (50, 90, 99)))
    ordered = [float(each) for each in np.sort(whole)]
    return Latency(
        p50, p90, p99, mean, ends, whole.size, warmup, throughput_ips, steady,
        p50_bounds=median_bounds(blocks), p99_bounds=bounds(ordered, 0.99), quantiles=distribution(ordered),
    )  # fmt: skip


def _doubts(latency: Mapping[str, Latency], blocks: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """What makes the figures doubtful: variants that cannot be told apart, or never became steady."""
    doubts = [f"{name} did not become steady while it warmed up" for name, each in latency.items() if not each.steady]
    names = sorted(latency, key=lambda name: latency[name].p50)
    for fast, slow in pairwise(names):
        _, low, _ = ratio(blocks[slow], blocks[fast])
        if low <= 1.0:
            doubts.append(
                f"this machine is too noisy to tell the latencies of {fast} and {slow} apart"
                f" (p50 {latency[fast].p50:.2f} and {latency[slow].p50:.2f} ms)"
            )
    return doubts
