"""The target table. A target is a record, never a code path: to add one, add an entry to `_ALL`.

The Jetson entries are not built for yet; confirm their versions with the vendor when that begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from edgekit.errors import InputError, UnavailableError


@dataclass(frozen=True)
class Target:
    """One kind of device, and what is known about it.

    Attributes:
        name: what `--target` takes.
        family: "cpu", "gpu", "rtx" or "jetson".
        runtime: the inference runtime, a key of `edgekit.compile.RUNTIMES` once it is supported.
        description: one line for people.
        extra: the extra of edgekit that brings the packages to build for it.
        precisions: precisions worth building, fastest first; what the hardware has no fast path for is left out.
        needs: precision to the CPU features of which one is needed for it to be fast.
        channel_granularity: pruned channel counts are rounded to this.
        compute_capability: of the NVIDIA GPU, or None.
        jetpack: JetPack releases that run on it, or None.
        dla_cores: number of deep-learning accelerators.
        notes: what a user should know before choosing it.
        supported: whether this release builds for it.
        why: why not, when it does not.
    """

    name: str
    family: str
    runtime: str
    description: str
    extra: str
    precisions: tuple[str, ...]
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    channel_granularity: int = 16
    compute_capability: str | None = None
    jetpack: str | None = None
    dla_cores: int = 0
    notes: tuple[str, ...] = ()
    supported: bool = False
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        record = {each.name: getattr(self, each.name) for each in fields(self)}
        record.update(precisions=list(self.precisions), notes=list(self.notes))
        record["needs"] = {precision: list(features) for precision, features in self.needs.items()}
        return record

    def fast_precisions(self, features: tuple[str, ...]) -> tuple[str, ...]:
        """The precisions that are fast on a CPU with these features; those without a need are always fast."""
        return tuple(p for p in self.precisions if not self.needs.get(p) or set(self.needs[p]) & set(features))


_NOT_YET = "this release builds for `cpu` only"
_NO_FAST_INT8 = "no fast INT8 on this GPU: FP16 is the precision to build"
_ENGINE = "a TensorRT engine belongs to one GPU and one TensorRT: the device builds it from the quantized graph"


def _jetson(name: str, description: str, capability: str, jetpack: str, dla: int = 0, *notes: str) -> Target:
    int8 = _NO_FAST_INT8 not in notes
    return Target(
        name=name,
        family="jetson",
        runtime="tensorrt",
        description=description,
        extra="gpu",
        precisions=("int8", "fp16", "fp32") if int8 else ("fp16", "fp32"),
        channel_granularity=32 if int8 else 8,
        compute_capability=capability,
        jetpack=jetpack,
        dla_cores=dla,
        notes=(*notes, _ENGINE),
        why=_NOT_YET,
    )


_ALL = (
    Target(
        name="cpu",
        family="cpu",
        runtime="openvino",
        description="This machine's processor with OpenVINO (x86-64 or 64-bit ARM)",
        extra="cpu",
        precisions=("int8", "bf16", "fp32"),
        needs=MappingProxyType(
            {
                "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"),
                "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
            }
        ),
        notes=(
            "INT8 pays where the processor has VNNI, AMX or the ARM dot product; elsewhere it may win little",
            "OpenVINO's own default is BF16 where the processor has it; edgekit's fp32 variant is true FP32",
        ),
        supported=True,
    ),
    Target(
        name="gpu",
        family="gpu",
        runtime="tensorrt",
        description="This machine's NVIDIA GPU with TensorRT",
        extra="gpu",
        precisions=("int8", "fp16", "fp32"),
        channel_granularity=32,
        notes=("INT8 is explicit Q/DQ, symmetric and signed; TensorRT 11 has no other", _ENGINE),
        why=_NOT_YET,
    ),
    Target(
        name="rtx",
        family="rtx",
        runtime="tensorrt-rtx",
        description="TensorRT for RTX, the engine built ahead of time; no GPU needed to build",
        extra="rtx",
        precisions=("int8", "fp16", "fp32"),
        channel_granularity=32,
        compute_capability="7.5, 8.0, 8.6, 8.9, 12.0, 12.1",
        notes=("strongly typed networks only", "running an engine needs an NVIDIA driver"),
        why=_NOT_YET,
    ),
    _jetson("jetson-nano", "Jetson Nano", "5.3", "4.6", 0, _NO_FAST_INT8),
    _jetson("jetson-tx2", "Jetson TX2", "6.2", "4.6", 0, _NO_FAST_INT8),
    _jetson("jetson-xavier-nx", "Jetson Xavier NX", "7.2", "4.6 to 5.1", 2),
    _jetson("jetson-agx-xavier", "Jetson AGX Xavier", "7.2", "4.6 to 5.1", 2),
    _jetson("jetson-orin-nano", "Jetson Orin Nano", "8.7", "5.1 to 7"),
    _jetson("jetson-orin-nx", "Jetson Orin NX, the current mid-range part", "8.7", "5.1 to 7", 2),
    _jetson("jetson-agx-orin", "Jetson AGX Orin", "8.7", "5.1 to 7", 2),
    _jetson("jetson-thor", "Jetson Thor", "11.0", "7"),
)

TARGETS: Mapping[str, Target] = MappingProxyType({target.name: target for target in _ALL})
"""Name: target, in the order in which `edgekit targets` lists them."""

ALIASES: Mapping[str, str] = MappingProxyType({"jetson": "jetson-orin-nx"})
"""Other names that `--target` takes."""


def find(name: str) -> Target:
    """The target of a name or an alias.

    Raises:
        InputError: for an unknown name; the nearest known one is named.
    """
    known = ALIASES.get(name, name)
    if known in TARGETS:
        return TARGETS[known]
    near = get_close_matches(name, [*TARGETS, *ALIASES], n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    raise InputError(f"there is no target {name!r}", f"{hint}`edgekit targets` lists them.")


def require(name: str) -> Target:
    """The target of a name or an alias, if this release builds for it.

    Raises:
        InputError: for an unknown name.
        UnavailableError: for a target that this release cannot build for.
    """
    target = find(name)
    if not target.supported:
        ready = ", ".join(each.name for each in _ALL if each.supported)
        raise UnavailableError(f"cannot build for target {name!r}: {target.why}", f"Use --target {ready}.")
    return target
