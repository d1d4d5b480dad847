"""TensorRT on a device that is not here: it builds its engine of the graph itself (edgekit.runtime.tensorrt_engine)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgekit.backends import DEFAULTS, Compiled, CompileSettings, Identity, LayerTime, Mode, Session
from edgekit.backends.tensorrt_builder import preflight
from edgekit.backends.tensorrt_library import Flavour, installed
from edgekit.errors import UnavailableError
from edgekit.quantize.graph_format import GraphFormat, format_for
from edgekit.runtime.forms import DLA
from edgekit.targets import Machine, Release, this_machine

if TYPE_CHECKING:
    from edgekit.runtime.kernels import Kernel

RUNTIME: Final = "tensorrt"
PRECISIONS: Final = ("int8", "mixed", "fp16", "fp32")
PARSERS: Final[tuple[Flavour, ...]] = ("tensorrt", "tensorrt-rtx")


def available() -> str | None:
    """Nothing is needed here."""
    return "on the device"


def identity(machine: Machine) -> Identity:
    """The parsers that a graph is checked with, as far as they are here."""
    return Identity(tuple((flavour, installed(flavour)) for flavour in PARSERS))


def graph_format(release: Release | None) -> GraphFormat:
    """By TensorRT's rules for Q/DQ graphs."""
    return format_for(release)


def compile(
    graph: Path,
    out_dir: Path,
    precision: str,
    settings: CompileSettings = DEFAULTS,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """The graph, and what a DLA needs beside it; a parser that is here reads typed graphs first.

    Raises:
        InputError: the parser refuses the graph.
    """
    path = out_dir / "model.onnx"
    shutil.copyfile(graph, path)
    for name in DLA if precision == "int8" else ():
        if (graph.parent / name).exists():
            shutil.copyfile(graph.parent / name, out_dir / name)
    return Compiled(
        "tensorrt-on-device", str(path), precision, path.stat().st_size, checked_by=_checked(graph, settings)
    )


def _checked(graph: Path, settings: CompileSettings) -> str | None:
    """Lets whichever TensorRT can be used here parse the graph; says which did, if any.

    TensorRT itself reads nothing without a GPU, and where it was loaded TensorRT for RTX cannot be any more.
    """
    if not settings.typed:
        return None
    here = [flavour for flavour in PARSERS if installed(flavour) is not None]
    if len(here) > 1 and not this_machine(gpu=True).gpus:
        here.remove("tensorrt")
    for flavour in here:
        try:
            preflight(graph, flavour)
        except UnavailableError:
            continue
        return f"{flavour} {installed(flavour)}"
    return None


def load(compiled: Compiled, mode: Mode = "latency") -> AbstractContextManager[Session]:
    """Cannot: it runs on the device."""
    raise UnavailableError("this network runs on a device", "Name it with --device.")


def profile(compiled: Compiled, runs: int = 20) -> list[LayerTime]:
    """Cannot: it runs on the device."""
    raise UnavailableError("layers are not timed on a device", "`edgekit device bench` times whole networks.")


def kernels(compiled: Compiled) -> tuple[Kernel, ...]:
    """None are known: it is compiled on the device."""
    return ()


def files(compiled: Compiled) -> dict[str, Path]:
    """What a DLA needs; the graph is in every bundle."""
    folder = Path(compiled.path).parent
    return {name: folder / name for name in DLA if (folder / name).exists()}
