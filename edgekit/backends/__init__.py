"""Backends: what compiles and executes graphs. Each is a module that keeps the protocol here, and a line in a table."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, cast

from edgekit.store.keys import NOT_IN_KEY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.quantize.graph_format import GraphFormat
    from edgekit.runtime.kernels import Kernel
    from edgekit.targets import Machine, Release

Mode = Literal["latency", "throughput"]

BACKENDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "openvino": "edgekit.backends.openvino",
        "openvino-gpu": "edgekit.backends.openvino_gpu",
        "openvino-npu": "edgekit.backends.openvino_npu",
        "onnxruntime": "edgekit.backends.onnxruntime",
        "tensorrt": "edgekit.backends.tensorrt",
        "tensorrt-rtx": "edgekit.backends.tensorrt_rtx",
        "tensorrt-on-device": "edgekit.backends.tensorrt_on_device",
        "torch": "edgekit.backends.torch_eager",
    }
)
"""Name: module. A target names the ones that can serve it (edgekit.targets.table)."""


@dataclass(frozen=True)
class CompileSettings:
    """What may be asked of a compiler; a backend takes what it knows.

    Attributes:
        compute_capabilities: such as "8.9", that TensorRT for RTX builds for; empty: the GPU at hand.
        optimization_level: 0 (fast build) to 5 (fast engine) of TensorRT; None leaves its own.
        workspace_bytes: memory that kernels may use beside weights; None is all.
        typed: whether graphs carry their precisions.
        batches: how many pictures TensorRT's engines take at once, an optimization profile each; empty for one.
        timing_cache: file in which TensorRT remembers how fast its kernels were; it changes no result by itself.
    """

    compute_capabilities: tuple[str, ...] = ()
    optimization_level: int | None = None
    workspace_bytes: int | None = None
    typed: bool = True
    timing_cache: Path | None = field(default=None, metadata=NOT_IN_KEY)
    batches: tuple[int, ...] = ()


DEFAULTS: Final = CompileSettings()


@dataclass(frozen=True)
class Identity:
    """What decides compiled forms beside graph and settings.

    Attributes:
        versions: of the libraries that compile, by name.
        hardware: what the form is bound to, such as a GPU and its driver; empty where it is bound to nothing.
    """

    versions: tuple[tuple[str, str | None], ...]
    hardware: tuple[str, ...] = ()


@dataclass(frozen=True)
class EngineLayer:
    """A layer of an engine, as TensorRT's inspector has it."""

    name: str
    kind: str
    output: str


@dataclass(frozen=True)
class Compiled:
    """A network in the form that a backend loads.

    Attributes:
        backend: a key of BACKENDS.
        path: of the compiled form (OpenVINO: .xml; ONNX Runtime: .onnx; TensorRT: .engine; torch: a JSON file that
            names network and weights).
        precision: fp32, bf16, fp16, int8 or mixed.
        size_bytes: of all its files.
        layers: of an engine, where its inspector could be asked.
        checked_by: which parser has read a graph that a device will build, if one could be asked.
    """

    backend: str
    path: str = field(metadata=NOT_IN_KEY)
    precision: str
    size_bytes: int
    layers: tuple[EngineLayer, ...] = ()
    checked_by: str | None = None


@dataclass(frozen=True)
class LayerTime:
    """How long one layer took.

    Attributes:
        microseconds: the median of its runs.
        kind: the kernel where the runtime tells it, else the operator.
        operator: such as Convolution; empty where that is not told beside the kind.
        precision: of what the layer computes with, such as int8; empty where that is not told.
        by_run: microseconds in each run, in the same order for all layers; 0 where they were too few to be told.
    """

    name: str
    kind: str
    microseconds: float
    operator: str = ""
    precision: str = ""
    by_run: tuple[float, ...] = ()


PROFILE_WARM_UP: Final = 3
"""Runs before those whose layers are timed."""


LayerKey: TypeAlias = tuple[str, str, str, str]
"""Name, kind, operator and precision of a layer."""


def slowest_first(times: Mapping[LayerKey, Sequence[float]]) -> list[LayerTime]:
    """Each layer by its microseconds run by run, of those that took any; the slowest layer first."""
    found = []
    for (name, kind, operator, precision), runs in times.items():
        took = [each for each in runs if each > 0]
        if took:
            found.append(LayerTime(name, kind, median(took), operator, precision, tuple(runs)))
    return sorted(found, key=lambda each: -each.microseconds)


class Session(Protocol):
    """A loaded network; one of a processor may have `threads`, how many compute one picture."""

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture, uint8 (1, H, W, 3) RGB."""
        ...

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes) of uint8 (n, H, W, 3) pictures, as fast as the machine can."""
        ...


class Backend(Protocol):
    """What a backend module has."""

    @property
    def RUNTIME(self) -> str:
        """The inference runtime, as reports, bundles and devices call it."""
        ...

    @property
    def PRECISIONS(self) -> tuple[str, ...]:
        """The precisions that it can execute."""
        ...

    def available(self) -> str | None:
        """The version that is installed, by metadata alone; None where it is not."""
        ...

    def identity(self, machine: Machine) -> Identity:
        """What decides compiled forms here, by metadata and what a device tells of itself."""
        ...

    def compile(
        self,
        graph: Path,
        out_dir: Path,
        precision: str,
        settings: CompileSettings,
        on_progress: Callable[[float], None] = ...,
    ) -> Compiled:
        """Writes the compiled form of a graph in `out_dir`; `on_progress` is told the share that is done.

        Raises:
            InputError: the compiler refuses the graph.
            UnavailableError: its library or its GPU is not here.
        """
        ...

    def load(self, compiled: Compiled, mode: Mode = ...) -> AbstractContextManager[Session]:
        """Loads a compiled form, tuned for one picture at a time or for many; what it holds is freed at the end."""
        ...

    def profile(self, compiled: Compiled, runs: int = ...) -> list[LayerTime]:
        """Median time of each executed layer on a grey picture, and its times run by run; the slowest first.

        Raises:
            UnavailableError: this backend cannot time layers.
        """
        ...

    def kernels(self, compiled: Compiled) -> tuple[Kernel, ...]:
        """What the runtime took for each layer with weights, read from what it compiled for this machine.

        Empty where a runtime does not tell. What is wrong with them: edgekit.runtime.kernels.findings_of.

        Raises:
            InputError: the runtime cannot load the network.
        """
        ...

    def files(self, compiled: Compiled) -> dict[str, Path]:
        """The files of a compiled form by their names in a bundle; the graph itself, model.onnx, is in every bundle."""
        ...

    def graph_format(self, release: Release | None) -> GraphFormat:
        """The form of graphs that it wants."""
        ...


def backend(name: str) -> Backend:
    """The backend of that name; its library is imported only by those that compile, load or profile."""
    return cast(Backend, importlib.import_module(BACKENDS[name]))
