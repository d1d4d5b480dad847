"""TensorRT on this machine's GPU. Running an engine has not yet been run on hardware."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.backends import DEFAULTS, Compiled, CompileSettings, Identity, LayerTime, Mode, Session
from edgekit.backends.tensorrt_builder import build, inspect, loaded
from edgekit.backends.tensorrt_library import installed
from edgekit.errors import UnavailableError
from edgekit.quantize.graph_format import GraphFormat, format_for
from edgekit.targets import Machine, Release

if TYPE_CHECKING:
    from edgekit.runtime.kernels import Kernel

RUNTIME: Final = "tensorrt"
PRECISIONS: Final = ("int8", "mixed", "fp16", "fp32")


def available() -> str | None:
    """The version that is installed."""
    return installed("tensorrt")


def graph_format(release: Release | None) -> GraphFormat:
    """By TensorRT's rules for Q/DQ graphs."""
    return format_for(release)


def identity(machine: Machine) -> Identity:
    """The library, and the GPU and driver that an engine is bound to."""
    return Identity((("tensorrt", available()),), (*machine.gpus, machine.driver or "no driver"))


def compile(
    graph: Path,
    out_dir: Path,
    precision: str,
    settings: CompileSettings = DEFAULTS,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """Writes model.engine for the GPU at hand, and tells its layers; see edgekit.backends.tensorrt_builder."""
    made = build(graph, out_dir, precision, "tensorrt", replace(settings, compute_capabilities=()), on_progress)
    return replace(made, layers=inspect(Path(made.path), "tensorrt"))


def load(compiled: Compiled, mode: Mode = "latency") -> AbstractContextManager[Session]:
    """Loads an engine on the GPU at hand."""
    return loaded(compiled, "tensorrt")


def profile(compiled: Compiled, runs: int = 20) -> list[LayerTime]:
    """Cannot yet: it has not been run on hardware."""
    raise UnavailableError("layers are not timed with TensorRT", "`edgekit inspect` lists the engine's layers.")


def kernels(compiled: Compiled) -> tuple[Kernel, ...]:
    """None are told: `edgekit inspect` lists the engine's layers."""
    return ()


def files(compiled: Compiled) -> dict[str, Path]:
    """model.engine."""
    return {"model.engine": Path(compiled.path)}
