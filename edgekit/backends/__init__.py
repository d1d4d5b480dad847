"""Runtimes that execute a compressed graph. Each is one module with the same functions, named in RUNTIMES.

A runtime module has `load(compiled, mode)` and, where it makes something of a graph,
`compile(graph, out_dir, precision)` and `profile(compiled)`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Mode = Literal["latency", "throughput"]

RUNTIMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "openvino": "edgekit.backends.openvino",
        "onnxruntime": "edgekit.backends.onnxruntime",
        "tensorrt": "edgekit.backends.tensorrt",
        "tensorrt-rtx": "edgekit.backends.tensorrt",
        "torch": "edgekit.backends.torch_eager",
    }
)


@dataclass(frozen=True)
class Compiled:
    """A network in the form that a runtime loads.

    Attributes:
        runtime: a key of RUNTIMES.
        path: of the compiled form (OpenVINO: .xml; ONNX Runtime: .onnx; TensorRT: .engine; torch: a JSON that
            names network and weights).
        precision: fp32, bf16, fp16 or int8.
        size_bytes: of all its files.
    """

    runtime: str
    path: str
    precision: str
    size_bytes: int


@dataclass(frozen=True)
class LayerTime:
    """How long one layer took."""

    name: str
    kind: str
    microseconds: float


class Session(Protocol):
    """A loaded network."""

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture, uint8 (1, H, W, 3) RGB."""
        ...

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes) of uint8 (n, H, W, 3) pictures, as fast as the machine can."""
        ...


def load(compiled: Compiled, mode: Mode = "latency") -> Session:
    """Loads a compiled network with its runtime, tuned for one picture at a time or for many."""
    module: Any = importlib.import_module(RUNTIMES[compiled.runtime])
    session: Session = module.load(compiled, mode)
    return session
