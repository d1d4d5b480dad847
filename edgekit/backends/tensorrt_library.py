"""Finds and loads TensorRT, or TensorRT for RTX, and Polygraphy over it; one of the two in a process.

Polygraphy decides when it is first imported which of the two it drives, so a process that has built with one cannot
build with the other.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Any, Final, Literal

from edgekit.errors import UnavailableError, install_hint
from edgekit.targets.packages import installed_version

Flavour = Literal["tensorrt", "tensorrt-rtx"]

RTX_LIBRARIES: Final = ("libtensorrt_rtx.so", "libtensorrt_onnxparser_rtx.so")
"""In the order in which they need each other. They come in the wheel of ONNX Runtime's provider for TensorRT RTX."""

RTX_WHEEL: Final = "onnxruntime-ep-nv-tensorrt-rtx-cu13"


def installed(flavour: Flavour) -> str | None:
    """The version that is installed, by metadata alone; None if it is not, or if Polygraphy is missing."""
    packages = ("tensorrt-rtx-cu13-bindings",) if flavour == "tensorrt-rtx" else ("tensorrt", "tensorrt-cu13")
    found = next((each for package in packages if (each := installed_version(package)) is not None), None)
    return found if find_spec("polygraphy") is not None else None


def installed_wheel() -> str | None:
    """The version of the wheel with TensorRT for RTX's libraries."""
    return installed_version(RTX_WHEEL)


def load_library(flavour: Flavour) -> Any:
    """The module of TensorRT's Python API, with Polygraphy set to drive it.

    Raises:
        UnavailableError: it is not installed or cannot be loaded, or this process already uses the other one.
    """
    extra = "rtx" if flavour == "tensorrt-rtx" else "gpu"
    rtx = flavour == "tensorrt-rtx"
    settled = sys.modules.get("polygraphy.config")
    if settled is not None and rtx != settled.USE_TENSORRT_RTX:
        raise UnavailableError(
            f"{flavour} cannot be used in a process that has used the other TensorRT", "Run edgekit again for it."
        )
    os.environ["POLYGRAPHY_USE_TENSORRT_RTX"] = "1" if rtx else "0"
    try:
        module = _rtx() if rtx else importlib.import_module("tensorrt")
        importlib.import_module("polygraphy")
    except (ImportError, OSError, PackageNotFoundError) as error:
        raise UnavailableError(f"{flavour} cannot be loaded: {error}", install_hint("cpu", extra)) from error
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = {"": G_LOGGER.CRITICAL}  # what the parser and builder say is told by who calls them
    return module


def _rtx() -> Any:
    """TensorRT for RTX; Polygraphy and others know its module as `tensorrt_rtx`."""
    if "tensorrt_rtx" in sys.modules:
        return sys.modules["tensorrt_rtx"]
    if find_spec("tensorrt_rtx") is not None:
        return importlib.import_module("tensorrt_rtx")
    files = distribution(RTX_WHEEL).files or []
    for name in RTX_LIBRARIES:
        library = next((file for file in files if file.name.startswith(name)), None)
        if library is None:
            raise ImportError(f"{RTX_WHEEL} holds no {name}")
        ctypes.CDLL(str(library.locate()), mode=ctypes.RTLD_GLOBAL)
    module = importlib.import_module("tensorrt_rtx_bindings")
    sys.modules["tensorrt_rtx"] = module
    return module
