"""Runs a TensorRT engine of one input and one output, by the API of TensorRT 8.2 to 11 and of TensorRT for RTX.

Not yet run on hardware: tried with doubles of CUDA, and of TensorRT with the members of its own bindings.
"""

from typing import Any, List, NamedTuple, Optional, Tuple

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


def profiles(engine: Any) -> int:
    """How many optimization profiles an engine has: one for each number of pictures that it was built for."""
    return max(1, int(engine.num_optimization_profiles))


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
        for place in range(engine.num_bindings // profiles(engine))  # each profile has bindings of its own
    ]


def batch_of(engine: Any, given: Binding, profile: int) -> int:
    """How many pictures an engine takes at once with one of its profiles."""
    if given.shape[0] > 0:
        return given.shape[0]
    if hasattr(engine, "get_tensor_profile_shape"):  # from 8.5 on
        return int(engine.get_tensor_profile_shape(given.name, profile)[1][0])
    return int(engine.get_profile_shape(profile, given.name)[1][0])


class Engine:
    """A loaded engine; called with pixels, uint8 (n, H, W, 3) RGB, it gives logits, float32 (n, classes).

    What is computed is captured as a CUDA graph where the engine allows it; the copies to and from the device are not
    part of it. Memory, streams and graphs are given back when the engine is no longer used.

    Attributes:
        batches: how many pictures it takes at once (ints, the fewest first); others are made of these.
    """

    def __init__(self, tensorrt: Any, content: bytes, dla_core: Optional[int] = None) -> None:
        """Loads a serialized engine and runs it once.

        Raises:
            BundleError: it cannot be loaded or run here, or has other ends than an engine of edgekit's.
        """
        self._ways: List[_Way] = []
        self._logger = tensorrt.Logger(tensorrt.Logger.ERROR)
        self._runtime = tensorrt.Runtime(self._logger)  # the engine needs it for as long as it is there
        if dla_core is not None:  # before the engine is loaded, else it is put on core 0
            self._runtime.DLA_core = dla_core
        self._engine = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise BundleError("TensorRT cannot load the engine; remove it from the engines folder to build it again")
        found = bindings(tensorrt, self._engine)
        if sorted(each.is_input for each in found) != [False, True]:
            raise BundleError("the engine has not one input and one output, but %s" % (", ".join(map(_shown, found))))
        for each in found:
            if each.type_name not in TYPES or min(each.shape[1:], default=0) < 1 or each.shape[0] == 0:
                raise BundleError("the engine's %s is none that edgekit can give or take" % _shown(each))
        given, made = sorted(found, key=lambda each: not each.is_input)
        if given.shape[0] < 0 < made.shape[0] or made.shape[0] < 0 < given.shape[0]:
            raise BundleError("the engine's %s does not go with its %s" % (_shown(made), _shown(given)))
        count = profiles(self._engine) if given.shape[0] < 0 else 1
        try:
            for profile in range(count):
                batch = batch_of(self._engine, given, profile)
                self._ways.append(_Way(self._engine, found, batch, profile if given.shape[0] < 0 else None))
        except BaseException:
            self.close()
            raise
        self._ways.sort(key=lambda way: way.batch)
        self.batches = tuple(way.batch for way in self._ways)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        rows, done = [], 0
        while done < len(images):
            fitting = [way for way in self._ways if way.batch <= len(images) - done]
            way = fitting[-1] if fitting else self._ways[0]
            rows.append(way(images[done : done + way.batch]))
            done += way.batch
        return np.concatenate(rows)

    def close(self) -> None:
        """Gives back what it has on the device."""
        for way in self._ways:
            way.close()

    def __del__(self) -> None:
        self.close()


class _Way:
    """One number of pictures at once: a context with one optimization profile, its memory, stream and graph."""

    def __init__(self, engine: Any, ends: List[Binding], batch: int, profile: Optional[int]) -> None:
        self.batch = batch
        self._device = cuda.Cuda()
        try:
            self._prepare(engine, ends, profile)
        except BaseException:
            self.close()
            raise

    def _prepare(self, engine: Any, ends: List[Binding], profile: Optional[int]) -> None:
        given, made = sorted(ends, key=lambda each: not each.is_input)
        self._context = engine.create_execution_context()
        self._by_name = hasattr(self._context, "execute_async_v3")
        self._pixels, self._logits = (np.zeros((self.batch,) + e.shape[1:], TYPES[e.type_name]) for e in (given, made))
        if profile is not None:
            self._choose(given.name, ends.index(given) + profile * len(ends), profile)
        self._given, self._made = (self._device.allocate(each.nbytes) for each in (self._pixels, self._logits))
        addresses = {given.name: self._given, made.name: self._made}
        before = [0] * (len(ends) * (profile or 0))
        after = [0] * (len(ends) * (profiles(engine) - 1 - (profile or 0)))
        self._in_order = before + [addresses[each.name] for each in ends] + after
        for name, address in addresses.items() if self._by_name else ():
            self._context.set_tensor_address(name, address)
        self._run()  # what TensorRT does at the first run only is no part of a graph
        if self._can_capture():
            self._device.capture(self._enqueue)

    def _choose(self, name: str, place: int, profile: int) -> None:
        """Takes a profile and the shape that it is for."""
        fine = self._context.set_optimization_profile_async(profile, self._device.stream.value)
        self._device.wait()
        shape = tuple(self._pixels.shape)
        if self._by_name:
            fine = self._context.set_input_shape(name, shape) and fine
        else:
            fine = self._context.set_binding_shape(place, shape) and fine
        if not fine:
            raise BundleError("TensorRT does not take %d pictures at once with the engine" % self.batch)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self._pixels[: len(images)] = images
        self._run()
        return self._logits[: len(images)].astype(np.float32)

    def close(self) -> None:
        self._context = None
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
