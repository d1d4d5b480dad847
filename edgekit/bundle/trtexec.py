"""The line of NVIDIA's trtexec that builds and times the engine of a bundle as edgekit's runtime does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from edgekit.bundle.manifest import Manifest
from edgekit.runtime.forms import DLA

Settings = Mapping[str, bool | int | list[int]]

ALWAYS_TYPED: Final = 11
"""From this TensorRT on networks are strongly typed without being told."""

MEMORY_POOLS: Final = (8, 4)
"""From here on the workspace is one of several pools."""

FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "int8": ("--int8", "--fp16"),
    "mixed": ("--int8", "--fp16"),
    "fp16": ("--fp16",),
}
"""Precision of a graph that does not carry its types: what the builder is allowed."""


def of_bundle(manifest: Manifest) -> str | None:
    """The line for a bundle that a device builds an engine of; None for others."""
    if manifest.engine_settings is None:
        return None
    version = manifest.target.runtime_version or "10"
    return line(manifest.engine_settings, manifest.precision, version, manifest.input.shape)


def line(settings: Settings, precision: str, tensorrt: str, shape: tuple[int, ...]) -> str:
    """trtexec with the same graph, precisions, DLA, workspace and batches.

    Several batches are one profile from the least to the most here, where edgekit makes one of each.

    Args:
        settings: the manifest's `engine_settings`; tensorrt: its version; shape: of the input, (1, H, W, 3).
    """
    numbers = tuple(int(part) for part in tensorrt.split(".")[:2] if part.isdigit()) or (10,)
    old_dla = "dla_core" in settings and numbers[0] < ALWAYS_TYPED and precision == "int8"
    words = ["trtexec", f"--onnx={DLA[0] if old_dla else 'model.onnx'}", "--saveEngine=model.engine"]
    if settings.get("typed") and not old_dla:
        words += ["--stronglyTyped"] if numbers[0] < ALWAYS_TYPED else []
    else:
        words += FLAGS.get(precision, ())
    if "dla_core" in settings:
        words += [f"--useDLACore={settings['dla_core']}", "--allowGPUFallback"]
    if old_dla:
        words.append(f"--calib={DLA[1]}")
    workspace = settings.get("workspace_bytes")
    if isinstance(workspace, int):
        size = workspace >> 20
        words.append(f"--memPoolSize=workspace:{size}" if numbers >= MEMORY_POOLS else f"--workspace={size}")
    batches = settings.get("batches")
    if isinstance(batches, list):
        sides = "x".join(str(side) for side in shape[1:])
        ends = {"min": batches[0], "opt": batches[-1], "max": batches[-1]}
        words += [f"--{name}Shapes=image:{batch}x{sides}" for name, batch in ends.items()]
    return " ".join([*words, "--useCudaGraph"])
