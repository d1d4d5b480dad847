"""Keeps libraries from saying what nobody asked for: over the network, and between the lines of a command."""

import os
import sys
import warnings


def no_telemetry() -> None:
    """To be called before openvino or nncf is imported: OpenVINO reports its import over the network unless it cannot.

    What they report with then counts as not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # what makes an import fail


def no_image_warnings() -> None:
    """For commands: Pillow warns of odd images in lines of its own; those that cannot be read are told of anyway."""
    warnings.filterwarnings("ignore", module=r"PIL\b")


def nobody_reads() -> None:
    """For commands whose output is no longer read, by `head` for one: what is left to flush goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
