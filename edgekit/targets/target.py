"""What a target is, and what targets of one kind have in common; the records are in table.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any

from edgekit.targets.releases import Release


@dataclass(frozen=True)
class Family:
    """What targets of one kind have in common: what can be done with them from where a build runs.

    Attributes:
        here: whether what is built runs on the machine that builds.
        gpu: whether that takes its GPU.
        device: whether a device over SSH can be named, on which it then runs.
        layers: whether single layers can be timed here, which choosing widths by their cost takes.
        plugin: of OpenVINO, which must see a device here; empty where nothing but the processor takes part.
        untimed: why there are no latencies where it runs nowhere; `{target}` stands for its name as it was given.
    """

    here: bool = False
    gpu: bool = False
    device: bool = False
    layers: bool = False
    plugin: str = ""
    untimed: str = ""


_ON_A_BOARD = Family(
    device=True, untimed="no device: measure it with `edgekit build --target {target} --device ssh://USER@HOST`"
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "cpu": Family(here=True, device=True, layers=True),
        "arm": _ON_A_BOARD,
        "igpu": Family(here=True, layers=True, plugin="GPU"),
        "npu": Family(here=True, plugin="NPU"),
        "gpu": Family(here=True, gpu=True),
        "rtx": Family(untimed="no device with this GPU here"),
        "jetson": _ON_A_BOARD,
    }
)


@dataclass(frozen=True)
class Target:
    """One kind of device, and what is known about it.

    Attributes:
        name: what `--target` takes.
        family: a key of FAMILIES.
        runtime: the inference runtime that is built for unless another is asked for.
        backends: keys of edgekit.backends.BACKENDS that can build for it, by the runtime that they are for.
        baseline_backend: the one that FP32 is executed with where the device computes none; None where it does.
        description: one line for people.
        extra: the extra of edgekit that brings the packages to build for it.
        precisions: precisions worth building, fastest first; what the hardware has no fast path for is left out.
        needs: precision to the CPU features of which one is needed for it to be fast; empty where that is not known.
        features: of the board's processor, as Linux names them; None where those of the machine at hand count.
        runtime_on: architecture of a processor, as Python names it, to the runtime that is built for there instead.
        architectures: what a device for it calls its processor's architecture; empty where that does not matter.
        channel_granularity: pruned channel counts are rounded to this.
        compute_capabilities: of the NVIDIA GPU; several where an engine is built for several.
        releases: the TensorRT releases that run on it; the last is built for unless another is asked for, or is what a
            device has.
        dla_cores: number of deep-learning accelerators.
        power_rails: the INA3221 rails that together are what the module draws.
        notes: what a user should know before choosing it.
    """

    name: str
    family: str
    runtime: str
    backends: Mapping[str, str]
    description: str
    extra: str
    precisions: tuple[str, ...]
    baseline_backend: str | None = None
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    features: tuple[str, ...] | None = None
    runtime_on: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    architectures: tuple[str, ...] = ()
    channel_granularity: int = 16
    compute_capabilities: tuple[str, ...] = ()
    releases: tuple[Release, ...] = ()
    dla_cores: int = 0
    power_rails: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def can(self) -> Family:
        """What can be done with targets of its kind."""
        return FAMILIES[self.family]

    def default_runtime(self, architecture: str) -> str:
        """The runtime that is built for unless another is asked for, on a machine of an architecture."""
        return self.runtime_on.get(architecture, self.runtime)

    def fast_here(self, features: tuple[str, ...]) -> tuple[str, ...]:
        """The precisions that are fast: by the board's own features, or by these of the machine at hand."""
        if not self.needs:
            return self.precisions
        return self.fast_precisions(features if self.features is None else self.features)

    def unlike(self, architecture: str) -> str | None:
        """What a user should know where a device has another architecture than the target; None where it fits."""
        if not self.architectures or architecture in self.architectures:
            return None
        return f"the device is {architecture}, no {self.name}: what is measured there says nothing of that board"

    def why_untimed(self, asked: str) -> str:
        """Why its latencies are not measured where it runs nowhere; `asked` is the name that the user gave."""
        return self.can.untimed.format(target=asked)

    @property
    def of_baseline(self) -> tuple[str, ...]:
        """What must be said where another device than the target runs FP32, which all is compared with."""
        if self.baseline_backend is None:
            return ()
        return (f"{self.name} computes no FP32: the fp32 variant, which all is compared with, runs on the processor",)

    def as_dict(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        record = {each.name: getattr(self, each.name) for each in fields(self)}
        record.update({key: list(value) for key, value in record.items() if isinstance(value, tuple)})
        record["backends"] = dict(self.backends)
        record["releases"] = [asdict(release) for release in self.releases]
        record["runtime_on"] = dict(self.runtime_on)
        record["needs"] = {precision: list(features) for precision, features in self.needs.items()}
        return record

    def fast_precisions(self, features: tuple[str, ...]) -> tuple[str, ...]:
        """The precisions that are fast on a CPU with these features; those without a need are always fast."""
        return tuple(p for p in self.precisions if not self.needs.get(p) or set(self.needs[p]) & set(features))
