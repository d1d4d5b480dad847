"""Under what conditions latencies were measured: what else the machine did, and how the process was run that timed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from edgekit.report.fields import Amount, Count, Part, Positive


class EqualWork(Part):
    """The same piece of work, timed over and over for half a second."""

    runs: Positive
    median_ms: Amount
    spread_percent: float = Field(description="By how much the 95th percentile is above the median.")
    drift_percent: float = Field(description="By how much the second half is slower than the first.")


class Machine(Part):
    """Whether the machine was fit to be measured; what it does not tell is null, and named in `not_read`."""

    verdict: Literal["quiet", "noisy", "unknown"]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = Field(description="What decides latencies without being noise.")
    not_read: tuple[str, ...]
    looked_s: Amount
    waited_s: Amount | None = Field(None, description="Until it was quiet, where that was asked for.")
    load: Amount | None = Field(description="Average of the last minute.")
    running: Count | None = Field(description="Threads that wanted to run.")
    others: Amount | None = Field(description="Processors' worth of time that other programs took.")
    stolen_percent: Amount | None = Field(description="Of its time, that the host of a virtual machine took.")
    governors: tuple[str, ...]
    clocks_mhz: tuple[Amount, Amount] | None = Field(description="The slowest and the fastest.")
    equal_work: EqualWork


class TimingProcess(Part):
    """The process that timed, and what others did meanwhile."""

    cpus: tuple[Count, ...] | None = Field(description="Numbers of the logical processors that it might run on.")
    machine_cpus: Positive
    sharing: Count | None = Field(description="Of them, that share a core with another one.")
    threads: Mapping[str, Positive | None] | None = Field(None, description="That compute one picture, by network.")
    others: Amount | None = Field(description="Processors' worth of time that other programs took meanwhile.")
    stolen_percent: Amount | None


class Conditions(Part):
    """`before_build` is absent where all stages came from the store."""

    before_build: Machine | None = None
    before_timing: Machine | None = None
    timing_process: TimingProcess | None = None
