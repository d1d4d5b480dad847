"""The CUDA runtime through ctypes: what running an engine needs, with nothing but the library that JetPack brings.

Not yet run on hardware. Function names and attribute numbers are those of NVIDIA's CUDA Runtime API reference.
"""

import ctypes
import ctypes.util
from typing import Any, Optional, Tuple

from .errors import BundleError

HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
CAPTURE_THREAD_LOCAL = 1


class Cuda:
    """One device's memory, one stream and, if it can be captured, one graph."""

    def __init__(self) -> None:
        self._lib = _library()
        self.stream = ctypes.c_void_p()
        self.call("cudaStreamCreate", ctypes.byref(self.stream))

    def call(self, name: str, *arguments: Any) -> None:
        """Calls a function of the runtime.

        Raises:
            BundleError: it answers with an error; CUDA's own words are in it.
        """
        code = getattr(self._lib, name)(*arguments)
        if code:
            self._lib.cudaGetErrorString.restype = ctypes.c_char_p
            raise BundleError("CUDA: %s failed: %s" % (name, self._lib.cudaGetErrorString(code).decode()))

    def allocate(self, size_bytes: int) -> int:
        """Address of new device memory."""
        address = ctypes.c_void_p()
        self.call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(size_bytes))
        return int(address.value or 0)

    def copy(self, to: int, source: int, size_bytes: int, kind: int) -> None:
        """Copies on the stream."""
        self.call(
            "cudaMemcpyAsync",
            ctypes.c_void_p(to),
            ctypes.c_void_p(source),
            ctypes.c_size_t(size_bytes),
            kind,
            self.stream,
        )

    def wait(self) -> None:
        """Until all on the stream is done."""
        self.call("cudaStreamSynchronize", self.stream)

    def capture(self, enqueue: Any) -> Optional[ctypes.c_void_p]:
        """Captures what `enqueue()` puts on the stream as a graph; None where the engine does not allow it."""
        graph, ready = ctypes.c_void_p(), ctypes.c_void_p()
        try:
            self.call("cudaStreamBeginCapture", self.stream, CAPTURE_THREAD_LOCAL)
            fine = enqueue()
            self.call("cudaStreamEndCapture", self.stream, ctypes.byref(graph))
            if not fine or not graph.value:
                return None
            self.call("cudaGraphInstantiateWithFlags", ctypes.byref(ready), graph, ctypes.c_ulonglong(0))
        except (AttributeError, BundleError):  # an older CUDA, or an engine with host-side work
            self._lib.cudaGetLastError()
            return None
        return ready

    def launch(self, graph: ctypes.c_void_p) -> None:
        """Puts a captured graph on the stream."""
        self.call("cudaGraphLaunch", graph, self.stream)


def describe_gpu() -> Tuple[str, str]:
    """Compute capability of device 0, such as "8.7", and the CUDA runtime's version, such as "12.6".

    Raises:
        BundleError: there is no CUDA here, or no device.
    """
    lib, number = _library(), ctypes.c_int()

    def ask(name: str, *arguments: Any) -> int:
        if getattr(lib, name)(ctypes.byref(number), *arguments):
            raise BundleError("there is no NVIDIA GPU that CUDA can use here")
        return number.value

    major = ask("cudaDeviceGetAttribute", CAPABILITY_MAJOR, 0)
    minor = ask("cudaDeviceGetAttribute", CAPABILITY_MINOR, 0)
    version = ask("cudaRuntimeGetVersion")
    return "%d.%d" % (major, minor), "%d.%d" % (version // 1000, version % 1000 // 10)


def _library() -> Any:
    names = ["libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so.10.2"]
    found = ctypes.util.find_library("cudart")
    for name in ([found] if found else []) + names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise BundleError("the CUDA runtime (libcudart.so) is not on this device")
