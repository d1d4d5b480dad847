"""Builds engines of TensorRT and TensorRT for RTX, and reads graphs with their parsers, through NVIDIA's Polygraphy.

Graphs carry their precisions (strongly typed networks, TensorRT 10 and later, the only kind from 11 on); older ones
are built on the device by edgekit.runtime.tensorrt_engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from edgekit.backends import Compiled, CompileSettings, EngineLayer, Session
from edgekit.backends.tensorrt_library import Flavour, load_library
from edgekit.errors import InputError, UnavailableError
from edgekit.runtime.shown import first_line
from edgekit.runtime.tensorrt_build import network_flags, parser_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LAYERS: Final = "Layers:"
"""What the builder's list of an engine's layers begins with, in its log."""


def preflight(graph: Path, flavour: Flavour) -> int:
    """Lets the installed parser read a graph; returns the number of layers it makes of it.

    Raises:
        InputError: the parser refuses the graph; every node that it refuses is named.
        UnavailableError: the library is not here, or it is TensorRT, which needs a GPU, and there is none.
    """
    trt = load_library(flavour)
    if flavour == "tensorrt":
        _require_gpu(trt)
    _, network, _, _ = _parsed(trt, graph)
    return int(network.num_layers)


def build(
    graph: Path,
    out_dir: Path,
    precision: str,
    flavour: Flavour,
    settings: CompileSettings,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Compiled:
    """Writes model.engine.

    Args:
        graph: ONNX that carries its precisions.
        settings: its timing cache is used and added to (TensorRT; RTX times nothing).
        on_progress: the share of the build that is done, as the builder's monitor tells it.
    Raises:
        InputError: the parser refuses the graph, or nothing can be built of it.
        UnavailableError: the library is not here, or it needs a GPU that is not here.
    """
    trt = load_library(flavour)
    if flavour == "tensorrt":
        _require_gpu(trt)
    builder, network, parser, told = _parsed(trt, graph)
    config = _config(trt, builder, network, settings, on_progress)
    from polygraphy.backend.trt import engine_bytes_from_network
    from polygraphy.exception import PolygraphyException

    try:
        cache = str(settings.timing_cache) if settings.timing_cache is not None and flavour == "tensorrt" else None
        content = engine_bytes_from_network((builder, network, parser), config=config, save_timing_cache=cache)
    except PolygraphyException as error:
        why = "; ".join(told) or str(error)
        raise InputError(f"{flavour} built no engine of {graph.name}: {why}", "See --debug.") from error
    path = out_dir / "model.engine"
    path.write_bytes(memoryview(content))
    layers = tuple(layer for text in told for layer in layers_in_log(text))
    return Compiled(flavour, str(path), precision, path.stat().st_size, layers)


def _parsed(trt: Any, graph: Path) -> tuple[Any, Any, Any, list[str]]:
    """Builder, network and parser, and the list that what they say is added to."""
    told: list[str] = []
    logger = _logger(trt, told)
    builder = trt.Builder(logger)
    network = builder.create_network(network_flags(trt, typed=True))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph.read_bytes()):
        raise InputError(
            f"TensorRT's parser refuses {graph.name} at {parser_errors(parser)}",
            "The operator or its types are not supported; export the model otherwise.",
        )
    return builder, network, parser, told


def _logger(trt: Any, told: list[str]) -> Any:
    """Keeps what the builder says of the engine's layers, and its errors."""

    class Logger(trt.ILogger):  # type: ignore[misc]  # a class that the library brings
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, message: str) -> None:
            if message.startswith(LAYERS) or severity in (trt.Logger.ERROR, trt.Logger.INTERNAL_ERROR):
                told.append(message)

    return Logger()


def _config(
    trt: Any,
    builder: Any,
    network: Any,
    settings: CompileSettings,
    on_progress: Callable[[float], None],
) -> Any:
    from polygraphy.backend.trt import Profile, create_config

    cache, given = settings.timing_cache, network.get_input(0)
    shapes = [(batch, *tuple(given.shape)[1:]) for batch in settings.batches]
    limits = {trt.MemoryPoolType.WORKSPACE: settings.workspace_bytes} if settings.workspace_bytes else None
    config = create_config(
        builder,
        network,
        builder_optimization_level=settings.optimization_level,
        memory_pool_limits=limits,
        profiling_verbosity=trt.ProfilingVerbosity.DETAILED,
        profiles=[Profile().add(given.name, shape, shape, shape) for shape in shapes] or None,
        progress_monitor=_monitor(trt, on_progress),
        load_timing_cache=str(cache) if cache is not None and cache.exists() else None,
    )
    if settings.compute_capabilities:
        config.num_compute_capabilities = len(settings.compute_capabilities)
        for place, capability in enumerate(settings.compute_capabilities):
            config.set_compute_capability(_capability(trt, capability), place)
    return config


def _capability(trt: Any, name: str) -> Any:
    """TensorRT for RTX's word for a compute capability.

    Raises:
        InputError: this version cannot build for it.
    """
    found = getattr(trt.ComputeCapability, f"SM{name.replace('.', '')}", None)
    if found is None:
        known = [each[2:] for each in dir(trt.ComputeCapability) if each.startswith("SM")]
        told = ", ".join(f"{each[:-1]}.{each[-1]}" for each in sorted(known, key=int))
        raise InputError(f"TensorRT for RTX cannot build for compute capability {name}", f"Known: {told}.")
    return found


def _monitor(trt: Any, on_progress: Callable[[float], None]) -> Any:
    """The builder's progress monitor; the outermost phase is what is told."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # a class that the library brings
        def __init__(self) -> None:
            super().__init__()
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._steps[phase_name] = max(1, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._steps:
                on_progress(min(1.0, (step + 1) / self._steps[phase_name]))
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._steps.pop(phase_name, None)

    return Monitor()


def _require_gpu(trt: Any) -> None:
    try:
        found = bool(trt.Builder(trt.Logger(trt.Logger.ERROR)))
    except TypeError:  # "factory function returned nullptr"
        found = False
    if not found:
        raise UnavailableError("there is no NVIDIA GPU that TensorRT can use here", "`edgekit doctor` says more.")


def inspect(path: Path, flavour: Flavour) -> tuple[EngineLayer, ...]:
    """The layers of an engine as its inspector tells them; needs the GPU that it was built for."""
    trt = load_library(flavour)
    from polygraphy.backend.trt import engine_from_bytes

    inspector = engine_from_bytes(path.read_bytes()).create_engine_inspector()
    return layers_of(inspector.get_engine_information(trt.LayerInformationFormat.JSON))


def layers_of(told: str) -> tuple[EngineLayer, ...]:
    """The inspector's JSON as rows of name, kind and output; where it tells names alone, only these."""
    rows = []
    for layer in json.loads(told).get("Layers", []):
        if not isinstance(layer, dict):
            rows.append(EngineLayer(str(layer), "", ""))
            continue
        outputs = ", ".join(str(each.get("Format/Datatype", "")) for each in layer.get("Outputs", []))
        rows.append(EngineLayer(str(layer.get("Name", "")), str(layer.get("LayerType", "")), outputs))
    return tuple(rows)


def layers_in_log(text: str) -> tuple[EngineLayer, ...]:
    """The same of what the builder logs of the engine it made, for which no GPU is needed."""
    if not text.startswith(LAYERS):
        return ()
    rows = []
    for line in text.splitlines():
        found = re.match(r"(?:Layers:)?\s*Name: (.*?), LayerType: (\w+)", line)
        if found:
            outputs = line.partition("Outputs: [")[2].partition("]], ")[0]
            types = re.findall(r"Datatype: (\w+), Format: ([^}]*?) ?}", outputs)
            rows.append(EngineLayer(found[1], found[2], ", ".join(f"{kind} {form}" for kind, form in types)))
    return tuple(rows)


class TensorRtSession:
    """An engine on this machine's GPU with Polygraphy's runner; see edgekit.backends.Session."""

    def __init__(self, runner: Any, name: str) -> None:
        self._runner, self._input = runner, name
        shape = runner.engine.get_tensor_shape(name)
        self._batch = shape[0] if shape[0] > 0 else runner.engine.get_tensor_profile_shape(name, 0)[1][0]

    def infer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (1, classes) of one picture."""
        import numpy as np

        filled = np.concatenate([picture] * self._batch)
        out = self._runner.infer({self._input: filled}, check_inputs=False)
        return np.array(next(iter(out.values())), np.float32)[:1]

    def infer_many(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (n, classes), one picture at a time."""
        import numpy as np

        return np.concatenate([self.infer(pictures[place : place + 1]) for place in range(len(pictures))])


@contextmanager
def loaded(compiled: Compiled, flavour: Flavour) -> Iterator[Session]:
    """Loads an engine on the GPU at hand; its memory there is freed at the end.

    Raises:
        UnavailableError: there is no such GPU, or the engine is for another.
    """
    load_library(flavour)
    from polygraphy.backend.trt import TrtRunner, engine_from_bytes
    from polygraphy.exception import PolygraphyException

    try:
        runner = TrtRunner(engine_from_bytes(Path(compiled.path).read_bytes()))
        runner.activate()
    except (PolygraphyException, RuntimeError, OSError) as error:
        raise UnavailableError(
            f"the engine cannot be loaded here: {first_line(error)}", "It runs on the GPU it was built for."
        ) from error
    try:
        yield TensorRtSession(runner, next(iter(runner.get_input_metadata())))
    finally:
        runner.deactivate()
