"""OpenVINO on this machine's processor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
from edgekit.runtime.cgroup import threads_within_quota
from edgekit.targets import Machine, Release
from edgekit.targets.packages import installed_version

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RUNTIME: Final = "openvino"
PRECISIONS: Final = ("int8", "mixed", "bf16", "fp32")

# OpenVINO runs FP32 networks in BF16 where it can, unless told otherwise. What INT8 leaves in floating point stays
# FP32, so that a bundle computes the same on processors with and without BF16; a mixed one was judged with BF16.
PRECISION_HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {"fp32": "f32", "bf16": "bf16", "int8": "f32", "mixed": "bf16"}
)

KERNEL_PRECISIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"i8": "int8", "u8": "int8", "bf16": "bf16", "f16": "fp16", "fp16": "fp16", "f32": "fp32", "fp32": "fp32"}
    | {name: f"int{name[1:]}" for name in ("i16", "i32", "i64")}
)


def available() -> str | None:
    """The version that is installed."""
    return installed_version("openvino")


def identity(machine: Machine) -> Identity:
    """The version alone: the form is the same for all processors, each of which compiles it further when it loads."""
    return Identity((("openvino", available()),))


def graph_format(release: Release | None) -> GraphFormat:
    """As NNCF writes it."""
    return GraphFormat(signed=False, typed=False, opset=None)


def compile(
    graph: Path,
    out_dir: Path,
    precision: str,
    settings: CompileSettings = DEFAULTS,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """Writes model.xml and model.bin; weights of a bf16 network are kept in 16 bits.

    Args:
        graph: ONNX, uint8 NHWC input, preprocessing inside; Q/DQ for int8.
    Raises:
        InputError: OpenVINO cannot read the graph.
    """
    core = _core()
    import openvino

    try:
        model = core.read_model(str(graph))
    except RuntimeError as error:
        raise InputError(f"OpenVINO cannot read {graph.name}: {str(error).splitlines()[0]}", "See --debug.") from error
    path = out_dir / "model.xml"
    openvino.save_model(model, str(path), compress_to_fp16=precision == "bf16")
    return Compiled(RUNTIME, str(path), precision, path.stat().st_size + path.with_suffix(".bin").stat().st_size)


def files(compiled: Compiled) -> dict[str, Path]:
    """model.xml and model.bin."""
    path = Path(compiled.path)
    return {"model.xml": path, "model.bin": path.with_suffix(".bin")}


class OpenVinoSession:
    """A network compiled for the processor; see edgekit.backends.Session.

    Requests are waited for in turn, without callbacks: OpenVINO's own queue calls Python from its threads, and
    can wait for the interpreter's lock for ever when it is dropped.
    """

    def __init__(self, model: Any) -> None:
        self._output = model.output(0)
        count = int(model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        # twice as many as run at once: the next ones are there when one ends before its turn to be waited for
        self._requests = [model.create_infer_request() for _ in range(2 * max(1, count))]

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture."""
        import numpy as np

        return np.array(self._requests[0].infer([picture])[self._output], np.float32)

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes), as many requests in flight as the runtime likes."""
        import numpy as np

        rows: list[NDArray[np.float32]] = []
        ahead = len(self._requests)
        for place in range(len(pictures) + ahead):
            request = self._requests[place % ahead]
            if ahead <= place:
                request.wait()
                rows.append(np.array(request.get_output_tensor(0).data[0], np.float32))
            if place < len(pictures):
                request.start_async([pictures[place : place + 1]])
            if len(rows) == len(pictures):
                break
        return np.stack(rows)

    def close(self) -> None:
        """Drops the requests, and with them the network's memory."""
        self._requests.clear()
        self._output = None


@contextmanager
def load(compiled: Compiled, mode: Mode = "latency") -> Iterator[Session]:
    """Compiles the network for this processor, in the precision that its name says."""
    settings = {
        "PERFORMANCE_HINT": mode.upper(),
        "INFERENCE_PRECISION_HINT": PRECISION_HINTS[compiled.precision],
        **_held_to_quota(),
    }
    session = OpenVinoSession(_core().compile_model(compiled.path, "CPU", settings))
    try:
        yield session
    finally:
        session.close()


def profile(compiled: Compiled, runs: int = 20) -> list[LayerTime]:
    """Median time of each executed layer over some runs on a grey picture, the slowest first."""
    import numpy as np

    settings = {
        "PERF_COUNT": "YES",
        "INFERENCE_PRECISION_HINT": PRECISION_HINTS[compiled.precision],
        **_held_to_quota(),
    }
    model = _core().compile_model(compiled.path, "CPU", settings)
    request = model.create_infer_request()
    picture = np.full(tuple(model.input(0).shape), 128, np.uint8)
    times: dict[LayerKey, list[float]] = {}
    for run in range(runs + PROFILE_WARM_UP):
        request.infer([picture])
        for layer in request.get_profiling_info() if run >= PROFILE_WARM_UP else []:
            if layer.real_time.total_seconds() > 0:
                key = (layer.node_name, layer.exec_type, layer.node_type, _precision(layer.exec_type))
                times.setdefault(key, []).append(layer.real_time.total_seconds() * 1e6)
    return slowest_first(times)


def _precision(kernel: str) -> str:
    """What a kernel computes with, by the end of its name, such as brgconv_avx512_amx_I8; empty where that is new."""
    return KERNEL_PRECISIONS.get(kernel.rpartition("_")[2].lower(), "")


def _held_to_quota() -> dict[str, str]:
    """Threads where a quota of processor time carries fewer than OpenVINO would take, which goes by the affinity."""
    threads = threads_within_quota()
    return {"INFERENCE_NUM_THREADS": str(threads)} if threads else {}


def _core() -> Any:
    """The one Core of the process, telemetry off before OpenVINO is imported."""
    from edgekit.runtime.quiet import no_telemetry

    no_telemetry()
    from edgekit.runtime.openvino_core import core

    return core()
