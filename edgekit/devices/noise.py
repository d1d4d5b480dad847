"""Whether a machine can be measured now, as edgekit.runtime.noise tells it: of this one, or of a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from edgekit.devices.ssh import Connection, understood
from edgekit.runtime import noise


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SpinTimes(_Part):
    """The same work over and over; see edgekit.runtime.noise.Spin."""

    runs: int
    median_ms: float
    spread_percent: float
    drift_percent: float


class MachineSight(_Part):
    """What was seen of a machine; see edgekit.runtime.noise.Sight."""

    seconds: float
    cpus: tuple[int, ...] | None
    cores: int
    usable: int
    quota: float | None
    load: float | None
    running: int | None
    others: float | None
    stolen_percent: float | None
    throttled: str | None
    sharing: int | None
    governors: tuple[str, ...]
    clocks_mhz: tuple[float, float] | None
    top_clock_mhz: float | None
    spin: SpinTimes


class MachineReading(_Part):
    """Whether a machine was fit to be measured, and why; `not_read` names what it does not tell."""

    verdict: Literal["quiet", "noisy", "unknown"]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    not_read: tuple[str, ...]
    seen: MachineSight

    @property
    def words(self) -> str:
        """The verdict and why, in a line."""
        if self.verdict == "unknown":
            return f"not known whether it is quiet: {', '.join(self.not_read)} cannot be read"
        if self.verdict == "noisy":
            return f"noisy: {'; '.join(self.reasons)}"
        spread, others = self.seen.spin.spread_percent, self.seen.others or 0.0
        return f"quiet: others take {others:.2f} CPUs, equal work varies by {spread:.0f} %"


class TimingProcess(_Part):
    """How a process was run that times; see edgekit.runtime.noise.Taken.

    Attributes:
        threads: that compute one picture, by network; None where a runtime does not tell.
    """

    cpus: tuple[int, ...] | None
    cores: int
    sharing: int | None
    others: float | None
    stolen_percent: float | None
    threads: Mapping[str, int | None] | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What others did meanwhile, where that matters."""
        count = self.cores if self.cpus is None else len(self.cpus)
        found = []
        if noise.too_much(self.others, count):
            found.append(f"other programs took {self.others:.1f} of {noise.processors(count)}")
        if self.stolen_percent is not None and self.stolen_percent > noise.STOLEN_PERCENT:
            found.append(f"the host of this virtual machine took {self.stolen_percent:.1f} % of its processor time")
        return tuple(found)


def look_here(seconds: float = noise.SPIN_SECONDS) -> MachineReading:
    """This machine now; takes half a second, or so many seconds where they are fewer."""
    return MachineReading.model_validate(noise.as_json(noise.look(seconds)))


def look_there(connection: Connection) -> MachineReading:
    """A device now.

    Raises:
        UnavailableError: it cannot be reached.
    """
    from edgekit.devices.transfer import ask

    told = ask(connection, "look", {})
    with understood(connection.device):
        return MachineReading.model_validate({key: told.get(key) for key in MachineReading.model_fields})
