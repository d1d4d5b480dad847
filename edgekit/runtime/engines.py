"""Inference runtimes on the device: from a folder of a bundle's files to a function from pixels to logits.

Written for Python 3.6; each runtime is imported only when it is asked for.
"""

import os
from typing import Any, Callable, Dict, Optional

import numpy as np

from .errors import BundleError
from .quiet import no_telemetry

Infer = Callable[[np.ndarray], np.ndarray]
"""uint8 (1, H, W, 3) RGB pixels to float32 (1, classes) logits."""


def load(runtime: str, folder: str, precision: str, settings: Optional[Dict[str, Any]] = None) -> Infer:
    """Loads the network in `folder` with one of RUNTIMES.

    Args:
        runtime: openvino (model.xml), onnxruntime (model.onnx), tensorrt (model.onnx, its engine built on this device
            at first use) or tensorrt-rtx (model.engine).
        precision: of the network; decides what the runtime is allowed to compute in.
        settings: "threads" (int) for processors; "typed", "dla_core", "workspace_bytes" for TensorRT.
    Raises:
        BundleError: the runtime is not here, or cannot load it.
    """
    if runtime not in RUNTIMES:
        raise BundleError("there is no runtime %r; there are %s" % (runtime, ", ".join(sorted(RUNTIMES))))
    try:
        return RUNTIMES[runtime](folder, precision, settings or {})
    except ImportError as error:
        raise BundleError("%s is not installed on this device: %s" % (runtime, error))


def _openvino(folder: str, precision: str, settings: Dict[str, Any]) -> Infer:
    no_telemetry()
    import openvino

    # OpenVINO computes in BF16 where it can, unless told otherwise: a bundle computes as it was measured.
    wanted = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32"}
    if settings.get("threads"):
        wanted["INFERENCE_NUM_THREADS"] = str(settings["threads"])
    path = os.path.join(folder, "model.xml")
    try:
        compiled = openvino.Core().compile_model(path, "CPU", wanted)
    except RuntimeError as error:
        raise BundleError("OpenVINO cannot load %s: %s" % (path, str(error).splitlines()[0]))
    request, output = compiled.create_infer_request(), compiled.output(0)
    return lambda pixels: np.array(request.infer([pixels])[output], dtype=np.float32)


def _onnxruntime(folder: str, precision: str, settings: Dict[str, Any]) -> Infer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    if settings.get("threads"):
        options.intra_op_num_threads = int(settings["threads"])
    path = os.path.join(folder, "model.onnx")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors derive from Exception alone
        raise BundleError("ONNX Runtime cannot load %s: %s" % (path, str(error).splitlines()[0]))
    name = session.get_inputs()[0].name
    return lambda pixels: np.asarray(session.run(None, {name: pixels})[0], dtype=np.float32)


def _tensorrt(folder: str, precision: str, settings: Dict[str, Any]) -> Infer:
    from . import tensorrt_engine

    return tensorrt_engine.open_or_build(folder, precision, settings)


def _tensorrt_rtx(folder: str, precision: str, settings: Dict[str, Any]) -> Infer:
    from . import tensorrt_engine

    return tensorrt_engine.open_ahead_of_time(folder)


RUNTIMES = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
    "tensorrt": _tensorrt,
    "tensorrt-rtx": _tensorrt_rtx,
}  # type: Dict[str, Callable[[str, str, Dict[str, Any]], Infer]]
"""Name: what loads a folder with it."""

FILES = {
    "openvino": ("model.xml", "model.bin"),
    "onnxruntime": ("model.onnx",),
    "tensorrt": ("model.onnx",),
    "tensorrt-rtx": ("model.engine",),
}
"""Name: the files of a bundle that it loads."""
