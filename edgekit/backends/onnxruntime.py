"""ONNX Runtime on a processor: it executes a graph as it is, also those that were made for other runtimes.

It is the reference for graphs of targets that are not here. OpenVINO is no reference for signed Q/DQ graphs: 2026.4
computes pooled and concatenated signed INT8 tensors otherwise than the graph says (logits of Inception-v4 correlate at
0.92 with ONNX Runtime's, against 0.9999 for the unsigned form of the same graph).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from edgekit.backends import (
    DEFAULTS,
    PROFILE_WARM_UP,
    Compiled,
    CompileSettings,
    Identity,
    LayerKey,
    LayerTime,
    Mode,
    Session,
    slowest_first,
)
from edgekit.errors import InputError
from edgekit.quantize.graph_format import GraphFormat
from edgekit.runtime.cgroup import usable_cores
from edgekit.runtime.quiet import no_telemetry
from edgekit.runtime.shown import first_line
from edgekit.targets import Machine, Release
from edgekit.targets.packages import installed_version
from edgekit.temporary import temporary_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.runtime.kernels import Kernel

RUNTIME: Final = "onnxruntime"
PRECISIONS: Final = ("int8", "mixed", "fp16", "fp32")
HALF_OPSET: Final = 18
"""From opset 19 on ONNX Runtime 1.32 refuses FP16 networks with average pools on processors with FP16 arithmetic
(NOT_IMPLEMENTED, com.ms.internal.nhwc.AveragePool; seen on an emulated Cortex-A76)."""

ERRORS_ONLY: Final = 3
KERNEL: Final = "_kernel_time"
PRECISIONS_OF_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"float": "fp32", "float16": "fp16", "bfloat16": "bf16"}
    | {f"{sign}int{bits}": f"int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


def available() -> str | None:
    """The version that is installed."""
    return installed_version("onnxruntime")


def identity(machine: Machine) -> Identity:
    """The version alone: what is compiled is the graph itself."""
    return Identity((("onnxruntime", available()),))


def graph_format(release: Release | None) -> GraphFormat:
    """As NNCF writes it, and with Q/DQ right before and behind each operator, or ONNX Runtime leaves it in float32."""
    return GraphFormat(signed=False, typed=False, opset=None, moves=True, half_opset=HALF_OPSET)


def compile(
    graph: Path,
    out_dir: Path,
    precision: str,
    settings: CompileSettings = DEFAULTS,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """Writes model.onnx, the graph as it came: what ONNX Runtime makes of it belongs to one processor and one version.

    Raises:
        InputError: ONNX Runtime cannot run the graph.
    """
    path = out_dir / "model.onnx"
    shutil.copyfile(graph, path)
    compiled = Compiled(RUNTIME, str(path), precision, path.stat().st_size)
    _session(compiled, 1)
    return compiled


def files(compiled: Compiled) -> dict[str, Path]:
    """None beside the graph, which is in every bundle."""
    return {}


def profile(compiled: Compiled, runs: int = 20) -> list[LayerTime]:
    """Median time of each executed layer over some runs on a grey picture, the slowest first."""
    import numpy as np

    from edgekit.runtime.engines import pixel_type
    from edgekit.runtime.kernels import ADDED

    with temporary_folder() as folder:
        session = _session(compiled, usable_cores(), profile_in=folder)
        name, shape = session.get_inputs()[0].name, session.get_inputs()[0].shape
        picture = np.full(shape, 128, pixel_type(session))
        for _ in range(runs + PROFILE_WARM_UP):
            session.run(None, {name: picture})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[LayerKey, list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            layer = ADDED.sub("", event["name"].removesuffix(KERNEL))
            told = event["args"]
            precision = _precision(told.get("input_type_shape"), told.get("output_type_shape"))
            key = (layer, told["op_name"], told["op_name"], precision)
            times.setdefault(key, []).append(float(event["dur"]))
    return slowest_first({layer: found[PROFILE_WARM_UP:] for layer, found in times.items()})


def _precision(*sides: Sequence[Mapping[str, Sequence[int]]] | None) -> str:
    """The type of an operator's first input, and of its output where that is another; empty where none is told.

    Args:
        sides: its inputs and outputs, each a type and a shape.
    """
    types = [PRECISIONS_OF_TYPES.get(next(iter(side[0])), "") for side in sides if side]
    return " → ".join(dict.fromkeys(filter(None, types)))


def kernels(compiled: Compiled) -> tuple[Kernel, ...]:
    """As the graph has them that ONNX Runtime makes of this one."""
    from edgekit.runtime.errors import BundleError
    from edgekit.runtime.kernels import of_onnxruntime

    try:
        return tuple(of_onnxruntime(compiled.path, _options(usable_cores())))
    except BundleError as error:
        raise InputError(str(error), "See --debug.") from error


class OnnxRuntimeSession:
    """A graph as ONNX Runtime runs it; see edgekit.backends.Session. `threads` compute one picture."""

    def __init__(self, session: Any, workers: int) -> None:
        from edgekit.runtime.engines import pixel_type

        self._session, self._workers = session, workers
        self.threads = int(session.get_session_options().intra_op_num_threads) or None
        self._input, self._type = session.get_inputs()[0].name, pixel_type(session)

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture."""
        import numpy as np

        pixels = picture.astype(self._type, copy=False)
        out: NDArray[np.float32] = np.asarray(self._session.run(None, {self._input: pixels})[0], np.float32)
        return out

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes), one picture a worker at a time."""
        import numpy as np

        with ThreadPoolExecutor(self._workers) as pool:
            return np.concatenate(list(pool.map(self.infer, (pictures[i : i + 1] for i in range(len(pictures))))))

    def close(self) -> None:
        """Drops the session, and with it the network's memory."""
        self._session = None


@contextmanager
def load(compiled: Compiled, mode: Mode = "latency") -> Iterator[Session]:
    """Loads the ONNX file at `compiled.path`: all cores on one picture, or one core a picture.

    Raises:
        InputError: ONNX Runtime cannot run the graph.
    """
    cores = usable_cores()
    session = OnnxRuntimeSession(
        _session(compiled, cores if mode == "latency" else 1), 1 if mode == "latency" else cores
    )
    try:
        yield session
    finally:
        session.close()


def _options(threads: int) -> Any:
    """Kernels that add INT8 products up exactly, also where there is no VNNI (edgekit.runtime.engines)."""
    from edgekit.runtime.engines import EXACT_SUMS

    no_telemetry()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.add_session_config_entry(*EXACT_SUMS)
    return options


def _session(compiled: Compiled, threads: int, profile_in: Path | None = None) -> Any:
    options = _options(threads)
    no_telemetry()
    import onnxruntime

    from edgekit.models.onnx_graph import quantizes_by_channel
    from edgekit.models.run_graph import AS_WRITTEN

    if quantizes_by_channel(Path(compiled.path)):
        options.add_session_config_entry(*AS_WRITTEN)
    if profile_in is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile_in / "profile")
    try:
        return onnxruntime.InferenceSession(compiled.path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors derive from Exception alone
        name = Path(compiled.path).name
        raise InputError(f"ONNX Runtime cannot run {name}: {first_line(error)}", "See --debug.") from error
