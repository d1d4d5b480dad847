"""TensorRT on the device: builds the engine from the bundle's graph at first use, keeps it, and runs it.

An engine belongs to one GPU and one TensorRT. Its file is named by GPU, compute capability, TensorRT, CUDA and JetPack,
and by what is in the files that it is made of, so that after any of them changes another file is looked for, and built.
Building was tried with TensorRT for RTX; running an engine has not yet been run on hardware.
"""

import os
from typing import Any, Dict, List, Optional, Tuple

from . import cuda
from .errors import BundleError, MissingError
from .forms import DLA, FP16, chosen_form
from .kept import keep, kept, path_for
from .manifest import read_manifest
from .probe import l4t_release, text
from .settings import Settings
from .tensorrt_build import build, tell, workspace_for
from .tensorrt_runner import Engine

CORE = "EDGEKIT_DLA_CORE"
"""What of a device runs a bundle for its DLA: 0, 1 or gpu. So one process can use each, and another the GPU beside."""

FIRST_TYPED = 10
"""Strongly typed networks are of use from this TensorRT on: what edgekit writes for older ones is not typed."""
FIRST_TYPED_ALONE = 11
"""From this one on there are no others: it has no builder flags for INT8 and FP16."""


def open_or_build(folder: str, precision: str, settings: Settings) -> Engine:
    """A function from pixels to logits; builds and keeps the engine if this device has none for the graph yet.

    Raises:
        BundleError: there is no GPU here, the graph is for an older TensorRT, or it cannot be built.
        MissingError: the graph needs a newer TensorRT.
    """
    import tensorrt

    settings = chosen_core(settings, os.environ.get(CORE))
    check_typing(str(tensorrt.__version__), settings.typed)
    facts = identity(tensorrt)
    files, precision, wanted = _made_of(tensorrt, folder, precision, settings, facts)
    path = engine_path(files, facts, precision, settings)
    content = kept(path, facts)
    if content is None:
        content = _built(tensorrt, files[0], precision, wanted, facts, path)
    return Engine(tensorrt, content, settings.dla_core)


def give(folder: str, precision: str, settings: Settings) -> Tuple[Dict[str, str], bytes]:
    """The engine that this device keeps for a bundle, for boards like it: what it belongs to, and its bytes.

    Raises:
        BundleError: it keeps none.
    """
    import tensorrt

    facts = identity(tensorrt)
    files, precision, _ = _made_of(tensorrt, folder, precision, settings, facts)
    content = kept(engine_path(files, facts, precision, settings), facts)
    if content is None:
        raise BundleError("this device keeps no engine of the bundle; deploy it here first")
    return facts, content


def take(folder: str, precision: str, settings: Settings, made_for: Dict[str, str], content: bytes) -> None:
    """Keeps an engine that another board built.

    Raises:
        BundleError: that board is not like this one; both are told.
    """
    import tensorrt

    facts = identity(tensorrt)
    if facts != made_for:
        raise BundleError("the engine was built on %s, this is %s" % (_told(made_for), _told(facts)))
    files, precision, _ = _made_of(tensorrt, folder, precision, settings, facts)
    keep(engine_path(files, facts, precision, settings), content, facts)


def _told(facts: Dict[str, str]) -> str:
    return ", ".join("%s %s" % (key.replace("_", " "), value) for key, value in sorted(facts.items()))


def _made_of(
    tensorrt: Any, folder: str, precision: str, settings: Settings, facts: Dict[str, str]
) -> Tuple[List[str], str, Settings]:
    """The files that an engine is made of, the graph first, its precision and the settings that it is built with."""
    files, wanted = _for_dla(tensorrt, folder, settings)
    if settings.dla_core is None and chosen_form(folder, _words(facts), facts) == "fp16":
        return [os.path.join(folder, FP16)], "fp16", wanted
    return files, precision, wanted


def _built(tensorrt: Any, graph: str, precision: str, settings: Settings, facts: Dict[str, str], path: str) -> bytes:
    """Builds an engine and keeps it, and what TensorRT timed for the next one."""
    if settings.workspace_bytes is None:
        settings = settings._replace(workspace_bytes=workspace_for(cuda.free_bytes()))
    timings = path_for(_words(facts), [], "timings", ".timings")
    tell("building the engine of %s, which may take minutes" % graph)
    made = build(tensorrt, graph, precision, settings, kept(timings, facts), tell)
    keep(path, made.content, facts, {"layers on the GPU": made.on_gpu} if settings.dla_core is not None else {})
    if made.timings is not None:
        keep(timings, made.timings, facts)
    return made.content


def chosen_core(settings: Settings, asked: Optional[str]) -> Settings:
    """The settings with the DLA core that is asked for, or none for "gpu"; of a bundle for a DLA alone.

    Raises:
        BundleError: it is neither.
    """
    if not asked or settings.dla_core is None:
        return settings
    if asked != "gpu" and not asked.isdigit():
        raise BundleError("%s is %r; set it to 0, 1 or gpu" % (CORE, asked))
    return settings._replace(dla_core=None if asked == "gpu" else int(asked))


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


def _for_dla(tensorrt: Any, folder: str, settings: Settings) -> Tuple[List[str], Settings]:
    """The files that the engine is made of, the graph first, and its settings.

    See edgekit.runtime.forms.DLA.
    """
    plain, cache = (os.path.join(folder, name) for name in DLA)
    if settings.dla_core is None or int(tensorrt.__version__.split(".")[0]) >= 11 or not os.path.exists(plain):
        return [os.path.join(folder, "model.onnx")], settings
    with open(cache, encoding="utf-8") as file:
        return [plain, cache], settings._replace(typed=False, calibration_cache=file.read())


def open_ahead_of_time(folder: str) -> Engine:
    """A function from pixels to logits, of the model.engine that was built for several GPUs by TensorRT for RTX.

    Raises:
        BundleError: this GPU is none of them, or TensorRT for RTX is another version here.
    """
    import tensorrt_rtx

    made_for: Any = read_manifest(folder)[1].content.get("engine") or {}
    capabilities = made_for.get("compute_capabilities", []) if isinstance(made_for, dict) else None
    if not isinstance(capabilities, list):
        raise BundleError("the manifest of %s does not tell what its engine is for" % folder)
    capability, _ = cuda.describe_gpu()
    if capability not in capabilities:
        raise BundleError(
            "the engine is for compute capability %s, this GPU has %s; build again with --compute-capability %s"
            % (", ".join(map(str, capabilities)), capability, capability)
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


def engine_path(files: List[str], facts: Dict[str, str], precision: str, settings: Settings) -> str:
    """Where the engine that is made of some files is kept."""
    told = [precision, settings.typed, settings.dla_core, settings.workspace_bytes, list(settings.batches)]
    return path_for(_words(facts), files, told, ".engine")


def words_and_facts() -> Tuple[List[str], Dict[str, str]]:
    """What a choice between INT8 and FP16 belongs to here, see .forms."""
    import tensorrt

    facts = identity(tensorrt)
    return _words(facts), facts


def _words(facts: Dict[str, str]) -> List[str]:
    words = [facts["gpu"], "sm" + facts["compute_capability"].replace(".", ""), "trt" + facts["tensorrt"]]
    return words + ["cuda" + facts["cuda"], "l4t" + facts["jetpack"]]
