"""OpenVINO on this machine's NPU, and in FP32, which that does not compute, on its processor.

Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from edgekit.backends import DEFAULTS, Compiled, CompileSettings, Identity
from edgekit.backends.openvino_plugin import *  # noqa: F403  (what these backends have alike: its __all__)
from edgekit.backends.openvino_plugin import convert, identity_of
from edgekit.targets import Machine

PRECISIONS: Final = ("int8", "mixed", "fp16")


def identity(machine: Machine) -> Identity:
    """The version, the NPU's name and its driver."""
    return identity_of("NPU")


def compile(
    graph: Path,
    out_dir: Path,
    precision: str,
    settings: CompileSettings = DEFAULTS,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """Writes model.xml and model.bin; of an FP32 network in the form of the processor's backend, which then runs it.

    So the baseline of a build is true FP32: who loads a compiled form goes by the backend that it names, and a report
    says where that is another than the variant's. See edgekit.backends.openvino_plugin.convert.
    """
    return convert(graph, out_dir, precision, "openvino" if precision == "fp32" else "openvino-npu")
