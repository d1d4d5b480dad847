"""Compiles a variant's graph for a target, as far as that can be done on this machine.

For a Jetson that is not at hand this is the graph itself: the device builds its engine of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edgekit.backends import Compiled

PREFLIGHT_FLAVOURS: Final = ("tensorrt", "tensorrt-rtx")


@dataclass(frozen=True)
class CompileSettings:
    """What a build may ask of a compiler; see edgekit.backends.tensorrt.BuilderSettings."""

    compute_capabilities: tuple[str, ...] = ()
    optimization_level: int | None = None
    workspace_bytes: int | None = None


def compile_for(
    family: str,
    graph: Path,
    out_dir: Path,
    precision: str,
    settings: CompileSettings,
    timing_cache: Path | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """Writes the compiled form of `graph` in `out_dir`.

    Raises:
        InputError: the compiler refuses the graph.
        UnavailableError: its library or its GPU is not here.
    """
    if family == "cpu":
        from edgekit.backends import openvino

        return openvino.compile(graph, out_dir, precision)
    if family in ("rtx", "gpu"):
        from edgekit.backends import tensorrt

        capabilities = settings.compute_capabilities if family == "rtx" else ()
        wanted = tensorrt.BuilderSettings(settings.optimization_level, settings.workspace_bytes, capabilities)
        flavour: Any = "tensorrt-rtx" if family == "rtx" else "tensorrt"
        return tensorrt.build(graph, out_dir, precision, flavour, wanted, timing_cache, on_progress)
    path = out_dir / "model.onnx"
    shutil.copyfile(graph, path)
    for extra in graph.parent.glob("model.dla.*") if precision == "int8" else ():
        shutil.copyfile(extra, out_dir / extra.name)
    return Compiled("tensorrt", str(path), precision, path.stat().st_size)


def preflight(graph: Path) -> str | None:
    """Lets whichever TensorRT is installed here parse a graph that a device will build; says which did, if any.

    Raises:
        InputError: the parser refuses it.
    """
    from edgekit.backends import tensorrt
    from edgekit.backends.tensorrt_library import installed

    for flavour in PREFLIGHT_FLAVOURS:
        version = installed(flavour)
        if version is not None:
            tensorrt.preflight(graph, flavour)
            return f"{flavour} {version}"
    return None
