"""What a device told of itself when it was probed."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from edgekit.runtime.frames import Header


@dataclass(frozen=True)
class DeviceFacts:
    """A device as edgekit.runtime.probe tells it; None is what it does not tell.

    Attributes:
        model: of a board that has one; cpu: the processor's name.
        system: such as "Linux 6.1"; python: version of the interpreter that answered.
        l4t, jetpack, cuda: versions, on a Jetson.
        features: of edgekit.runtime.processor.FEATURES; isa_limit: what keeps oneDNN from newer instructions.
        runtimes: package: its version, None where it cannot be imported.
        power_mode: the nvpmodel mode.
        temperatures_c: thermal zone: degrees; clocks_mhz: of "gpu" and "cpu". Both of that moment.
    """

    model: str | None
    architecture: str
    cpu: str
    cores: int | None
    memory_bytes: int | None
    free_disk_bytes: int
    system: str
    python: str
    l4t: str | None
    jetpack: str | None
    cuda: str | None
    runtimes: Mapping[str, str | None]
    power_mode: str | None
    temperatures_c: Mapping[str, float]
    clocks_mhz: Mapping[str, float]
    features: tuple[str, ...] = ()
    isa_limit: str | None = None

    @classmethod
    def of(cls, answer: Header) -> DeviceFacts:
        """What the agent answered to `probe`.

        Raises:
            pydantic.ValidationError: it is no such answer.
        """
        return _FACTS.validate_python(answer)

    @property
    def name(self) -> str:
        """What people call it by: its model, or its processor."""
        return self.model or self.cpu


_FACTS = TypeAdapter(DeviceFacts)
