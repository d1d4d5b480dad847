"""Keeps libraries from saying what nobody asked for: over the network, and between the lines of a command."""

import io
import os
import sys
import warnings
from typing import Any

from .errors import DeviceWarning
from .shown import line


def no_telemetry() -> None:
    """To be called before openvino, nncf or onnxruntime is imported: the first and the last report over the network.

    What OpenVINO and NNCF report with then counts as not installed. ONNX Runtime's wheels for Linux report sessions and
    hashes of networks by themselves from 1.29 on, and keep a data base under ~/.cache and a file among the temporary
    ones for it; only the environment keeps them from it, `disable_telemetry_events()` comes too late.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what makes an import fail


def no_image_warnings() -> None:
    """For commands: Pillow warns of odd images in lines of its own; those that cannot be read are told of anyway."""
    warnings.filterwarnings("ignore", module=r"PIL\b")


def device_warnings_in_a_line() -> None:
    """For commands: that a bundle runs on another device is said as they say things, without a place in the code."""
    others = warnings.showwarning

    def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
        if issubclass(category, DeviceWarning):
            sys.stderr.write("edgekit: warning: %s\n" % line(str(message)))
        else:
            others(message, category, *where, **more)

    warnings.showwarning = show


def any_character() -> None:
    """For commands: characters that the locale's encoding lacks are written as escapes, and are no error.

    Python 3.6, of older Jetsons, has ASCII where no locale is set.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if getattr(stream, "errors", None) == "backslashreplace":
            continue  # a wrapper of its own, which would close what it wraps when another took its place
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        elif hasattr(stream, "buffer"):
            setattr(
                sys, name, io.TextIOWrapper(stream.buffer, stream.encoding, "backslashreplace", line_buffering=True)
            )


def nobody_reads() -> None:
    """For commands whose output is no longer read, by `head` for one: what is left to flush goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
