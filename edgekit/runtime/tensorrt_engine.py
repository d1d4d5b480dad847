"""TensorRT on the device: builds the engine from the bundle's graph at first use, keeps it, and runs it.

An engine belongs to one GPU and one TensorRT. Its file is named by GPU, compute capability, TensorRT, CUDA and JetPack,
so that after any of them changes another file is looked for, and built. The API is TensorRT's own, from 8.2 (JetPack
4.6) to 11: Polygraphy, which builds on the host, needs a newer Python than the oldest Jetsons have. Building was tried
with TensorRT for RTX; running an engine has not yet been run on hardware.
"""

import json
import os
import re
import sys
from typing import Any, Callable, Dict, List, Tuple  # noqa: F401  # in a type comment

import numpy as np

from . import cuda
from .errors import BundleError, MissingError
from .kept import keep, kept, path_for
from .probe import l4t_release, text
from .settings import Settings
from .tensorrt_runner import Engine

DEFAULT_WORKSPACE_BYTES = 1 << 30
FIRST_TYPED = 10
"""Strongly typed networks are of use from this TensorRT on: what edgekit writes for older ones is not typed."""
FIRST_TYPED_ALONE = 11
"""From this one on there are no others: it has no builder flags for INT8 and FP16."""


def open_or_build(folder: str, precision: str, settings: Settings) -> Callable[[np.ndarray], np.ndarray]:
    """A function from pixels to logits; builds and keeps the engine if this device has none for the graph yet.

    Raises:
        BundleError: there is no GPU here, the graph is for an older TensorRT, or it cannot be built.
        MissingError: the graph needs a newer TensorRT.
    """
    import tensorrt

    check_typing(str(tensorrt.__version__), settings.typed)
    facts = identity(tensorrt)
    path = engine_path(folder, facts, precision, settings)
    content = kept(path, facts)
    if content is None:
        graph, wanted = _for_dla(tensorrt, folder, settings)
        content = build(tensorrt, graph, precision, wanted)
        keep(path, content, facts)
    return Engine(tensorrt, content)


def check_typing(version: str, typed: bool) -> None:
    """Whether a TensorRT takes the graph of a bundle, which carries its precisions (typed) or leaves them to flags.

    Raises:
        MissingError: the graph is typed, and strongly typed networks begin with TensorRT 10 here.
        BundleError: it is not, and this TensorRT has no flags for precisions any more.
    """
    major = int(version.split(".")[0])
    if typed and major < FIRST_TYPED:
        raise MissingError(
            "the bundle needs TensorRT %d or later (JetPack 6.1 or later), here is %s; install that, or build the"
            " bundle again with the --jetpack of this device" % (FIRST_TYPED, version)
        )
    if not typed and major >= FIRST_TYPED_ALONE:
        raise BundleError(
            "the bundle is for TensorRT 8 to 10 (JetPack 4.6 to 7.2), here is %s, which takes only graphs that carry"
            " their precisions; build the bundle again with --target gpu, or for a Jetson with --jetpack 6.2 or later"
            % version
        )


def _for_dla(tensorrt: Any, folder: str, settings: Settings) -> Tuple[str, Settings]:
    """The graph to build and its settings: before TensorRT 11 a DLA takes the plain graph and scales beside it."""
    plain, cache = os.path.join(folder, "model.dla.onnx"), os.path.join(folder, "model.dla.cache")
    if settings.dla_core is None or int(tensorrt.__version__.split(".")[0]) >= 11 or not os.path.exists(plain):
        return os.path.join(folder, "model.onnx"), settings
    with open(cache, encoding="utf-8") as file:
        return plain, settings._replace(typed=False, calibration_cache=file.read())


def open_ahead_of_time(folder: str) -> Callable[[np.ndarray], np.ndarray]:
    """A function from pixels to logits, of the model.engine that was built for several GPUs by TensorRT for RTX.

    Raises:
        BundleError: this GPU is none of them, or TensorRT for RTX is another version here.
    """
    import tensorrt_rtx

    with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:
        made_for = json.load(file).get("engine") or {}
    capability, _ = cuda.describe_gpu()
    if capability not in made_for.get("compute_capabilities", []):
        raise BundleError(
            "the engine is for compute capability %s, this GPU has %s; build again with --compute-capability %s"
            % (", ".join(made_for.get("compute_capabilities", [])), capability, capability)
        )
    if made_for.get("tensorrt") != tensorrt_rtx.__version__:
        raise BundleError(
            "the engine was made by TensorRT for RTX %s, here is %s; install that version or build again"
            % (made_for.get("tensorrt"), tensorrt_rtx.__version__)
        )
    with open(os.path.join(folder, "model.engine"), "rb") as file:
        return Engine(tensorrt_rtx, file.read())


def identity(tensorrt: Any, root: str = "/") -> Dict[str, str]:
    """What an engine belongs to: gpu, compute_capability, tensorrt, cuda and jetpack ("none" on a desktop)."""
    capability, version = cuda.describe_gpu()
    return {
        "gpu": text(os.path.join(root, "proc/device-tree/model")) or "sm" + capability.replace(".", ""),
        "compute_capability": capability,
        "tensorrt": str(tensorrt.__version__),
        "cuda": version,
        "jetpack": l4t_release(text(os.path.join(root, "etc/nv_tegra_release"))) or "none",
    }


def engine_path(folder: str, facts: Dict[str, str], precision: str, settings: Settings) -> str:
    """Where the engine of the folder's graph is kept."""
    words = [facts["gpu"], "sm" + facts["compute_capability"].replace(".", ""), "trt" + facts["tensorrt"]]
    words += ["cuda" + facts["cuda"], "l4t" + facts["jetpack"]]
    told = [precision, settings.typed, settings.dla_core, settings.workspace_bytes]
    return path_for(words, [os.path.join(folder, "model.onnx")], told, ".engine")


def build(tensorrt: Any, graph: str, precision: str, settings: Settings) -> bytes:
    """Builds an engine from an ONNX file.

    Raises:
        BundleError: the parser refuses the graph (its words are told), or no engine can be built.
    """
    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(network_flags(tensorrt, settings.typed))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(graph):
        raise BundleError("TensorRT cannot read the graph: %s" % parser_errors(parser))
    config = builder.create_builder_config()
    _limit_workspace(tensorrt, config, settings.workspace_bytes or DEFAULT_WORKSPACE_BYTES)
    if not settings.typed:
        allowed = {"int8": ("INT8", "FP16"), "mixed": ("INT8", "FP16"), "fp16": ("FP16",)}.get(precision, ())
        for flag in allowed:
            config.set_flag(getattr(tensorrt.BuilderFlag, flag))
    if settings.dla_core is not None:
        config.default_device_type = tensorrt.DeviceType.DLA
        config.DLA_core = settings.dla_core
        config.set_flag(tensorrt.BuilderFlag.GPU_FALLBACK)
        if settings.calibration_cache:
            config.int8_calibrator = _calibrator(tensorrt, settings.calibration_cache)
        layers = [network.get_layer(place) for place in range(network.num_layers)]
        left = sum(not config.can_run_on_DLA(layer) for layer in layers)
        sys.stderr.write("edgekit: %d of %d layers fall back to the GPU\n" % (left, len(layers)))
    for place, capability in enumerate(settings.compute_capabilities):  # of TensorRT for RTX
        config.num_compute_capabilities = place + 1
        config.set_compute_capability(getattr(tensorrt.ComputeCapability, capability), place)
    made = builder.build_serialized_network(network, config)
    if made is None:
        raise BundleError("TensorRT built no engine; its log above says why")
    return bytes(made)


def parser_errors(parser: Any) -> str:
    """All that a parser found wrong with a graph, in one line: node, operator and the parser's words for each."""
    found = []  # type: List[str]
    for place in range(parser.num_errors):
        error = parser.get_error(place)
        words = [getattr(error, each)() for each in ("node_name", "node_operator") if hasattr(error, each)]
        where = words or ["node %d" % error.node()]  # before TensorRT 10 it knows the node's number alone
        name, operator = (where + [""])[:2]
        shown = (name or "the graph") + (" (%s)" % operator if operator else "")
        found.append("%s: %s" % (shown, " ".join(error.desc().split())[:200]))
    return "; ".join(found) or "it gives no reason"


def _calibrator(tensorrt: Any, lines: str) -> Any:
    """A calibrator that has the scales already: TensorRT asks it for no images."""

    class Calibrator(tensorrt.IInt8EntropyCalibrator2):  # type: ignore[misc]
        def get_batch_size(self) -> int:
            return 1

        def get_batch(self, names: Any) -> None:
            return None

        def read_calibration_cache(self) -> bytes:
            numbers = [int(part) for part in re.findall(r"\d+", tensorrt.__version__)[:3]]
            version = numbers[0] * (1000 if numbers[0] < 10 else 10000) + numbers[1] * 100 + numbers[2]
            return ("TRT-%d-EntropyCalibration2\n%s" % (version, lines)).encode("utf-8")

        def write_calibration_cache(self, cache: Any) -> None:
            return None

    return Calibrator()


def network_flags(tensorrt: Any, typed: bool) -> int:
    """The flags of a network of explicit batch, as far as a TensorRT still has them."""
    flags = tensorrt.NetworkDefinitionCreationFlag
    wanted = 0
    if hasattr(flags, "EXPLICIT_BATCH"):  # the only kind from TensorRT 10 on, where the flag means nothing
        wanted |= 1 << int(flags.EXPLICIT_BATCH)
    if typed and hasattr(flags, "STRONGLY_TYPED"):  # likewise from TensorRT 11 on
        wanted |= 1 << int(flags.STRONGLY_TYPED)
    return wanted


def _limit_workspace(tensorrt: Any, config: Any, size_bytes: int) -> None:
    if hasattr(config, "set_memory_pool_limit"):
        config.set_memory_pool_limit(tensorrt.MemoryPoolType.WORKSPACE, size_bytes)
    else:  # before TensorRT 8.4
        config.max_workspace_size = size_bytes
