"""OpenVINO's devices, each by the plugin that drives it: how it is asked for, and which of them are here.

GPU and NPU have not yet been run on hardware. What they take is by OpenVINO's own documents: "GPU Device", "NPU Device"
and "Precision Control" of its guide, the README of its NPU plugin, and the headers openvino/runtime/properties.hpp,
intel_gpu/properties.hpp and intel_npu/properties.hpp of release 2026.4.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from .cgroup import threads_within_quota
from .openvino_core import core

PROCESSOR = "CPU"


class Plugin(NamedTuple):
    """One of OpenVINO's plugins.

    device: what OpenVINO is asked for; "GPU" is the first one, an integrated one where there is one.
    words: what it drives, for people; needs: what it takes to be seen, as a sentence.
    hints: the precisions that it computes, and its INFERENCE_PRECISION_HINT for each; None where it is given none.
    settings: what else it is always given.
    threads: whether it takes a number of threads; caches: whether OpenVINO keeps for it what was compiled (CACHE_DIR).
    """

    device: str
    words: str
    needs: str
    hints: Dict[str, Optional[str]]
    settings: Dict[str, str] = {}
    threads: bool = False
    caches: bool = False


PLUGINS: Dict[str, Plugin] = {
    # OpenVINO computes in BF16 on processors that have it, unless told otherwise. What INT8 leaves in floating point
    # stays FP32, so that a bundle computes the same on processors with and without BF16; a mixed one was judged with
    # BF16. FP16 is for other devices: the processor computes it in FP32, which every one can.
    PROCESSOR: Plugin(
        device="CPU",
        words="the processor",
        needs="It comes with OpenVINO.",
        hints={"fp32": "f32", "bf16": "bf16", "fp16": "f32", "int8": "f32", "mixed": "bf16"},
        threads=True,
    ),
    # A GPU computes what is not quantized in FP16 unless told otherwise, and INT8 by Q/DQ of u8 or i8. With the hint
    # for throughput OpenVINO would batch by itself: a request then waits for others that may never come, for up to a
    # second (AUTO_BATCH_TIMEOUT).
    "GPU": Plugin(
        device="GPU",
        words="an Intel GPU",
        needs="It takes an Intel GPU with its OpenCL driver (the packages ocl-icd-libopencl1 and intel-opencl-icd), and"
        " a user who may open /dev/dri/renderD* (the group render; in a container --device /dev/dri).",
        hints={"fp32": "f32", "fp16": "f16", "int8": "f16", "mixed": "f16"},
        settings={"ALLOW_AUTO_BATCHING": "NO"},
        caches=True,
    ),
    # An NPU computes in FP16 and INT8 and nothing else; which properties it knows depends on its driver's compiler, and
    # the hint for precision is no longer among those that its README lists. Its driver keeps what it has compiled.
    "NPU": Plugin(
        device="NPU",
        words="an Intel NPU",
        needs="It takes an Intel Core Ultra with the NPU's driver (the packages intel-level-zero-npu,"
        " intel-driver-compiler-npu and intel-fw-npu of intel/linux-npu-driver, and level-zero or libze1), and a user"
        " who may open /dev/accel/accel0 (the group render; in a container --device /dev/accel).",
        hints={"fp16": None, "int8": None, "mixed": None},
    ),
}
"""Name, as a manifest has it: what drives a device."""


class Seen(NamedTuple):
    """A device that OpenVINO sees: what it is called there ("GPU.1"), its own name, its driver's version if told."""

    device: str
    name: str
    driver: Optional[str]


def visible() -> Tuple[str, ...]:
    """The devices that OpenVINO sees here, such as ("CPU", "GPU.0", "GPU.1"); takes some hundredths of a second.

    Raises:
        ImportError: OpenVINO is not here.
    """
    return tuple(core().available_devices)


def lacking(name: str) -> Optional[str]:
    """Why the plugin of that name can drive nothing here, as the beginning of a sentence; None where it can.

    Raises:
        ImportError: OpenVINO is not here.
    """
    there = visible()
    if any(each.partition(".")[0] == name for each in there):
        return None
    return "OpenVINO sees no %s here, only %s" % (name, ", ".join(there) or "nothing at all")


def seen(device: str) -> Seen:
    """What one of the devices tells of itself."""
    told = _property(device, "SUPPORTED_PROPERTIES") or ()
    drivers = sorted(each for each in told if str(each).endswith("DRIVER_VERSION"))  # NPU_DRIVER_VERSION
    driver = _property(device, drivers[0]) if drivers else None
    name = _property(device, "FULL_DEVICE_NAME")
    return Seen(device, device if name is None else str(name), None if driver is None else str(driver))


def all_seen() -> List[Seen]:
    """Every device that OpenVINO sees here.

    Raises:
        ImportError: OpenVINO is not here.
    """
    return [seen(each) for each in visible()]


def asked(name: str, precision: str, mode: str = "", threads: int = 0) -> Dict[str, str]:
    """The properties that a network is compiled with.

    Args:
        precision: one of the plugin's hints; mode: "latency", "throughput", or empty for none.
        threads: of a processor; 0: all that the affinity and a quota allow.
    """
    plugin = PLUGINS[name]
    wanted = dict(plugin.settings)
    if mode:
        wanted["PERFORMANCE_HINT"] = mode.upper()
    hint = plugin.hints[precision]
    if hint is not None:
        wanted["INFERENCE_PRECISION_HINT"] = hint
    # OpenVINO goes by the affinity alone, and a quota can carry fewer.
    count = (threads or threads_within_quota()) if plugin.threads else 0
    if count:
        wanted["INFERENCE_NUM_THREADS"] = str(count)
    return wanted


def said(error: BaseException) -> str:
    """What an error of OpenVINO's says, in one line, without the places in its sources that it begins with."""
    lines = [line.strip() for line in str(error).splitlines()]
    words = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return words[0] if words else " ".join(lines)


def _property(device: str, name: str) -> Any:
    try:
        return core().get_property(device, name)
    except RuntimeError:  # a plugin that does not know it, or not without its driver
        return None
