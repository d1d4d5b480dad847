"""The releases of TensorRT that there are, and what each takes: one table, with the source of every rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True)
class Int8Placement:
    """Where INT8 pays on tensor cores; what it does not pay for computes in 16 bits.

    Attributes:
        channels: a convolution with fewer on either side is worth INT8 only if it fits `multiple`, and has as many on
            the other side or is the first of the network.
        multiple: to which tensor cores pad channels.
        grouped_kernel: the least side of the kernel of a grouped convolution of fewer channels that is worth it.
        gemv: whether products with a single row (a linear layer at batch 1) are quantized.
        whole_sums: whether both inputs of a sum are quantized, also the one that a convolution makes, which then cannot
            be one kernel with it.
    """

    channels: int = 16
    multiple: int = 8
    grouped_kernel: int = 3
    gemv: bool = False
    whole_sums: bool = False


@dataclass(frozen=True)
class Release:
    """One TensorRT that a target may have, and what comes with it; RULES has the source of each.

    Attributes:
        jetpack: on a Jetson.
        tensorrt, cuda, python: versions.
        opset: the newest ONNX opset that is given to its parser.
        typed: whether the graph carries the precisions (a strongly typed network, TensorRT 10 and later); before, flags
            of the builder allow INT8 and FP16.
        float_input: whether the pixels are given as float32: before 8.5 there are no UINT8 inputs.
        int8_weights: whether INT8 constants may go into DequantizeLinear; before 10 weights are float32, and quantized.
        dla: whether it drives deep-learning accelerators, where the target has them.
        dla_means: whether these compute means that leave padding out, where their kind can.
        shipped: whether JetPack brings it; else it is installed beside the one that does.
        placement: what is quantized of a network.
    """

    jetpack: str | None
    tensorrt: str
    cuda: str
    python: str
    opset: int
    typed: bool
    float_input: bool = False
    int8_weights: bool = True
    dla: bool = False
    dla_means: bool = True
    shipped: bool = True
    placement: Int8Placement = Int8Placement()


RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "opset": "TensorRT's support matrices; 13 for 8.4 is on the safe side, from memory",
        "typed": "TensorRT 10's release notes: weak typing deprecated; 11's migration guide: removed",
        "float_input": "NvInferRuntimeCommon.h of 8.2 and 8.4 has no kUINT8; 8.5's release notes add UINT8 inputs",
        "int8_weights": "github.com/NVIDIA/TensorRT/issues/2163, github.com/microsoft/onnxruntime/issues/11535",
        "dla": "TensorRT's release notes: 10.7 the last 10.x with DLA, 11.4.1 again, on Jetson AGX Orin",
        "dla_means": "TensorRT's developer guide, working with DLA: exclusive padding of average pools, not in 8.2",
        "shipped": "github.com/roboflow/inference/pull/2531, github.com/OE4T/meta-tegra/pull/2224",
        "placement": "github.com/NVIDIA/Model-Optimizer, modelopt/onnx/quantization: convolutions and MatMuls that are"
        " left out, and Q/DQ that is taken from the input of a sum that is no residual",
    }
)
"""Field of a Release that is a rule: where it is from."""

JETPACKS: Final[Mapping[str, Release]] = MappingProxyType(
    {
        release.jetpack if release.shipped else f"{release.jetpack} with {release.tensorrt}": release
        for release in (
            Release(
                "4.6",
                "8.2",
                "10.2",
                "3.6",
                opset=13,
                float_input=True,
                dla=True,
                dla_means=False,
                typed=False,
                int8_weights=False,
            ),
            Release("5.0", "8.4", "11.4", "3.8", opset=13, float_input=True, dla=True, typed=False, int8_weights=False),
            Release("5.1", "8.5", "11.4", "3.8", opset=17, dla=True, typed=False, int8_weights=False),
            Release("6.0", "8.6", "12.2", "3.10", opset=17, dla=True, typed=False, int8_weights=False),
            Release("6.2", "10.3", "12.6", "3.10", opset=20, typed=True, dla=True),
            Release("7.0", "10.13", "13.0", "3.12", opset=20, typed=True),
            Release("7.2", "10.16", "13.2", "3.12", opset=20, typed=True),
            Release("7.2", "11.4", "13.2", "3.12", opset=20, typed=True, dla=True, shipped=False),
        )
        if release.jetpack is not None
    }
)
"""JetPack: what it brings, or what can be installed beside that; docs/targets.md has the sources."""

DESKTOP: Final = (
    Release(None, "10.13", "13.0", "3.10 to 3.13", opset=20, typed=True),
    Release(None, "11.4", "13.2", "3.10 to 3.13", opset=20, typed=True),
)
"""TensorRT on x86-64 and ARM servers."""

RTX: Final = (Release(None, "1.7", "13", "3.10 to 3.13", opset=20, typed=True, placement=Int8Placement(channels=0)),)
"""TensorRT for RTX. Its builder shows what it makes of small convolutions: left in FP16 in the shipped
Inception-ResNet-v2 of quarter width, 13 of them need 20 more kernels, which change types between the others; so they
stay in INT8 there.
"""
