"""OpenVINO on this machine's Intel GPU. Not yet run on hardware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgekit.backends import DEFAULTS, Compiled, CompileSettings, Identity
from edgekit.backends.openvino_plugin import *  # noqa: F403  (what these backends have alike: its __all__)
from edgekit.backends.openvino_plugin import convert, identity_of
from edgekit.targets import Machine

PRECISIONS: Final = ("int8", "mixed", "fp16", "fp32")


def identity(machine: Machine) -> Identity:
    """The version, the GPU's name and its driver."""
    return identity_of("GPU")


def compile(
    graph: Path,
    out_dir: Path,
    precision: str,
    settings: CompileSettings = DEFAULTS,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """Writes model.xml and model.bin; see edgekit.backends.openvino_plugin.convert."""
    return convert(graph, out_dir, precision, "openvino-gpu")
