"""How this processor adds INT8 products up in OpenVINO, and whether a bundle was built for that.

x86-64 processors without VNNI multiply unsigned by signed bytes with an instruction that keeps the sum of two
neighbouring products in 16 bits and saturates (vpmaddubsw). oneDNN, and so OpenVINO, uses it; ONNX Runtime is asked not
to (edgekit.runtime.engines). Written for Python 3.6.
"""

import os
import platform
import re
from typing import Mapping, Optional, Sequence, Tuple

FEATURES = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "avx512_bf16", "avx512_fp16"),
    *("amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve"),
)
"""Processor features, as Linux names them, that decide which precisions are fast, and how INT8 is added up."""

EXACT = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8")
"""Features of x86-64 with any of which four products are added up in 32 bits."""

LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables that keep oneDNN from newer instructions; the first that is set counts."""

LIMITED_TO: Mapping[str, Sequence[str]] = {
    "SSE41": (),
    "AVX": (),
    "AVX2": ("avx2",),
    "AVX2_VNNI": ("avx2", "avx_vnni"),
    "AVX2_VNNI_2": ("avx2", "avx_vnni", "avx_vnni_int8"),
    "AVX512_CORE": ("avx2", "avx512f"),
    "AVX512_CORE_VNNI": ("avx2", "avx512f", "avx512_vnni"),
    "AVX512_CORE_BF16": ("avx2", "avx512f", "avx512_vnni", "avx512_bf16"),
    "AVX512_CORE_FP16": ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
}
"""Which of FEATURES oneDNN uses under a limit; all of them under any other value (oneDNN's guide, "CPU Dispatcher
Control")."""

SUMS = ("exact", "16-bit")


def flags(root: str = "/") -> Tuple[str, ...]:
    """Those of FEATURES that the processor has; none where the system does not tell."""
    try:
        with open(os.path.join(root, "proc/cpuinfo"), encoding="utf-8", errors="replace") as file:
            found = re.search(r"^(?:flags|Features)\s*:(.*)$", file.read(1 << 16), re.MULTILINE)
    except OSError:
        found = None
    present = set(found.group(1).split()) if found else set()
    return tuple(each for each in FEATURES if each in present)


def limit(environment: Mapping[str, str]) -> Optional[str]:
    """What keeps oneDNN from newer instructions."""
    return next((environment[name] for name in LIMITS if environment.get(name)), None)


def bound(features: Sequence[str], limited_to: Optional[str]) -> Tuple[str, ...]:
    """Those of a processor's features that oneDNN uses; asked for more than those, OpenVINO fails or emulates it."""
    used = LIMITED_TO.get((limited_to or "").upper(), FEATURES)
    return tuple(each for each in features if each in used)


def int8_sums(architecture: str, features: Sequence[str], limited_to: Optional[str] = None) -> str:
    """One of SUMS: how OpenVINO adds INT8 products up on a processor; "exact" on all but x86-64."""
    if architecture.lower() not in ("x86_64", "amd64"):
        return "exact"
    return "exact" if set(EXACT) & set(bound(features, limited_to)) else "16-bit"


def int8_sums_here() -> Optional[str]:
    """The same of this processor; None where it does not tell what it can do."""
    features, architecture = flags(), platform.machine()
    if not features and int8_sums(architecture, features) == "16-bit":
        return None
    return int8_sums(architecture, features, limit(os.environ))


def what_differs(told: object, runtime: str, here: Optional[str] = None) -> Optional[str]:
    """What a user should know where an INT8 bundle runs on another kind of processor than it was built for.

    Args:
        told: what the manifest says under `arithmetic`, None where it says nothing; runtime: what it is run with here.
        here: how that adds INT8 products up; by default this processor is looked at.
    Returns:
        None where the bundle says nothing of it, and where nothing differs.
    """
    built_for = told.get("int8_sums") if isinstance(told, dict) else None
    if built_for not in SUMS or runtime != "openvino":
        return None
    here = here or int8_sums_here()
    if here is None or here == built_for:
        return None
    if built_for == "exact":
        return (
            "INT8 sums may saturate here, and answers be wrong: the bundle was built for processors that add INT8"
            " products exactly (VNNI), and this one adds them in 16 bits; build it again on this processor, or run it"
            " with ONNX Runtime"
        )
    return (
        "answers are right; the bundle was built for processors without VNNI, and weights of the full range would be"
        " slightly more accurate on this one"
    )
