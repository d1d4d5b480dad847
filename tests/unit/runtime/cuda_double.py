"""A double of CUDA's runtime, and an engine that runs on it, for what is run on a GPU only.

Streams have the three states that NVIDIA's reference gives for capture (cudaStreamCaptureStatus): none, active, and
invalidated, in which "the capture sequence must be terminated with cudaStreamEndCapture on the stream where it was
initiated in order to continue using" it. What is put on a capturing stream is recorded and not run; waiting for it is
not permitted (900) and invalidates the capture; every call on an invalidated one gives 901. Ending an invalidated
capture gives 901 and a null graph, and leaves the stream as before the capture. "Device" memory is the host's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Any

import numpy as np

ILLEGAL_STATE, UNSUPPORTED, INVALIDATED, UNJOINED, NO_MEMORY, LAUNCH_FAILED = 401, 900, 901, 904, 2, 719

Work = Callable[[], None]


@dataclass
class Cudart:
    """What edgekit calls of libcudart; `fails` names functions that give an error, as they may at any time.

    Attributes:
        state: of capture, on the one stream: "none", "active" or "invalidated".
        live: handles that were made and not given back, by kind.
        begun: how often a capture was asked for; launches: of graphs.
        copies_captured: how many copies were put on the stream while it was captured.
    """

    fails: dict[str, int] = field(default_factory=dict)
    state: str = "none"
    live: dict[str, dict[int, Any]] = field(
        default_factory=lambda: {"stream": {}, "memory": {}, "graph": {}, "executable": {}}
    )
    recorded: list[Work] = field(default_factory=list)
    copies_captured: int = 0
    begun: int = 0
    launches: int = 0
    last_error: int = 0
    free_bytes: int = 2 << 30
    handles: Iterable[int] = field(default_factory=lambda: count(1000))

    def __post_init__(self) -> None:
        self.cudaGetErrorString = lambda code: f"error {code}".encode()

    def _told(self, name: str) -> int:
        """The error that a function is to give, also to whoever asks for the last one."""
        code = self.fails.get(name, 0)
        self.last_error = code or self.last_error
        return code

    def _wrong(self, code: int) -> int:
        self.last_error = code
        return code

    def _new(self, kind: str, to: Any, what: Any = None) -> int:
        handle = next(iter(self.handles))
        self.live[kind][handle] = what
        to._obj.value = handle
        return 0

    def put(self, work: Work) -> int:
        """What a kernel's launch or a copy does on the stream."""
        if self.state == "invalidated":
            return self._wrong(INVALIDATED)
        if self.state == "active":
            self.recorded.append(work)
        else:
            work()
        return 0

    def cudaGetLastError(self) -> int:
        code, self.last_error = self.last_error, 0
        return code

    def cudaStreamCreate(self, stream: Any) -> int:
        return self._told("cudaStreamCreate") or self._new("stream", stream)

    def cudaStreamDestroy(self, stream: ctypes.c_void_p) -> int:
        del self.live["stream"][stream.value or 0]
        return 0

    def cudaMalloc(self, address: Any, size: ctypes.c_size_t) -> int:
        if self.fails.get("cudaMalloc"):
            return self._told("cudaMalloc")
        block = ctypes.create_string_buffer(size.value)
        self.live["memory"][ctypes.addressof(block)] = block
        address._obj.value = ctypes.addressof(block)
        return 0

    def cudaMemGetInfo(self, free: Any, total: Any) -> int:
        free._obj.value, total._obj.value = self.free_bytes, 8 << 30
        return 0

    def cudaFree(self, address: ctypes.c_void_p) -> int:
        del self.live["memory"][address.value or 0]
        return 0

    def cudaMemcpyAsync(self, to: Any, source: Any, size: Any, kind: int, stream: ctypes.c_void_p) -> int:
        assert stream.value in self.live["stream"]
        self.copies_captured += self.state == "active"
        return self._told("cudaMemcpyAsync") or self.put(lambda: ctypes.memmove(to.value, source.value, size.value))

    def cudaStreamSynchronize(self, stream: ctypes.c_void_p) -> int:
        assert stream.value in self.live["stream"]
        if self.state != "none":
            code = UNSUPPORTED if self.state == "active" else INVALIDATED
            self.state = "invalidated"
            return self._wrong(code)
        return self._told("cudaStreamSynchronize")

    def cudaStreamBeginCapture(self, stream: ctypes.c_void_p, mode: int) -> int:
        assert mode in (0, 1, 2)
        self.begun += 1
        if self.state != "none":
            return self._wrong(ILLEGAL_STATE)
        if self._told("cudaStreamBeginCapture"):
            return self.last_error
        self.state, self.recorded = "active", []
        return 0

    def cudaStreamEndCapture(self, stream: ctypes.c_void_p, graph: Any) -> int:
        before, self.state = self.state, "none"
        graph._obj.value = None
        if before == "none":
            return self._wrong(ILLEGAL_STATE)
        if before == "invalidated":
            return self._wrong(INVALIDATED)
        return self._told("cudaStreamEndCapture") or self._new("graph", graph, list(self.recorded))

    def cudaGraphInstantiateWithFlags(self, ready: Any, graph: ctypes.c_void_p, flags: Any) -> int:
        work = self.live["graph"][graph.value or 0]
        return self._told("cudaGraphInstantiateWithFlags") or self._new("executable", ready, work)

    def cudaGraphLaunch(self, executable: ctypes.c_void_p, stream: ctypes.c_void_p) -> int:
        work = self.live["executable"][executable.value or 0]
        if self._told("cudaGraphLaunch"):
            return self.last_error
        self.launches += 1
        for each in work:
            self.put(each)
        return 0

    def cudaGraphDestroy(self, graph: ctypes.c_void_p) -> int:
        del self.live["graph"][graph.value or 0]
        return 0

    def cudaGraphExecDestroy(self, executable: ctypes.c_void_p) -> int:
        del self.live["executable"][executable.value or 0]
        return 0


DataType = Enum("DataType", "FLOAT HALF INT8 INT32 BOOL UINT8")
NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8, "INT32": np.int32}


@dataclass
class Tensor:
    """One end of an engine."""

    name: str
    is_input: bool
    shape: tuple[int, ...]
    dtype: str


class Context:
    """Adds up each channel of each picture. `in_capture` is what its run does wrong while it is captured.

    It has the members of every release of TensorRT: tensorrt_double hides those that one lacks.
    """

    def __init__(
        self, cudart: Cudart, ends: list[Tensor], in_capture: str = "", profiles: tuple[int, ...] = ()
    ) -> None:
        self.cudart, self.ends, self.in_capture, self.profiles = cudart, ends, in_capture, profiles
        self.addresses: dict[str, int] = {}
        self.shape: tuple[int, ...] | None = None
        self.profile: int | None = None

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        assert stream in self.cudart.live["stream"]
        self.profile = profile
        return profile < len(self.profiles)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        given = next(end for end in self.ends if end.is_input)
        assert name == given.name
        self.shape = shape
        return self.profile is not None and shape == (self.profiles[self.profile], *given.shape[1:])

    def set_binding_shape(self, place: int, shape: tuple[int, ...]) -> bool:
        assert self.profile is not None
        assert place // len(self.ends) == self.profile  # each profile has bindings of its own
        return self.set_input_shape(self.ends[place % len(self.ends)].name, shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        return self.run(stream)

    def execute_async_v2(self, bindings: list[int], stream: int) -> bool:
        assert len(bindings) == len(self.ends) * max(1, len(self.profiles))
        start = (self.profile or 0) * len(self.ends)
        own = bindings[start : start + len(self.ends)]
        self.addresses = {end.name: address for end, address in zip(self.ends, own, strict=True)}
        return self.run(stream)

    def run(self, stream: int) -> bool:
        if self.cudart.state == "active" and self.in_capture:
            if self.in_capture == "raises":
                raise RuntimeError("a kernel that cannot be captured")
            if self.in_capture == "waits":
                self.cudart.cudaStreamSynchronize(ctypes.c_void_p(stream))
            return False
        ends = {each.is_input: each for each in self.ends}

        def kernel() -> None:
            given, made = (self._array(ends[side]) for side in (True, False))
            made[...] = given.astype(np.float64).sum((1, 2)) / 100

        return self.cudart.put(kernel) == 0

    def _array(self, end: Tensor) -> np.ndarray:
        shape = (self.shape[0] if self.shape else end.shape[0], *end.shape[1:])
        size = int(np.prod(shape)) * np.dtype(NUMPY[end.dtype]).itemsize
        block = (ctypes.c_char * size).from_address(self.addresses[end.name])
        return np.frombuffer(block, NUMPY[end.dtype]).reshape(shape)


class CautiousContext(Context):
    """Of TensorRT for RTX, where it says that its work cannot be captured."""

    def is_stream_capturable(self, stream: int) -> bool:
        return False


class Engine:
    """With the members of every release, as Context."""

    def __init__(self, ends: list[Tensor], context: Callable[[], Context], profiles: tuple[int, ...] = ()) -> None:
        self.ends, self.context, self.profiles = ends, context, profiles
        self.num_io_tensors, self.num_optimization_profiles = len(ends), max(1, len(profiles))
        self.num_bindings = len(ends) * self.num_optimization_profiles

    def _named(self, name: str) -> Tensor:
        return next(end for end in self.ends if end.name == name)

    def get_binding_name(self, place: int) -> str:
        return self.ends[place % len(self.ends)].name

    def binding_is_input(self, place: int) -> bool:
        return self.ends[place % len(self.ends)].is_input

    def get_binding_shape(self, place: int) -> tuple[int, ...]:
        return self.ends[place % len(self.ends)].shape

    def get_binding_dtype(self, place: int) -> Enum:
        return DataType[self.ends[place % len(self.ends)].dtype]

    def get_profile_shape(self, profile: int, name: str) -> list[tuple[int, ...]]:
        return [(self.profiles[profile], *self._named(name).shape[1:])] * 3

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        return self.get_profile_shape(profile, name)

    def get_tensor_name(self, place: int) -> str:
        return self.ends[place].name

    def get_tensor_mode(self, name: str) -> str:
        return "in" if self._named(name).is_input else "out"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._named(name).shape

    def get_tensor_dtype(self, name: str) -> Enum:
        return DataType[self._named(name).dtype]

    def create_execution_context(self) -> Context:
        return self.context()
