"""What OpenVINO's backends have in common: one form of networks, loaded and timed by the plugin of a device.

How each plugin is asked stands in edgekit.runtime.openvino_plugins, which the device runtime goes by as well, so that
a bundle computes as it was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from edgekit.backends import PROFILE_WARM_UP, Compiled, Identity, LayerKey, LayerTime, Mode, Session, slowest_first
from edgekit.errors import InputError, UnavailableError
from edgekit.quantize.graph_format import GraphFormat
from edgekit.runtime import openvino_plugins as plugins
from edgekit.targets import Release
from edgekit.targets.packages import installed_version

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgekit.runtime.kernels import Kernel

__all__ = ["RUNTIME", "available", "files", "graph_format", "kernels", "load", "profile"]
"""What edgekit.backends.Backend asks for and all three backends have alike; each adds its own beside it."""

RUNTIME: Final = "openvino"

PLUGIN_OF: Final[Mapping[str, str]] = MappingProxyType(
    {"openvino": plugins.PROCESSOR, "openvino-gpu": "GPU", "openvino-npu": "NPU"}
)
"""Backend: the plugin that it loads with."""

KERNEL_PRECISIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"i8": "int8", "u8": "int8", "bf16": "bf16", "f16": "fp16", "fp16": "fp16", "f32": "fp32", "fp32": "fp32"}
    | {name: f"int{name[1:]}" for name in ("i16", "i32", "i64")}
)


def backend_here(plugin: str | None) -> tuple[str, tuple[str, ...]]:
    """The backend that runs a bundle of a plugin on this machine, and what must be said where that is another device's.

    Args:
        plugin: as a manifest has it; None for the processor's.
    """
    own = next((name for name, each in PLUGIN_OF.items() if each == plugin), "openvino")
    why = None if own == "openvino" else plugins.lacking(PLUGIN_OF[own])
    if why is None:
        return own, ()
    return "openvino", (f"built for {plugins.PLUGINS[PLUGIN_OF[own]].words}, and run on the processor: {why}",)


def available() -> str | None:
    """The version that is installed."""
    return installed_version("openvino")


def require(plugin: str, target: str) -> None:
    """Refuses what no device here could run.

    Raises:
        UnavailableError: OpenVINO sees no device of that plugin; told is what it sees, and what it takes.
    """
    why = plugins.lacking(plugin)
    if why is not None:
        raise UnavailableError(f"--target {target} cannot run here: {why}", plugins.PLUGINS[plugin].needs)


def identity_of(plugin: str) -> Identity:
    """The version, and of another device than the processor its name and its driver: they decide how it computes.

    The form itself is the same for all devices, each of which compiles it further when it loads. Takes some hundredths
    of a second.
    """
    version = available()
    versions = (("openvino", version),)
    if plugin == plugins.PROCESSOR or version is None:
        return Identity(versions)
    if plugins.lacking(plugin) is not None:
        return Identity(versions, (f"no {plugin}",))
    device = plugins.seen(plugins.PLUGINS[plugin].device)
    return Identity(versions, (device.name, f"driver {device.driver or 'unknown'}"))


def graph_format(release: Release | None) -> GraphFormat:
    """As NNCF writes it: INT8 of u8 activations and i8 weights, which all of the plugins take."""
    return GraphFormat(signed=False, typed=False, opset=None)


def convert(graph: Path, out_dir: Path, precision: str, backend: str) -> Compiled:
    """Writes model.xml and model.bin; weights of a 16-bit network are kept in 16 bits.

    Args:
        graph: ONNX, uint8 NHWC input, preprocessing inside; Q/DQ for int8.
        backend: whose form it is, a key of PLUGIN_OF.
    Raises:
        InputError: OpenVINO cannot read the graph.
    """
    core = _core()
    import openvino

    try:
        model = core.read_model(str(graph))
    except RuntimeError as error:
        raise InputError(f"OpenVINO cannot read {graph.name}: {plugins.said(error)}", "See --debug.") from error
    path = out_dir / "model.xml"
    openvino.save_model(model, str(path), compress_to_fp16=precision in ("bf16", "fp16"))
    return Compiled(backend, str(path), precision, path.stat().st_size + path.with_suffix(".bin").stat().st_size)


def files(compiled: Compiled) -> dict[str, Path]:
    """model.xml and model.bin."""
    path = Path(compiled.path)
    return {"model.xml": path, "model.bin": path.with_suffix(".bin")}


class OpenVinoSession:
    """A network compiled for a device; see edgekit.backends.Session.

    Requests are waited for in turn, without callbacks: OpenVINO's own queue calls Python from its threads, and
    can wait for the interpreter's lock for ever when it is dropped.

    Attributes:
        threads: how many compute; None of another device than the processor.
    """

    def __init__(self, model: Any, on_processor: bool = True) -> None:
        self.threads = int(model.get_property("INFERENCE_NUM_THREADS")) if on_processor else None
        self._output = model.output(0)
        count = int(model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        # twice as many as run at once: the next ones are there when one ends before its turn to be waited for
        self._requests = [model.create_infer_request() for _ in range(2 * max(1, count))]

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture."""
        import numpy as np

        return np.array(self._requests[0].infer([picture])[self._output], np.float32)

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes), as many requests in flight as the runtime likes."""
        import numpy as np

        rows: list[NDArray[np.float32]] = []
        ahead = len(self._requests)
        for place in range(len(pictures) + ahead):
            request = self._requests[place % ahead]
            if ahead <= place:
                request.wait()
                rows.append(np.array(request.get_output_tensor(0).data[0], np.float32))
            if place < len(pictures):
                request.start_async([pictures[place : place + 1]])
            if len(rows) == len(pictures):
                break
        return np.stack(rows)

    def close(self) -> None:
        """Drops the requests, and with them the network's memory."""
        self._requests.clear()
        self._output = None


@contextmanager
def load(compiled: Compiled, mode: Mode = "latency") -> Iterator[Session]:
    """Compiles the network for the device of its backend, in the precision that its name says.

    Raises:
        UnavailableError: that device is not here, cannot run the network, or computes no such precision.
    """
    plugin, precision = _how(compiled)
    model = _compiled(compiled, plugins.asked(plugin, precision, mode))
    session = OpenVinoSession(model, plugin == plugins.PROCESSOR)
    try:
        yield session
    finally:
        session.close()


def profile(compiled: Compiled, runs: int = 20) -> list[LayerTime]:
    """Median time of each executed layer over some runs on a grey picture, the slowest first.

    Raises:
        UnavailableError: see `load`.
    """
    import numpy as np

    model = _compiled(compiled, {"PERF_COUNT": "YES", **plugins.asked(*_how(compiled))})
    request = model.create_infer_request()
    picture = np.full(tuple(model.input(0).shape), 128, np.uint8)
    times: dict[LayerKey, list[float]] = {}
    for run in range(runs + PROFILE_WARM_UP):
        request.infer([picture])
        for layer in request.get_profiling_info() if run >= PROFILE_WARM_UP else []:
            key = (layer.node_name, layer.exec_type, layer.node_type, _precision(layer.exec_type))
            times.setdefault(key, []).append(layer.real_time.total_seconds() * 1e6)
    return slowest_first(times)


def _precision(kernel: str) -> str:
    """What a kernel computes with, by the end of its name, such as brgconv_avx512_amx_I8; empty where that is new."""
    return KERNEL_PRECISIONS.get(kernel.rpartition("_")[2].lower(), "")


def kernels(compiled: Compiled) -> tuple[Kernel, ...]:
    """As the execution graph of the processor's plugin has them; empty of another device, whose names are others."""
    from edgekit.runtime.kernels import of_openvino

    plugin, precision = _how(compiled)
    if plugin != plugins.PROCESSOR:
        return ()
    source = _core().read_model(compiled.path)
    made = _core().compile_model(source, plugins.PLUGINS[plugin].device, plugins.asked(plugin, precision))
    return tuple(of_openvino(made, source))


def _how(compiled: Compiled) -> tuple[str, str]:
    """Plugin and precision; a precision that the device does not compute is refused, never computed in another."""
    plugin = PLUGIN_OF[compiled.backend]
    able = plugins.PLUGINS[plugin].hints
    if compiled.precision not in able:
        raise UnavailableError(
            f"OpenVINO's {plugin} computes no {compiled.precision}", f"Use --precision {' or '.join(able)}."
        )
    return plugin, compiled.precision


def _compiled(compiled: Compiled, settings: dict[str, str]) -> Any:
    plugin, core = PLUGIN_OF[compiled.backend], _core()
    device = plugins.PLUGINS[plugin].device
    if plugin == plugins.PROCESSOR:
        return core.compile_model(compiled.path, device, settings)
    why = plugins.lacking(plugin)
    if why is not None:
        raise UnavailableError(why, plugins.PLUGINS[plugin].needs)
    try:
        return core.compile_model(compiled.path, device, settings)
    except RuntimeError as error:  # an operator or a driver that does not do it
        raise UnavailableError(f"OpenVINO's {plugin} cannot compile the network: {plugins.said(error)}") from error


def _core() -> Any:
    """The one Core of the process, telemetry off before OpenVINO is imported."""
    from edgekit.runtime.quiet import no_telemetry

    no_telemetry()
    from edgekit.runtime.openvino_core import core

    return core()
