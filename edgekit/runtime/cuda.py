"""The CUDA runtime through ctypes: what running an engine needs, with nothing but the library that JetPack brings.

Not yet run on hardware. Function names and attribute numbers are those of NVIDIA's CUDA Runtime API reference.
"""

import ctypes
import ctypes.util
from typing import Any, Callable, List, Optional, Tuple  # noqa: F401  # in a type comment

from .errors import BundleError

HOST_TO_DEVICE, DEVICE_TO_HOST = 1, 2
CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76
CAPTURE_THREAD_LOCAL = 1


class Cuda:
    """One device's memory, one stream and, if it can be captured, one graph; `close` gives all back."""

    def __init__(self) -> None:
        self._lib = _library()
        self._memory: List[int] = []
        self._graph: Optional[ctypes.c_void_p] = None
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
        self._memory.append(int(address.value or 0))
        return self._memory[-1]

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

    def capture(self, enqueue: Callable[[], bool]) -> bool:
        """Captures what `enqueue()` puts on the stream as the graph; False where that cannot be done, and why not is
        no matter: the stream is as it was before.
        """
        self.drop_graph()
        try:
            self.call("cudaStreamBeginCapture", self.stream, CAPTURE_THREAD_LOCAL)
        except BundleError:
            self._lib.cudaGetLastError()
            return False
        fine, captured = False, ctypes.c_void_p()
        try:
            fine = enqueue()
        except Exception:  # TensorRT's own errors, and those of what it calls
            fine = False
        finally:  # until a capture is ended, one that went wrong makes every later call on the stream fail
            ended = self._lib.cudaStreamEndCapture(self.stream, ctypes.byref(captured)) == 0
        if fine and ended and captured.value:
            self._graph = self._instantiated(captured)
        if captured.value:
            self._lib.cudaGraphDestroy(captured)
        if self._graph is None:
            self._lib.cudaGetLastError()  # it would be told of the next call
        return self._graph is not None

    def _instantiated(self, captured: ctypes.c_void_p) -> Optional[ctypes.c_void_p]:
        """The graph as it can be launched; None where CUDA is older than 11.4 or refuses it."""
        ready = ctypes.c_void_p()
        try:
            self.call("cudaGraphInstantiateWithFlags", ctypes.byref(ready), captured, ctypes.c_ulonglong(0))
        except (AttributeError, BundleError):
            return None
        return ready

    def launch(self) -> bool:
        """Puts the captured graph on the stream; False where there is none, or where it cannot be launched: it is
        given up then.
        """
        if self._graph is None:
            return False
        if self._lib.cudaGraphLaunch(self._graph, self.stream) == 0:
            return True
        self._lib.cudaGetLastError()
        self.drop_graph()
        return False

    def drop_graph(self) -> None:
        """Gives the captured graph back, if there is one."""
        if self._graph is not None:
            self._lib.cudaGraphExecDestroy(self._graph)
            self._graph = None

    def close(self) -> None:
        """Gives graph, memory and stream back, once what is on the stream is done; a second time does nothing."""
        if self.stream.value is None:
            return
        self._lib.cudaStreamSynchronize(self.stream)
        self.drop_graph()
        while self._memory:
            self._lib.cudaFree(ctypes.c_void_p(self._memory.pop()))
        self._lib.cudaStreamDestroy(self.stream)
        self.stream = ctypes.c_void_p()


def free_bytes() -> int:
    """Memory of device 0 that is free.

    Raises:
        BundleError: there is no CUDA here, or no device.
    """
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    if _library().cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)):
        raise BundleError("there is no NVIDIA GPU that CUDA can use here")
    return int(free.value)


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
