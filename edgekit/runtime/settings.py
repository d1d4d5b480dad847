"""What a runtime is asked for when it loads a network."""

from typing import Any, NamedTuple, Optional, Tuple

from .contract import is_whole_number
from .openvino_plugins import PLUGINS, PROCESSOR

MOST_PICTURES = 1024
"""More at once are a slip of the pen."""


class Settings(NamedTuple):
    """What a runtime is asked for; each takes what it knows.

    threads, mode, keep: for processors: how many threads (0: all that the affinity and a quota allow), "latency" or
    "throughput", and whether what was compiled is kept for the next time.
    typed: whether the graph carries its precisions (TensorRT 10 and later); else flags allow FP16 and INT8.
    dla_core: of TensorRT: it runs what it can, the rest is run on the GPU; workspace_bytes: memory of its kernels.
    batches: how many pictures at once; empty: as many as the graph says.
    calibration_cache: without its first line, for the INT8 of a DLA before TensorRT 11.
    compute_capabilities: such as "SM86", that TensorRT for RTX builds for.
    plugin: of OpenVINO: what drives the device, a key of edgekit.runtime.openvino_plugins.PLUGINS.
    """

    threads: int = 0
    mode: str = "latency"
    keep: bool = False
    typed: bool = False
    dla_core: Optional[int] = None
    workspace_bytes: Optional[int] = None
    batches: Tuple[int, ...] = ()
    calibration_cache: str = ""
    compute_capabilities: Tuple[str, ...] = ()
    plugin: str = PROCESSOR


def engine_settings(told: Any) -> Settings:
    """How an engine is built, and where, as a manifest or a host tells it in JSON; other keys are passed over.

    Raises:
        ValueError: it is no table, or a value is none of its kind.
    """
    if told is None:
        return Settings()
    if not isinstance(told, dict):
        raise ValueError("engine_settings is no table")
    typed = told.get("typed", False)
    if not isinstance(typed, bool):
        raise ValueError("engine_settings.typed is %r" % (typed,))
    core, workspace = _count(told, "dla_core"), _count(told, "workspace_bytes")
    batches, plugin = _batches(told.get("batches")), plugin_of(told.get("plugin"))
    return Settings(typed=typed, dla_core=core, workspace_bytes=workspace, batches=batches, plugin=plugin)


def plugin_of(told: Any) -> str:
    """What drives the device, as a manifest or a host tells it; the processor's where nothing is told.

    Raises:
        ValueError: it is none that is known here.
    """
    if told is None:
        return PROCESSOR
    if not isinstance(told, str) or told not in PLUGINS:
        raise ValueError("plugin is %r, known are %s" % (told, ", ".join(PLUGINS)))
    return told


def _batches(told: Any) -> Tuple[int, ...]:
    if told is None:
        return ()
    numbers = isinstance(told, list) and all(is_whole_number(each, 1) for each in told)
    if not numbers or not told or max(told) > MOST_PICTURES or told != sorted(set(told)):
        raise ValueError("engine_settings.batches is %r" % (told,))
    return tuple(told)


def _count(told: Any, key: str) -> Optional[int]:
    value = told.get(key)
    if value is not None and not is_whole_number(value):
        raise ValueError("engine_settings.%s is %r" % (key, value))
    return None if value is None else int(value)
