"""OpenVINO on this machine's processor."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.backends import Compiled, LayerTime, Mode
from edgekit.errors import InputError
from edgekit.runtime.openvino_core import core
from edgekit.runtime.quiet import no_telemetry

no_telemetry()
import openvino  # noqa: E402  # not before the line above

# OpenVINO runs FP32 networks in BF16 where it can, unless told otherwise. What INT8 leaves in floating point stays
# FP32, so that a bundle computes the same on processors with and without BF16; a mixed one was judged with BF16.
PRECISION_HINTS: Final[Mapping[str, str]] = MappingProxyType(
    {"fp32": "f32", "bf16": "bf16", "int8": "f32", "mixed": "bf16"}
)


def compile(graph: Path, out_dir: Path, precision: str) -> Compiled:
    """Writes model.xml and model.bin; weights of a bf16 network are kept in 16 bits.

    Args:
        graph: ONNX, uint8 NHWC input, preprocessing inside; Q/DQ for int8.
    Raises:
        InputError: OpenVINO cannot read the graph.
    """
    try:
        model = core().read_model(str(graph))
    except RuntimeError as error:
        raise InputError(f"OpenVINO cannot read {graph.name}: {str(error).splitlines()[0]}", "See --debug.") from error
    path = out_dir / "model.xml"
    openvino.save_model(model, str(path), compress_to_fp16=precision == "bf16")
    return Compiled("openvino", str(path), precision, path.stat().st_size + path.with_suffix(".bin").stat().st_size)


class OpenVinoSession:
    """A network compiled for the processor; see edgekit.backends.Session.

    Requests are waited for in turn, without callbacks: OpenVINO's own queue calls Python from its threads, and
    can wait for the interpreter's lock for ever when it is dropped.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._output = model, model.output(0)
        count = int(model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        # twice as many as run at once: the next ones are there when one ends before its turn to be waited for
        self._requests = [model.create_infer_request() for _ in range(2 * max(1, count))]

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture."""
        return np.array(self._requests[0].infer([picture])[self._output], np.float32)

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes), as many requests in flight as the runtime likes."""
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


def load(compiled: Compiled, mode: Mode = "latency") -> OpenVinoSession:
    """Compiles the network for this processor, in the precision that its name says."""
    settings = {
        "PERFORMANCE_HINT": mode.upper(),
        "INFERENCE_PRECISION_HINT": PRECISION_HINTS[compiled.precision],
    }
    return OpenVinoSession(core().compile_model(compiled.path, "CPU", settings))


def profile(compiled: Compiled, runs: int = 20) -> list[LayerTime]:
    """Median time of each executed layer over some runs on a grey picture, the slowest first."""
    settings = {"PERF_COUNT": "YES", "INFERENCE_PRECISION_HINT": PRECISION_HINTS[compiled.precision]}
    model = core().compile_model(compiled.path, "CPU", settings)
    request = model.create_infer_request()
    picture = np.full(tuple(model.input(0).shape), 128, np.uint8)
    times: dict[tuple[str, str], list[float]] = {}
    for run in range(runs + 3):
        request.infer([picture])
        for layer in request.get_profiling_info() if run >= 3 else []:
            if layer.real_time.total_seconds() > 0:
                times.setdefault((layer.node_name, layer.exec_type), []).append(layer.real_time.total_seconds() * 1e6)
    medians = (LayerTime(*key, float(np.median(found))) for key, found in times.items())
    return sorted(medians, key=lambda each: -each.microseconds)
