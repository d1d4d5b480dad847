"""OpenVINO's entry, one for the whole process.

The CPU plugin gives the thread that first uses it an alternate stack for signals, and puts back what was there before
when it is unloaded. With several of them in turn that can be a stack that is gone already; the next signal with a
handler, Ctrl-C for one, then ends the process with a segmentation fault (OpenVINO 2026.4.1). So there is one, and it
stays.
"""

import threading
from typing import Any, Optional

from .quiet import no_telemetry

_lock = threading.Lock()
_core: Optional[Any] = None


def core() -> Any:
    """The process's openvino.Core, made when it is first asked for."""
    global _core
    with _lock:
        if _core is None:
            no_telemetry()
            import openvino

            _core = openvino.Core()
        return _core
