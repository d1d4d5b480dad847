"""Builds a TensorRT engine from a bundle's graph on the device that will run it, by TensorRT's own API from 8.2 to 11.

Polygraphy, which builds on the host, needs a newer Python than the oldest Jetsons have. Tried with TensorRT for RTX,
and with doubles that have the members of each release's own bindings; standard TensorRT has not yet been run on
hardware.
"""

import re
import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple  # noqa: F401  # in a type comment

from .errors import BundleError
from .settings import Settings
from .shown import line

MOST_WORKSPACE_BYTES, LEAST_WORKSPACE_BYTES = 1 << 30, 16 << 20
WORKSPACE_SHARE = 4
"""Kernels may use one part in so many of the memory that is free: on a Jetson, GPU and processor share it, and a build
that asks for more than there is gets killed.
"""


class Built(NamedTuple):
    """A serialized engine, the layers that a DLA leaves to the GPU, and what TensorRT timed, where it tells."""

    content: bytes
    on_gpu: List[str]
    timings: Optional[bytes] = None


def build(
    tensorrt: Any,
    graph: str,
    precision: str,
    settings: Settings,
    timings: Optional[bytes] = None,
    on_progress: Callable[[str], None] = lambda text: None,
) -> Built:
    """Builds an engine from an ONNX file.

    Args:
        timings: what TensorRT timed before, so that it need not again.
        on_progress: is told in words how far it is.
    Raises:
        BundleError: the parser refuses the graph (its words are told), there is no such DLA, or no engine can be built.
    """
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    _check_dla(tensorrt, builder, settings)
    network = builder.create_network(network_flags(tensorrt, settings.typed))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(graph):
        raise BundleError("TensorRT cannot read the graph: %s" % parser_errors(parser))
    config = builder.create_builder_config()
    _limit_workspace(tensorrt, config, settings.workspace_bytes or MOST_WORKSPACE_BYTES)
    if not settings.typed:
        allowed = {"int8": ("INT8", "FP16"), "mixed": ("INT8", "FP16"), "fp16": ("FP16",)}.get(precision, ())
        for flag in allowed:
            config.set_flag(getattr(tensorrt.BuilderFlag, flag))
    left = _put_on_dla(tensorrt, network, config, settings) if settings.dla_core is not None else []
    if left:
        on_progress("%d of %d layers fall back to the GPU: %s" % (len(left), network.num_layers, ", ".join(left)))
    _add_profiles(builder, network, config, settings.batches)
    for place, capability in enumerate(settings.compute_capabilities):  # of TensorRT for RTX
        config.num_compute_capabilities = place + 1
        config.set_compute_capability(getattr(tensorrt.ComputeCapability, capability), place)
    cache = _timing_cache(tensorrt, config, timings)
    if hasattr(config, "progress_monitor"):  # from TensorRT 10 on
        config.progress_monitor = _monitor(tensorrt, on_progress)
    made = builder.build_serialized_network(network, config)
    if made is None:
        raise BundleError("TensorRT built no engine; its log above says why")
    return Built(bytes(made), left, None if cache is None else bytes(config.get_timing_cache().serialize()))


def tell(text: str) -> None:
    """Says on standard error how far a build is: it takes minutes on a small board."""
    sys.stderr.write("edgekit: %s\n" % line(text))


def workspace_for(free_bytes: int) -> int:
    """How much memory kernels may use beside weights, in bytes, by how much is free."""
    return max(LEAST_WORKSPACE_BYTES, min(MOST_WORKSPACE_BYTES, free_bytes // WORKSPACE_SHARE))


def parser_errors(parser: Any) -> str:
    """All that a parser found wrong with a graph, in one line: node, operator and the parser's words for each."""
    found: List[str] = []
    for place in range(parser.num_errors):
        error = parser.get_error(place)
        words = [getattr(error, each)() for each in ("node_name", "node_operator") if hasattr(error, each)]
        where = words or ["node %d" % error.node()]  # before TensorRT 10 it knows the node's number alone
        name, operator = (where + [""])[:2]
        shown = (name or "the graph") + (" (%s)" % operator if operator else "")
        found.append("%s: %s" % (shown, " ".join(error.desc().split())[:200]))
    return "; ".join(found) or "it gives no reason"


def network_flags(tensorrt: Any, typed: bool) -> int:
    """The flags of a network of explicit batch, as far as a TensorRT still has them."""
    flags = tensorrt.NetworkDefinitionCreationFlag
    wanted = 0
    if hasattr(flags, "EXPLICIT_BATCH"):  # the only kind from TensorRT 10 on, where the flag means nothing
        wanted |= 1 << int(flags.EXPLICIT_BATCH)
    if typed and hasattr(flags, "STRONGLY_TYPED"):  # likewise from TensorRT 11 on
        wanted |= 1 << int(flags.STRONGLY_TYPED)
    return wanted


def _check_dla(tensorrt: Any, builder: Any, settings: Settings) -> None:
    """Asked before minutes are spent on building."""
    if settings.dla_core is None:
        return
    cores = int(builder.num_DLA_cores)
    if not cores:
        raise BundleError(
            "TensorRT %s finds no DLA on this device: there is none, or this release drives none (10.7 was the last"
            " 10.x, 11.4.1 does again on AGX Orin)" % tensorrt.__version__
        )
    if settings.dla_core >= cores:
        raise BundleError("this device has DLA cores 0 to %d, no core %d" % (cores - 1, settings.dla_core))


def _put_on_dla(tensorrt: Any, network: Any, config: Any, settings: Settings) -> List[str]:
    """Gives a DLA what it can run; names of the layers that it cannot."""
    config.default_device_type = tensorrt.DeviceType.DLA
    config.DLA_core = settings.dla_core
    config.set_flag(tensorrt.BuilderFlag.GPU_FALLBACK)
    if settings.calibration_cache:
        config.int8_calibrator = _calibrator(tensorrt, settings.calibration_cache)
    layers = [network.get_layer(place) for place in range(network.num_layers)]
    return [layer.name for layer in layers if not config.can_run_on_DLA(layer)]


def _add_profiles(builder: Any, network: Any, config: Any, batches: Tuple[int, ...]) -> None:
    """One optimization profile for each batch: kernels are chosen for that very number of pictures."""
    for batch in batches:
        profile = builder.create_optimization_profile()
        given = network.get_input(0)
        shape = (batch,) + tuple(given.shape)[1:]
        profile.set_shape(given.name, shape, shape, shape)
        config.add_optimization_profile(profile)


def _timing_cache(tensorrt: Any, config: Any, timings: Optional[bytes]) -> Any:
    """What TensorRT timed before, which it adds to; None with TensorRT for RTX, which times nothing."""
    if hasattr(tensorrt, "ComputeCapability"):
        return None
    cache = config.create_timing_cache(timings or b"")
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")  # it was made by another TensorRT or on another GPU
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _monitor(tensorrt: Any, on_progress: Callable[[str], None]) -> Any:
    """Tells each tenth of the builder's outermost phases."""

    class Monitor(tensorrt.IProgressMonitor):  # type: ignore[misc]  # a class that the library brings
        def __init__(self) -> None:
            tensorrt.IProgressMonitor.__init__(self)
            self.steps: Dict[str, int] = {}
            self.told: Dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: Optional[str], num_steps: int) -> None:
            if parent_phase is None:
                self.steps[phase_name], self.told[phase_name] = max(1, num_steps), 0

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.steps:
                tenths = min(10, 10 * (step + 1) // self.steps[phase_name])
                if tenths > self.told[phase_name]:
                    self.told[phase_name] = tenths
                    on_progress("%s: %d %%" % (phase_name, 10 * tenths))
            return True

        def phase_finish(self, phase_name: str) -> None:
            self.steps.pop(phase_name, None)

    return Monitor()


def _calibrator(tensorrt: Any, lines: str) -> Any:
    """A calibrator that has the scales already: TensorRT asks it for no images."""

    class Calibrator(tensorrt.IInt8EntropyCalibrator2):  # type: ignore[misc]
        def __init__(self) -> None:
            tensorrt.IInt8EntropyCalibrator2.__init__(self)  # pybind11 refuses an object whose base was not made

        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: Any) -> None:
            return None

        def read_calibration_cache(self) -> bytes:
            numbers = [int(part) for part in re.findall(r"\d+", tensorrt.__version__)[:3]]
            version = numbers[0] * (1000 if numbers[0] < 10 else 10000) + numbers[1] * 100 + (numbers + [0])[2]
            return ("TRT-%d-EntropyCalibration2\n%s" % (version, lines)).encode("utf-8")

        def write_calibration_cache(self, cache: Any) -> None:
            return None

    return Calibrator()


def _limit_workspace(tensorrt: Any, config: Any, size_bytes: int) -> None:
    if hasattr(config, "set_memory_pool_limit"):
        config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, size_bytes)
    else:  # before TensorRT 8.4
        config.max_workspace_size = size_bytes
