"""The target table. A target is a record, never a code path: to add one, add an entry to `_ALL`."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType

from edgekit.errors import InputError
from edgekit.targets.releases import DESKTOP, JETPACKS, RTX, Release
from edgekit.targets.target import Target

_NO_FAST_INT8 = "no fast INT8 on this GPU: FP16 is what pays, and what edgekit builds unless told otherwise"
_ENGINE = "an engine belongs to one GPU and one TensorRT: the device builds it from the quantized graph, and keeps it"
_DLA = "DLA through --dla: TensorRT up to 10.7 (JetPack 6.2 and older), and 11.4.1 or later on Jetson AGX Orin"
_ONE_CORE = "the module of 8 GB has one DLA core"

_IN_ONE_RAIL = ("VDD_IN",)
_IN_THREE_RAILS = ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0")
_IN_SIX_RAILS = ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V")


def _jetson(
    name: str,
    description: str,
    capability: str,
    jetpacks: tuple[str, ...],
    rails: tuple[str, ...],
    dla: int = 0,
    note: str = "",
) -> Target:
    """A Jetson; the last one of `jetpacks` is what is built for by default."""
    int8 = capability not in ("5.3", "6.2")
    notes = ((_NO_FAST_INT8,) if not int8 else ()) + ((_DLA,) if dla else ()) + (_ENGINE, *filter(None, [note]))
    return Target(
        name=name,
        family="jetson",
        runtime="tensorrt",
        backends=MappingProxyType({"tensorrt": "tensorrt-on-device"}),
        description=description,
        extra="cpu",
        precisions=("int8", "fp16", "fp32") if int8 else ("fp16", "fp32"),
        channel_granularity=32 if int8 else 8,
        compute_capabilities=(capability,),
        releases=tuple(JETPACKS[each] for each in jetpacks),
        dla_cores=dla,
        power_rails=rails,
        notes=notes,
    )


_UNTRIED = "not yet run on hardware"
_ARM_ARCHITECTURES = ("aarch64", "arm64")
"""What Linux and macOS call one and the same."""

_ARM_RUNTIME = (
    "ONNX Runtime, because its INT8 is right there: with its arm64 wheel (1.32.0, emulated) logits have a cosine of"
    " 0.99998 to exact arithmetic, with OpenVINO's (2026.4.1) 0.958 to 0.994, and 131 of 149 convolutions run on"
    " reference kernels; see docs/targets/arm64.md"
)
_ARM_EITHER = "FP16 stands beside INT8 in the bundle: which is faster only the board can say"


def _arm(
    name: str, description: str, features: tuple[str, ...] | None, precisions: tuple[str, ...], note: str
) -> Target:
    """A 64-bit ARM board, built for on any machine; what its processor is not known to have counts as there."""
    needs = {"int8": ("asimddp", "i8mm"), "fp16": ("asimdhp",)} if features is not None else {}
    return Target(
        name=name,
        family="arm",
        runtime="onnxruntime",
        backends=MappingProxyType({"onnxruntime": "onnxruntime"}),
        description=description,
        extra="cpu",
        precisions=precisions,
        needs=MappingProxyType(needs),
        features=features,
        architectures=_ARM_ARCHITECTURES,
        # MLAS's kernels on ARM pack channels by 8 and give out 8 or, with the dot product, 16 at once (convsym.cpp)
        channel_granularity=16,
        notes=(note, *((_ARM_EITHER,) if "fp16" in precisions else ()), _ARM_RUNTIME, _UNTRIED),
    )


_ALL = (
    Target(
        name="cpu",
        family="cpu",
        runtime="openvino",
        backends=MappingProxyType({"openvino": "openvino", "onnxruntime": "onnxruntime"}),
        description="This machine's processor (x86-64 or 64-bit ARM)",
        extra="cpu",
        precisions=("int8", "bf16", "fp32"),
        needs=MappingProxyType(
            {
                "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp", "i8mm"),
                "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
            }
        ),
        runtime_on=MappingProxyType(dict.fromkeys(_ARM_ARCHITECTURES, "onnxruntime")),
        notes=(
            "INT8 pays where the processor has VNNI, AMX or the ARM dot product; elsewhere it may win little",
            "OpenVINO's own default is BF16 where the processor has it; edgekit's fp32 variant is true FP32",
            f"on 64-bit ARM: {_ARM_RUNTIME}",
        ),
    ),
    _arm(
        "arm64",
        "A 64-bit ARM board",
        None,
        ("int8", "fp16", "fp32"),
        "INT8 is fast with asimddp (SDOT, UDOT) or i8mm (SMMLA, UMMLA), FP16 with asimdhp: /proc/cpuinfo lists them",
    ),
    _arm(
        "raspberry-pi-4",
        "Raspberry Pi 4, Cortex-A72 (ARMv8.0)",
        ("asimd",),
        ("int8", "fp32"),
        "no dot product and no FP16 arithmetic: INT8 is a quarter of the size, and may win little time",
    ),
    _arm(
        "raspberry-pi-5",
        "Raspberry Pi 5, Cortex-A76 (ARMv8.2)",
        ("asimd", "asimdhp", "asimddp"),
        ("int8", "fp16", "fp32"),
        "asimddp (SDOT, UDOT) for INT8 and asimdhp for FP16, no i8mm",
    ),
    Target(
        name="igpu",
        family="igpu",
        runtime="openvino",
        backends=MappingProxyType({"openvino": "openvino-gpu"}),
        description=f"This machine's Intel GPU with OpenVINO ({_UNTRIED})",
        extra="cpu",
        precisions=("int8", "fp16", "fp32"),
        channel_granularity=32,
        notes=(
            _UNTRIED,
            "INT8 pays where the GPU has instructions for it (Xe and later); elsewhere OpenVINO computes it in FP16",
            "of several GPUs the first is taken, an integrated one where there is one",
        ),
    ),
    Target(
        name="npu",
        family="npu",
        runtime="openvino",
        backends=MappingProxyType({"openvino": "openvino-npu"}),
        description=f"The NPU of this machine's Intel Core Ultra with OpenVINO ({_UNTRIED})",
        extra="cpu",
        precisions=("int8", "fp16"),
        baseline_backend="openvino",
        notes=(
            _UNTRIED,
            "an NPU computes no FP32: the fp32 variant, which all is compared with, runs on the processor",
            "only fixed shapes, which edgekit's graphs have; single layers are not timed there",
        ),
    ),
    Target(
        name="gpu",
        family="gpu",
        runtime="tensorrt",
        backends=MappingProxyType({"tensorrt": "tensorrt"}),
        description="This machine's NVIDIA GPU with TensorRT",
        extra="gpu",
        precisions=("int8", "fp16", "fp32"),
        channel_granularity=32,
        releases=DESKTOP,
        notes=("INT8 is explicit Q/DQ, symmetric and signed; TensorRT 11 has no other", _ENGINE),
    ),
    Target(
        name="rtx",
        family="rtx",
        runtime="tensorrt-rtx",
        backends=MappingProxyType({"tensorrt-rtx": "tensorrt-rtx"}),
        description="TensorRT for RTX, the engine built ahead of time; no GPU needed to build",
        extra="rtx",
        precisions=("int8", "fp16", "fp32"),
        channel_granularity=32,
        compute_capabilities=("8.6", "8.9", "12.0"),
        releases=RTX,
        notes=("strongly typed networks only", "running an engine needs an NVIDIA driver"),
    ),
    _jetson("jetson-nano", "Jetson Nano", "5.3", ("4.6",), ("POM_5V_IN",)),
    _jetson("jetson-tx2", "Jetson TX2", "6.2", ("4.6",), _IN_ONE_RAIL),
    _jetson("jetson-xavier-nx", "Jetson Xavier NX", "7.2", ("4.6", "5.0", "5.1"), _IN_ONE_RAIL, 2),
    _jetson("jetson-agx-xavier", "Jetson AGX Xavier", "7.2", ("4.6", "5.0", "5.1"), _IN_SIX_RAILS, 2),
    _jetson("jetson-orin-nano", "Jetson Orin Nano", "8.7", ("5.1", "6.0", "7.2", "6.2"), _IN_ONE_RAIL),
    _jetson(
        *("jetson-orin-nx", "Jetson Orin NX, the current mid-range part", "8.7", ("5.1", "6.0", "7.2", "6.2")),
        *(_IN_ONE_RAIL, 2, _ONE_CORE),
    ),
    _jetson(
        *("jetson-agx-orin", "Jetson AGX Orin", "8.7", ("5.0", "5.1", "6.0", "7.2", "7.2 with 11.4", "6.2")),
        *(_IN_THREE_RAILS, 2),
    ),
    _jetson("jetson-thor", "Jetson Thor", "11.0", ("7.0", "7.2 with 11.4", "7.2"), ("VIN",)),
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


def release_of(target: Target, jetpack: str | None = None) -> Release | None:
    """The TensorRT that is built for: that of a JetPack, or the target's usual one; None where there is no TensorRT.

    Raises:
        InputError: the target has no such JetPack.
    """
    if jetpack is None:
        return target.releases[-1] if target.releases else None
    shipped = [each for each in target.releases if each.shipped]
    found = [each for each in shipped if each.jetpack and _same_jetpack(each.jetpack, jetpack)]
    if not found:
        known = ", ".join(each.jetpack for each in shipped if each.jetpack)
        raise InputError(
            f"{target.name} has no JetPack {jetpack}",
            f"Known: {known}." if known else "It is no Jetson; leave --jetpack.",
        )
    return found[0]


def dla_leaves_means(target: Target, release: Release) -> bool:
    """Whether the accelerator leaves average pools that exclude padding to the GPU: that of Xavier, or any of 8.2."""
    return not release.dla_means or "7.2" in target.compute_capabilities


def release_with(target: Target, tensorrt: str) -> Release | None:
    """The newest release that is no newer than a device's TensorRT, such as "10.3.0"; None if all are newer."""

    def number(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.split(".")[:2])

    older = [release for release in target.releases if number(release.tensorrt) <= number(tensorrt)]
    return max(older, key=lambda release: number(release.tensorrt), default=None)


def _same_jetpack(known: str, asked: str) -> bool:
    """6.2 and 6.2.1 are one; 6.1 has what 6.2 has, 7.1 what 7.0 has."""
    twins = {"6.1": "6.2", "7.1": "7.0"}
    short = ".".join(asked.split(".")[:2])
    return known == twins.get(short, short)
