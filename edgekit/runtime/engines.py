"""Inference runtimes on the device: from a folder of a bundle's files to a network that pixels are given to.

Written for Python 3.6; each runtime is imported only when it is asked for.
"""

import importlib.util
import os
import threading
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple  # noqa: F401  # in a type comment

import numpy as np

from .cgroup import threads_within_quota, usable_cores
from .errors import BundleError, MissingError
from .forms import FP16, chosen_form, of_processor
from .kernels import Kernel, of_onnxruntime
from .quiet import no_telemetry
from .settings import Settings
from .shown import first_line

Infer = Callable[[np.ndarray], np.ndarray]
"""uint8 (1, H, W, 3) RGB pixels to float32 (1, classes) logits."""

EXACT_SUMS = ("session.x64quantprecision", "1")
"""For ONNX Runtime. On x86 processors without VNNI its usual kernels add INT8 products up in 16 bits, where they
saturate, by which EfficientNet-Lite1 lost 20 points. This takes slower kernels there and changes nothing elsewhere
(onnxruntime_session_options_config_keys.h).
"""


class Network:
    """A network that is loaded; called with pixels it gives logits, see Infer. Any number of threads may call it.

    Attributes:
        runtime: a key of RUNTIMES.
        parallel: how many calls at once are of use (int); more wait, or slow each other down.
        batches: how many pictures it takes in one call (tuple of ints); with more than one, any number may be given.
        kernels: gives what the runtime took for each layer with weights, and the precision that it was loaded in (INT8
            or FP16 of a bundle that has both); no layers where it does not tell. Takes as long as loading, and raises
            BundleError where they cannot be read.
        threads: how many compute one call (int); None where that is not known.
    """

    def __init__(
        self,
        runtime: str,
        infer: Infer,
        parallel: int = 1,
        batches: Tuple[int, ...] = (1,),
        kernels: Callable[[], Tuple[List[Kernel], str]] = lambda: ([], ""),
        threads: Optional[int] = None,
    ) -> None:
        self.runtime, self.parallel, self.batches, self._infer = runtime, parallel, batches, infer
        self.kernels, self.threads = kernels, threads

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        try:
            return self._infer(pixels)
        except BundleError:
            raise
        except Exception as error:  # every runtime has errors of its own
            raise BundleError("%s cannot run the network: %s" % (self.runtime, " ".join(str(error).split())))


def load(runtime: str, folder: str, precision: str, settings: Settings = Settings()) -> Network:  # noqa: B008  # it is frozen
    """Loads the network in `folder` with one of RUNTIMES.

    Args:
        runtime: openvino (model.xml), onnxruntime (model.onnx), tensorrt (model.onnx, its engine built on this device
            at first use) or tensorrt-rtx (model.engine).
        precision: of the network; decides what the runtime is allowed to compute in.
        settings: what it is asked for.
    Raises:
        BundleError: the runtime cannot load it.
        MissingError: the runtime is not here.
    """
    if runtime not in RUNTIMES:
        raise BundleError("there is no runtime %r; there are %s" % (runtime, ", ".join(sorted(RUNTIMES))))
    try:
        return RUNTIMES[runtime](folder, precision, settings)
    except ImportError as error:
        raise MissingError("%s is not installed on this device (%s): %s" % (runtime, error, INSTALL[runtime]))


def choose(own: str, files: Iterable[str]) -> str:
    """The runtime to load a bundle with: its own where that is installed, else another that can run its files.

    Args:
        own: the one that the bundle was built for; files: their names.
    Raises:
        MissingError: none is installed; the message says how to get one.
    """
    found = able(own, files)
    if not found:
        raise BundleError("the bundle is for the runtime %r, which is not known here, and has no other model" % own)
    for each in found:
        if importlib.util.find_spec(MODULES[each]) is not None:
            return each
    hints = "; or ".join(INSTALL[each] for each in found)
    raise MissingError("no runtime for this bundle is installed (%s): %s" % (", ".join(found), hints))


def able(own: str, files: Iterable[str]) -> List[str]:
    """The runtimes that can run a bundle's files, the one that it was built for first.

    TensorRT is no second choice: it takes only graphs that were quantized by its rules.
    """
    others = [each for each in ("openvino", "onnxruntime") if each != own]
    named = set(files)
    return [each for each in ([own] if own in RUNTIMES else []) + others if set(FILES[each]) <= named]


def _openvino(folder: str, precision: str, settings: Settings) -> Network:
    from . import openvino_network

    infer, parallel = openvino_network.load(folder, precision, settings)
    return Network("openvino", infer, parallel, kernels=lambda: (infer.kernels(), precision), threads=infer.threads())


def _onnxruntime(folder: str, precision: str, settings: Settings) -> Network:
    no_telemetry()
    import onnxruntime

    threads, many = settings.threads or threads_within_quota(), settings.mode == "throughput"

    def options() -> Any:
        made = onnxruntime.SessionOptions()
        made.log_severity_level = 3  # errors
        made.add_session_config_entry(*EXACT_SUMS)
        if many or threads:  # for throughput each call has a thread of its own instead of a share of every layer
            made.intra_op_num_threads = 1 if many else threads
        return made

    path = os.path.join(folder, "model.onnx")
    if os.path.exists(os.path.join(folder, FP16)) and chosen_form(folder, *of_processor("onnxruntime")) == "fp16":
        path, precision = os.path.join(folder, FP16), "fp16"
    try:
        session = onnxruntime.InferenceSession(path, options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors derive from Exception alone
        raise BundleError("ONNX Runtime cannot load %s: %s" % (path, first_line(error)))
    name, kind = session.get_inputs()[0].name, pixel_type(session)

    def infer(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(None, {name: pixels.astype(kind, copy=False)})[0], dtype=np.float32)

    parallel = (threads or usable_cores()) if many else 1
    told = 1 if many else threads or None  # without a number ONNX Runtime takes one a physical core
    return Network(
        "onnxruntime", infer, parallel, kernels=lambda: (of_onnxruntime(path, options()), precision), threads=told
    )


def pixel_type(session: Any) -> Any:
    """The type in which an ONNX Runtime session takes pixels: graphs for TensorRT before 8.5 take float32."""
    return np.uint8 if session.get_inputs()[0].type == "tensor(uint8)" else np.float32


def _tensorrt(folder: str, precision: str, settings: Settings) -> Network:
    from . import tensorrt_engine

    engine = tensorrt_engine.open_or_build(folder, precision, settings)
    return Network("tensorrt", _in_turn(engine), batches=engine.batches)


def _tensorrt_rtx(folder: str, precision: str, settings: Settings) -> Network:
    from . import tensorrt_engine

    engine = tensorrt_engine.open_ahead_of_time(folder)
    return Network("tensorrt-rtx", _in_turn(engine), batches=engine.batches)


def _in_turn(infer: Infer) -> Infer:
    """One call at a time: an engine's memory and stream are of one run."""
    lock = threading.Lock()

    def locked(pixels: np.ndarray) -> np.ndarray:
        with lock:
            return infer(pixels)

    return locked


RUNTIMES: Dict[str, Callable[[str, str, Settings], Network]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
    "tensorrt": _tensorrt,
    "tensorrt-rtx": _tensorrt_rtx,
}
"""Name: what loads a folder with it."""

FILES = {
    "openvino": ("model.xml", "model.bin"),
    "onnxruntime": ("model.onnx",),
    "tensorrt": ("model.onnx",),
    "tensorrt-rtx": ("model.engine",),
}
"""Name: the files of a bundle that it loads."""

MODULES = {
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt_rtx",
}
"""Name: what is imported for it."""

INSTALL = {
    "openvino": "pip install openvino",
    "onnxruntime": "pip install onnxruntime",
    "tensorrt": "TensorRT comes with JetPack, or pip install tensorrt",
    "tensorrt-rtx": "pip install tensorrt-rtx",
}
"""Name: how to get it."""
