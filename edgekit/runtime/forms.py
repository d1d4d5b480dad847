"""INT8 or FP16 of a bundle that has both: what was found faster on this device, kept beside its engines.

The bundle itself is signed and stays as it is.
"""

import importlib
import json
import os
from typing import Dict, List, Optional, Tuple

from .errors import BundleError
from .kept import keep, kept, path_for
from .processor_kind import processor_kind
from .quiet import no_telemetry

FP16 = "model.fp16.onnx"
"""The FP16 form of an INT8 network, in bundles that only a device can decide on."""

DLA = ("model.dla.onnx", "model.dla.cache")
"""What a DLA takes of an INT8 network before TensorRT 11: the plain graph, and scales beside it."""


def chosen_form(folder: str, words: List[str], facts: Dict[str, str]) -> Optional[str]:
    """What was found faster here of a bundle that has FP16 beside INT8: "int8" or "fp16"; None if that is not known.

    Args:
        words, facts: what the choice belongs to, for a file's name and to be compared: runtime, version and hardware.
    """
    try:
        path = _choice(folder, words)
    except BundleError:  # nowhere that anything could have been kept
        return None
    told = kept(path, facts) if path is not None else None
    return None if told is None else str(json.loads(told.decode("utf-8"))["taken"])


def choose_form(runtime: str, folder: str, taken: str, why: str) -> None:
    """Keeps what was found faster on this device with a runtime, tensorrt or onnxruntime.

    Raises:
        BundleError: the bundle has no FP16 beside INT8, or it cannot be kept.
    """
    words, facts = _tensorrt() if runtime == "tensorrt" else of_processor(runtime)
    path = _choice(folder, words)
    if path is None or taken not in ("int8", "fp16"):
        raise BundleError("%s has no FP16 form beside INT8" % folder)
    told = {"taken": taken, "why": why}
    keep(path, json.dumps(told).encode("utf-8"), facts, told)


def of_processor(runtime: str) -> Tuple[List[str], Dict[str, str]]:
    """What a choice belongs to where a processor computes: the runtime's version, and the kind of processor."""
    no_telemetry()
    version = str(importlib.import_module(runtime).__version__)
    facts = {"runtime": runtime, "version": version, "processor": processor_kind()}
    return [runtime + version, facts["processor"]], facts


def _tensorrt() -> Tuple[List[str], Dict[str, str]]:
    from .tensorrt_engine import words_and_facts

    return words_and_facts()


def _choice(folder: str, words: List[str]) -> Optional[str]:
    files = [os.path.join(folder, name) for name in ("model.onnx", FP16)]
    return path_for(words, files, "choice", ".choice") if os.path.exists(files[1]) else None
