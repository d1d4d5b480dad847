"""OpenVINO on the device's processor: compiled once, kept, and run by as many requests as are of use."""

import hashlib
import io
import os
import platform
import threading
from collections import deque
from typing import Any, Callable, Deque, Dict, Tuple

import numpy as np

from .cgroup import threads_within_quota
from .errors import BundleError
from .kept import drop_oldest, keep, kept, path_for
from .openvino_core import core
from .processor import limit
from .settings import Settings

KEPT_NETWORKS = 20
"""Compiled networks that are kept, of all bundles together."""


def load(folder: str, precision: str, settings: Settings) -> Tuple[Callable[[np.ndarray], np.ndarray], int]:
    """A function from pixels to logits for any number of threads, and how many calls at once are of use.

    Raises:
        BundleError: OpenVINO cannot load it.
    """
    # OpenVINO computes in BF16 where it can, unless told otherwise: a bundle computes as it was measured.
    wanted = {
        "PERFORMANCE_HINT": settings.mode.upper(),
        "INFERENCE_PRECISION_HINT": "bf16" if precision in ("bf16", "mixed") else "f32",
    }
    threads = settings.threads or threads_within_quota()
    if threads:
        wanted["INFERENCE_NUM_THREADS"] = str(threads)
    path = os.path.join(folder, "model.xml")
    try:
        compiled = _compiled(path, wanted) if settings.keep else _fresh(path, wanted)
        return _Requests(compiled), max(1, int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
    except RuntimeError as error:
        raise BundleError("OpenVINO cannot load %s: %s" % (path, str(error).splitlines()[0]))


def _fresh(path: str, wanted: Dict[str, str]) -> Any:
    return core().compile_model(path, "CPU", wanted)


def _compiled(path: str, wanted: Dict[str, str]) -> Any:
    """The network as it was compiled for this processor before, which is several times faster than compiling it."""
    known = core()  # switches telemetry off before openvino is imported
    import openvino

    facts = {"openvino": str(openvino.__version__), "processor": _processor()}
    sources = [path, path[: -len("xml")] + "bin"]
    try:
        place = path_for(["openvino", facts["processor"]], sources, [wanted, facts], ".blob")
    except BundleError:  # nowhere to keep it
        return _fresh(path, wanted)
    content = kept(place, facts)
    if content is not None:
        try:
            return known.import_model(io.BytesIO(content), "CPU", wanted)
        except RuntimeError:  # another build of the same release: compile it again
            pass
    made = _fresh(path, wanted)
    try:
        exported = made.export_model()
        keep(place, exported.getvalue() if hasattr(exported, "getvalue") else bytes(exported), facts)
        drop_oldest(".blob", KEPT_NETWORKS)
    except (BundleError, RuntimeError):  # a device where nothing can be written compiles each time
        pass
    return made


def _processor() -> str:
    """The kind of processor, with what it can do and may: what was compiled for it runs on no other."""
    words = [platform.machine()]
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            first = file.read(1 << 16).split("\n\n")[0]
    except OSError:
        first = platform.processor()
    passing = ("processor", "cpu MHz", "bogomips", "BogoMIPS", "apicid", "initial apicid", "core id", "physical id")
    lines = [line for line in first.splitlines() if line.partition("\t")[0].partition(":")[0].strip() not in passing]
    lines.append(limit(os.environ) or "")
    return "%s-%s" % (words[0], hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()[:8])


class _Requests(object):
    """Infer requests, made when they are needed, up to as many as are of use; a caller waits for a free one."""

    def __init__(self, compiled: Any) -> None:
        self._compiled, self._output = compiled, compiled.output(0)
        count = max(1, int(compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")))
        self._turns = threading.Semaphore(count)
        self._free: Deque[Any] = deque()

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        with self._turns:
            try:
                request = self._free.pop()  # the one used last: its memory is in the caches
            except IndexError:
                request = self._compiled.create_infer_request()
            try:
                # The pixels are read where they are: they outlive the call.
                return np.array(request.infer([pixels], share_inputs=True)[self._output], dtype=np.float32)
            finally:
                self._free.append(request)
