"""The machine at hand: what its processor can do, how much memory it has, whether it has an NVIDIA GPU."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

INTERESTING_FEATURES = (
    *("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve"),
)
"""Processor features, as Linux names them, that decide which precisions are fast."""


@dataclass(frozen=True)
class Machine:
    """What a machine is. Sizes in bytes; None where the system does not say.

    Attributes:
        cpu: the processor's name.
        architecture: such as "x86_64" or "aarch64".
        features: those of INTERESTING_FEATURES that the processor has.
        cores: logical processors; usable_cores: those that this process may run on.
        memory_bytes: physical memory; available_bytes: of it, free for a new program (a container's limit counts).
        system: such as "Linux 6.1".
        python: such as "3.11.7".
        gpus: names of the NVIDIA GPUs.
        nvidia_driver: version of the driver.
        jetson: the model, on a Jetson.
    """

    cpu: str
    architecture: str
    features: tuple[str, ...]
    cores: int
    usable_cores: int
    memory_bytes: int | None
    available_bytes: int | None
    system: str
    python: str
    gpus: tuple[str, ...]
    nvidia_driver: str | None
    jetson: str | None


def describe() -> Machine:
    """Look at this machine. Takes some milliseconds, and a second or so where nvidia-smi is slow; changes nothing."""
    cpu, features = processor()
    memory = _memory()
    limit = _container_limit()
    available = memory.get("MemAvailable")
    gpus, driver = _nvidia()
    return Machine(
        cpu=cpu,
        architecture=platform.machine(),
        features=features,
        cores=os.cpu_count() or 1,
        usable_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=memory.get("MemTotal"),
        available_bytes=available if available is None or limit is None else min(available, limit),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        gpus=gpus,
        nvidia_driver=driver,
        jetson=_text(Path("/proc/device-tree/model")) if Path("/etc/nv_tegra_release").exists() else None,
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip("\0\n ")
    except OSError:
        return None


def processor() -> tuple[str, tuple[str, ...]]:
    """The processor's name and its interesting features."""
    lines = (_text(Path("/proc/cpuinfo")) or "").splitlines()
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    present = set((fields.get("flags") or fields.get("features") or "").split())
    name = fields.get("model name") or platform.processor() or platform.machine()
    return name, tuple(feature for feature in INTERESTING_FEATURES if feature in present)


def _memory() -> dict[str, int]:
    """/proc/meminfo in bytes; empty where there is none."""
    amounts = {}
    for line in (_text(Path("/proc/meminfo")) or "").splitlines():
        key, _, value = line.partition(":")
        number = value.split()[0] if value.split() else ""
        if number.isdigit():
            amounts[key] = int(number) * 1024
    return amounts


def _container_limit() -> int | None:
    """The memory in bytes that this process's control group may still take, if it is limited."""
    limit, used = _text(Path("/sys/fs/cgroup/memory.max")), _text(Path("/sys/fs/cgroup/memory.current"))
    if limit is None or used is None or not limit.isdigit() or not used.isdigit():
        return None
    return max(0, int(limit) - int(used))


def _nvidia() -> tuple[tuple[str, ...], str | None]:
    """Names of the NVIDIA GPUs and the driver's version, as nvidia-smi tells them."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return (), None
    query = [command, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return (), None
    rows = [line.rpartition(",") for line in answer.splitlines() if "," in line]
    return tuple(name.strip() for name, _, _ in rows), rows[0][2].strip() if rows else None
