"""ONNX Runtime on this machine's processor: it executes the graph that a device will get, as it is.

OpenVINO is faster, but is not used for signed Q/DQ graphs: 2026.4 computes pooled and concatenated signed INT8
tensors otherwise than the graph says (logits of Inception-v4 correlate at 0.92 with ONNX Runtime's, against 0.9999
for the unsigned form of the same graph).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgekit.backends import Compiled, Mode
from edgekit.errors import InputError
from edgekit.runtime.engines import EXACT_SUMS

ERRORS_ONLY: Final = 3


class OnnxRuntimeSession:
    """A graph as ONNX Runtime runs it; see edgekit.backends.Session."""

    def __init__(self, session: Any, workers: int) -> None:
        self._session, self._workers = session, workers
        self._input = session.get_inputs()[0].name

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture."""
        out: NDArray[np.float32] = np.asarray(self._session.run(None, {self._input: picture})[0], np.float32)
        return out

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes), one picture a worker at a time."""
        with ThreadPoolExecutor(self._workers) as pool:
            return np.concatenate(list(pool.map(self.infer, (pictures[i : i + 1] for i in range(len(pictures))))))


def load(compiled: Compiled, mode: Mode = "latency") -> OnnxRuntimeSession:
    """Loads the ONNX file at `compiled.path`: all cores on one picture, or one core a picture.

    Raises:
        InputError: ONNX Runtime cannot run the graph.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = cores if mode == "latency" else 1
    options.add_session_config_entry(*EXACT_SUMS)
    try:
        session = onnxruntime.InferenceSession(compiled.path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors derive from Exception alone
        name = Path(compiled.path).name
        raise InputError(f"ONNX Runtime cannot run {name}: {str(error).splitlines()[0]}", "See --debug.") from error
    return OnnxRuntimeSession(session, 1 if mode == "latency" else cores)
