"""TensorRT's Python module with the members that one release has: touching what it lacks fails, as it does there.

The members are read from NVIDIA's binding sources of each release, see recorded/README.md. What they do here is the
least that a build and a run need: a network of an input and layers, a configuration that remembers, an engine of
cuda_double.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cuda_double

RECORDED = json.loads((Path(__file__).parent / "recorded" / "tensorrt_api.json").read_text())
RELEASES: tuple[str, ...] = tuple(RECORDED["releases"])

LOGITS, SIDE = 3, 4


def members(release: str, kind: str) -> set[str]:
    """What a class or enumeration of a release has; nothing where there is none."""
    rows = [names for each, releases, names in RECORDED["members"] if each == kind and release in releases.split()]
    return {name for names in rows for name in names.split()}


class Strict:
    """An object with the members of a release alone."""

    def __init__(self, release: str, kind: str, inner: Any) -> None:
        self.__dict__.update(_release=release, _kind=kind, _inner=inner)

    def _check(self, name: str) -> None:
        if name not in members(self._release, self._kind):
            raise AttributeError(f"{self._kind} of TensorRT {self._release} has no {name}")

    def __getattr__(self, name: str) -> Any:
        self._check(name)
        found = getattr(self._inner, name)
        if isinstance(found, cuda_double.Context):
            return Strict(self._release, "IExecutionContext", found)
        if name == "create_execution_context":
            return lambda: Strict(self._release, "IExecutionContext", found())
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        setattr(self._inner, name, value)


@dataclass
class Device:
    """What the doubles of one test know, and what was asked of them.

    Attributes:
        layers: names, and which of them a DLA can run; words: of the parser, where it refuses the graph.
        asked: calls of the configuration, in order; loaded_for: the core that a runtime had when it loaded an engine.
        timings: what set_timing_cache takes.
    """

    release: str
    cudart: cuda_double.Cudart
    dla_cores: int = 0
    layers: dict[str, bool] = field(default_factory=lambda: {"conv": True, "softmax": False})
    words: tuple[str, ...] = ()
    open_batch: bool = False
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    loaded_for: int | None = None
    timings: bytes = b""
    built: int = 0
    profiles: tuple[int, ...] = ()
    flags: int = 0

    def given(self) -> cuda_double.Tensor:
        """The network's input: older releases take float32 pixels."""
        kind = "UINT8" if "UINT8" in members(self.release, "DataType") else "FLOAT"
        return cuda_double.Tensor("image", True, (-1 if self.open_batch else 1, SIDE, SIDE, LOGITS), kind)


class Config:
    """IBuilderConfig."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] != "_":
            self._device.asked.append((name, value))
        object.__setattr__(self, name, value)

    def set_flag(self, flag: int) -> None:
        self._device.asked.append(("set_flag", flag))

    def set_memory_pool_limit(self, pool: int, size: int) -> None:
        self._device.asked.append(("set_memory_pool_limit", pool, size))

    def can_run_on_DLA(self, layer: Any) -> bool:
        return self._device.layers[layer.name]

    def add_optimization_profile(self, profile: Any) -> int:
        self._device.profiles += (profile._inner.shapes[0][0],)
        return len(self._device.profiles) - 1

    def create_timing_cache(self, content: bytes) -> Any:
        return content

    def set_timing_cache(self, content: bytes, ignore_mismatch: bool) -> bool:
        fits = content in (b"", b"timed")
        self._device.timings = content if fits else b""
        return fits

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: b"timed")

    progress_monitor: Any = None
    int8_calibrator: Any = None


class Profile:
    """IOptimizationProfile."""

    def set_shape(self, name: str, least: Any, usual: Any, most: Any) -> None:
        assert name == "image"
        self.shapes = (least, usual, most)


class Builder:
    """Of a network with the input of the device."""

    def __init__(self, device: Device) -> None:
        self._device, self.num_DLA_cores = device, device.dla_cores

    def create_network(self, flags: int) -> Strict:
        self._device.flags = flags
        names = list(self._device.layers)
        network = SimpleNamespace(
            num_layers=len(names),
            get_layer=lambda place: SimpleNamespace(name=names[place]),
            get_input=lambda place: [self._device.given()][place],
        )
        return Strict(self._device.release, "INetworkDefinition", network)

    def create_builder_config(self) -> Strict:
        return Strict(self._device.release, "IBuilderConfig", Config(self._device))

    def create_optimization_profile(self) -> Strict:
        return Strict(self._device.release, "IOptimizationProfile", Profile())

    def build_serialized_network(self, network: Any, config: Any) -> bytes:
        self._device.built += 1
        monitor = config._inner.progress_monitor
        if monitor is not None:
            monitor.phase_start("building", None, 4)
            assert monitor.step_complete("building", 1)
            monitor.phase_finish("building")
        calibrator = config._inner.int8_calibrator
        self._device.asked.append(("scales", None if calibrator is None else calibrator.read_calibration_cache()))
        return b"engine"


class Parser:
    """Refuses a graph where the device has words for it."""

    def __init__(self, device: Device) -> None:
        self._words = device.words
        self.num_errors = len(self._words)

    def parse_from_file(self, path: str) -> bool:
        return not self._words

    def get_error(self, place: int) -> Any:
        words = self._words[place]
        return SimpleNamespace(desc=lambda: words, node=lambda: place, node_name=lambda: f"node {place}")


class Runtime:
    """Loads the engine that the builder made."""

    def __init__(self, device: Device) -> None:
        self._device, self.DLA_core = device, 0

    def deserialize_cuda_engine(self, content: bytes) -> Strict | None:
        if content != b"engine":
            return None
        device = self._device
        device.loaded_for = self.DLA_core
        given, profiles = device.given(), device.profiles
        ends = [given, cuda_double.Tensor("logits", False, (given.shape[0], LOGITS), "FLOAT")]

        def context() -> cuda_double.Context:
            return cuda_double.Context(device.cudart, ends, "", profiles)

        return Strict(device.release, "ICudaEngine", cuda_double.Engine(ends, context, profiles))


class Base:
    """A class that applications derive from; its own __init__ must be called, as pybind11 wants."""

    def __init__(self) -> None:
        self.made = True


def module(device: Device) -> Any:
    """The module `tensorrt` of the device's release."""
    release = device.release
    found: dict[str, Any] = {"__version__": f"{release}.0"}
    for kind in {row[0] for row in RECORDED["members"]}:
        names = sorted(members(release, kind))
        if names:
            found[kind] = SimpleNamespace(**{name: place for place, name in enumerate(names)})
    found["TensorIOMode"] = SimpleNamespace(INPUT="in", OUTPUT="out")
    for kind in ("IProgressMonitor", "IInt8EntropyCalibrator2"):
        if kind in found:
            found[kind] = Base
    logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
    found |= {
        "Logger": logger,
        "Builder": lambda logger: Strict(release, "Builder", Builder(device)),
        "OnnxParser": lambda network, logger: Strict(release, "OnnxParser", Parser(device)),
        "Runtime": lambda logger: Strict(release, "Runtime", Runtime(device)),
    }
    return SimpleNamespace(**found)
