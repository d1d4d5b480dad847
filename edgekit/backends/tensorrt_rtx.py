"""TensorRT for RTX: engines are built ahead of time, without a GPU. Running one has not yet been run on hardware."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.backends import DEFAULTS, Compiled, CompileSettings, Identity, LayerTime, Mode, Session
from edgekit.backends.tensorrt_builder import build, loaded
from edgekit.backends.tensorrt_library import RTX_WHEEL, installed, installed_wheel
from edgekit.errors import UnavailableError
from edgekit.quantize.graph_format import GraphFormat, format_for
from edgekit.targets import Machine, Release

if TYPE_CHECKING:
    from edgekit.runtime.kernels import Kernel

RUNTIME: Final = "tensorrt-rtx"
PRECISIONS: Final = ("int8", "mixed", "fp16", "fp32")


def available() -> str | None:
    """The version that is installed."""
    return installed("tensorrt-rtx")


def graph_format(release: Release | None) -> GraphFormat:
    """By TensorRT's rules for Q/DQ graphs."""
    return format_for(release)


def identity(machine: Machine) -> Identity:
    """The bindings and the wheel that brings the library; an engine is for the compute capabilities it is built for."""
    return Identity((("tensorrt-rtx", available()), (RTX_WHEEL, installed_wheel())))


def compile(
    graph: Path,
    out_dir: Path,
    precision: str,
    settings: CompileSettings = DEFAULTS,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """Writes model.engine for the compute capabilities of the settings; see edgekit.backends.tensorrt_builder."""
    return build(graph, out_dir, precision, "tensorrt-rtx", settings, on_progress)


def load(compiled: Compiled, mode: Mode = "latency") -> AbstractContextManager[Session]:
    """Loads an engine on the GPU at hand."""
    return loaded(compiled, "tensorrt-rtx")


def profile(compiled: Compiled, runs: int = 20) -> list[LayerTime]:
    """Cannot yet: it has not been run on hardware."""
    raise UnavailableError("layers are not timed with TensorRT for RTX", "Time whole networks on the GPU.")


def kernels(compiled: Compiled) -> tuple[Kernel, ...]:
    """None are told: `edgekit inspect` lists the engine's layers."""
    return ()


def files(compiled: Compiled) -> dict[str, Path]:
    """model.engine."""
    return {"model.engine": Path(compiled.path)}
