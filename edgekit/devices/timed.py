"""What edgekit.runtime.timing.bench answers in JSON: from a device, or from the process that times on this machine."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, field_validator

from edgekit.devices.noise import MachineReading, TimingProcess
from edgekit.runtime.frames import Header


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TimedNetwork(_Part):
    """One network's times.

    Attributes:
        blocks: milliseconds of single runs, in blocks of the same length that took turns with those of the other
            networks.
        warmup: runs before; steady: whether their medians agreed at last.
        by_batch: images a second by how many are given at once, of networks that take several.
        energy_j: joules of one image, None where no power could be read.
    """

    blocks: tuple[tuple[float, ...], ...]
    warmup: int
    steady: bool
    throughput_ips: float
    energy_j: float | None
    by_batch: Mapping[str, float] | None = None

    @field_validator("blocks")
    @classmethod
    def _are_times(cls, blocks: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
        if not blocks or not blocks[0] or len({len(each) for each in blocks}) > 1:
            raise ValueError("they are no blocks of the same length")
        if min(map(min, blocks)) <= 0:
            raise ValueError("a run took no time")
        return blocks


class Temperature(_Part):
    """A sensor's first, highest and last reading, degrees."""

    first: float
    max: float
    last: float


class Clock(_Part):
    """A clock's first, lowest and last reading, MHz."""

    first: float
    min: float
    last: float


class BenchConditions(_Part):
    """Power, temperatures and clocks while latencies were timed; see edgekit.runtime.power.summary.

    Attributes:
        source: what power was read with; None where it could not be, and `why` says why.
        rails: that were added up.
        samples: how many looks were taken in those seconds.
        energy_j: of all that time.
        other_power_w: watts by the sources that did not count.
        throttled: None where that is not told.
        machine: as it was right before; process: how it was run that timed.
    """

    source: str | None
    rails: tuple[str, ...]
    seconds: float
    samples: int
    mean_power_w: float | None
    energy_j: float | None
    other_power_w: Mapping[str, float]
    temperatures_c: Mapping[str, Temperature]
    clocks_mhz: Mapping[str, Clock]
    throttled: bool | None
    throttle_reasons: tuple[str, ...]
    why: str | None = None
    allowed_clocks_mhz: Mapping[str, float]
    power_mode: str | None
    machine: MachineReading | None = None
    process: TimingProcess | None = None

    @property
    def hottest_c(self) -> float | None:
        """The highest reading of any sensor; None where there is none."""
        return max((each.max for each in self.temperatures_c.values()), default=None)

    def as_json(self) -> Header:
        """As it was answered: `why` only where there is one."""
        return self.model_dump(mode="json", exclude_unset=True)


class BenchAnswer(_Part):
    """The times of networks by name, and under what conditions they were taken."""

    timed: Mapping[str, TimedNetwork]
    conditions: BenchConditions

    @classmethod
    def of(cls, answer: Header) -> BenchAnswer:
        """What `bench` answered, with or without the frame's own keys.

        Raises:
            pydantic.ValidationError: it is no such answer.
        """
        return cls.model_validate({key: answer.get(key) for key in cls.model_fields})
