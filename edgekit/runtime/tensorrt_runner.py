"""Runs a TensorRT engine of one input and one output, by the API of TensorRT 8.2 to 11 and of TensorRT for RTX.

Not yet run on hardware: tried with a double of CUDA and of TensorRT's API.
"""

from typing import Any, List, NamedTuple, Tuple

import numpy as np

from . import cuda
from .errors import BundleError

TYPES = {"UINT8": np.uint8, "FLOAT": np.float32, "HALF": np.float16}
"""TensorRT's name of a type: numpy's, of the tensors that an engine of edgekit's has at its ends."""


class Binding(NamedTuple):
    """A tensor at the end of an engine, as the engine tells of it."""

    name: str
    is_input: bool
    shape: Tuple[int, ...]
    type_name: str


def bindings(tensorrt: Any, engine: Any) -> List[Binding]:
    """The tensors at the ends of an engine, in its own order."""
    if hasattr(engine, "num_io_tensors"):  # from 8.5 on
        names = [engine.get_tensor_name(place) for place in range(engine.num_io_tensors)]
        return [
            Binding(
                name,
                engine.get_tensor_mode(name) == tensorrt.TensorIOMode.INPUT,
                tuple(engine.get_tensor_shape(name)),
                engine.get_tensor_dtype(name).name,
            )
            for name in names
        ]
    return [
        Binding(
            engine.get_binding_name(place),
            bool(engine.binding_is_input(place)),
            tuple(engine.get_binding_shape(place)),
            engine.get_binding_dtype(place).name,
        )
        for place in range(engine.num_bindings)
    ]


class Engine(object):
    """A loaded engine; called with pixels, uint8 (1, H, W, 3) RGB, it gives logits, float32 (1, classes).

    What is computed is captured as a CUDA graph where the engine allows it; the copies to and from the device are not
    part of it. Memory, stream and graph are given back when the engine is no longer used.
    """

    def __init__(self, tensorrt: Any, content: bytes) -> None:
        """Loads a serialized engine and runs it once.

        Raises:
            BundleError: it cannot be loaded or run here, or has other ends than an engine of edgekit's.
        """
        self._logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        self._runtime = tensorrt.Runtime(self._logger)  # the engine needs it for as long as it is there
        self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise BundleError("TensorRT cannot load the engine; remove it from the engines folder to build it again")
        found = bindings(tensorrt, self._engine)
        if sorted(each.is_input for each in found) != [False, True]:
            raise BundleError("the engine has not one input and one output, but %s" % (", ".join(map(_shown, found))))
        for each in found:
            if each.type_name not in TYPES or min(each.shape, default=0) < 1:
                raise BundleError("the engine's %s is none that edgekit can give or take" % _shown(each))
        given, made = sorted(found, key=lambda each: not each.is_input)
        self._context = self._engine.create_execution_context()
        self._pixels = np.zeros(given.shape, TYPES[given.type_name])
        self._logits = np.zeros(made.shape, TYPES[made.type_name])
        self._device = cuda.Cuda()
        self._given, self._made = (self._device.allocate(each.nbytes) for each in (self._pixels, self._logits))
        addresses = {given.name: self._given, made.name: self._made}
        self._in_order = [addresses[each.name] for each in found]
        self._by_name = hasattr(self._context, "execute_async_v3")
        for name, address in addresses.items() if self._by_name else ():
            self._context.set_tensor_address(name, address)
        self._run()  # what TensorRT does at the first run only is no part of a graph
        if self._can_capture():
            self._device.capture(self._enqueue)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self._pixels[...] = image
        self._run()
        return self._logits.astype(np.float32)

    def __del__(self) -> None:
        self._context = None
        if hasattr(self, "_device"):
            self._device.close()

    def _run(self) -> None:
        device = self._device
        device.copy(self._given, self._pixels.ctypes.data, self._pixels.nbytes, cuda.HOST_TO_DEVICE)
        if not device.launch() and not self._enqueue():
            raise BundleError("TensorRT cannot run the engine")
        device.copy(self._logits.ctypes.data, self._made, self._logits.nbytes, cuda.DEVICE_TO_HOST)
        device.wait()

    def _enqueue(self) -> bool:
        stream = self._device.stream.value
        if self._by_name:
            return bool(self._context.execute_async_v3(stream))
        return bool(self._context.execute_async_v2(self._in_order, stream))

    def _can_capture(self) -> bool:
        """TensorRT for RTX says whether; of the others it shows when it is tried."""
        ask = getattr(self._context, "is_stream_capturable", None)
        return ask is None or bool(ask(self._device.stream.value))


def _shown(binding: Binding) -> str:
    kind = "input" if binding.is_input else "output"
    return "%s %s, %s %s" % (kind, binding.name, binding.type_name, list(binding.shape))
