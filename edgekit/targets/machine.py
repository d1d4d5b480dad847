"""The machine at hand: what its processor can do, how much memory it has, whether it has an NVIDIA GPU."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgekit.runtime import cgroup
from edgekit.runtime import processor as processors

INTERESTING_FEATURES = processors.FEATURES
"""Processor features, as Linux names them, that decide which precisions are fast."""


THREAD_SETTINGS = (
    *("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OMP_WAIT_POLICY", "OMP_PROC_BIND", "OMP_PLACES", "OMP_DYNAMIC"),
    *("GOMP_CPU_AFFINITY", "GOMP_SPINCOUNT", "KMP_AFFINITY", "KMP_BLOCKTIME", "MKL_NUM_THREADS"),
    *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "OPENBLAS_NUM_THREADS"),
)
"""Variables of the environment that decide how fast runtimes compute, or in which arithmetic."""

OWN_SETTINGS = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
"""Those that edgekit sets by itself where the user has not: they say nothing about a machine."""


@dataclass(frozen=True)
class Machine:
    """What of a machine decides how fast things run on it and how they are rounded: part of the input of a stage.

    Attributes:
        features: those of INTERESTING_FEATURES that the processor has.
        usable_cores: processors that runtimes have threads for, by affinity and quota (edgekit.runtime.cgroup).
        settings: name and value of what else decides: THREAD_SETTINGS that are set, and a quota that stops even one
            thread; of a device, what its probe told.
        gpus: names of the NVIDIA GPUs; driver: its version. Empty where no GPU takes part.
    """

    cpu: str
    architecture: str
    features: tuple[str, ...]
    usable_cores: int
    settings: tuple[tuple[str, str], ...] = ()
    gpus: tuple[str, ...] = ()
    driver: str | None = None


def this_machine(gpu: bool = False) -> Machine:
    """This machine; its GPUs are asked for only where they take part, since that can take a second."""
    cpu, features = processor()
    gpus, driver = _nvidia() if gpu else ((), None)
    given = ((name, os.environ.get(name)) for name in THREAD_SETTINGS)
    settings = tuple((name, value) for name, value in given if value and OWN_SETTINGS.get(name) != value.upper())
    quota = cgroup.quota()
    if quota is not None and quota < 1:
        settings += (("cpu quota", f"{quota:.3g}"),)
    return Machine(cpu, platform.machine(), features, cgroup.usable_cores(), settings, gpus, driver)


def adds_int8_in_16_bits(machine: Machine) -> bool:
    """Whether OpenVINO keeps the sum of two INT8 products in 16 bits there (edgekit.runtime.processor).

    A processor of x86-64 that does not tell its features counts as one that does: what is right there is right
    everywhere.
    """
    limited_to = processors.limit(dict(machine.settings))
    return processors.int8_sums(machine.architecture, machine.features, limited_to) == "16-bit"


@dataclass(frozen=True)
class Inventory:
    """What there is on a machine, for people. Sizes in bytes; None where the system does not say.

    Attributes:
        cpu: the processor's name.
        architecture: such as "x86_64" or "aarch64".
        features: those of INTERESTING_FEATURES that the processor has.
        cores: logical processors; affinity: those that this process may run on.
        quota: how many processors' worth of time its container leaves it; None where nothing limits that.
        usable_cores: how many threads runtimes are given, by affinity and quota.
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
    affinity: int
    quota: float | None
    usable_cores: int
    memory_bytes: int | None
    available_bytes: int | None
    system: str
    python: str
    gpus: tuple[str, ...]
    nvidia_driver: str | None
    jetson: str | None


def describe() -> Inventory:
    """Look at this machine. Takes some milliseconds, and a second or so where nvidia-smi is slow; changes nothing."""
    cpu, features = processor()
    memory = _memory()
    limit = cgroup.free_memory()
    available = memory.get("MemAvailable")
    gpus, driver = _nvidia()
    return Inventory(
        cpu=cpu,
        architecture=platform.machine(),
        features=features,
        cores=os.cpu_count() or 1,
        affinity=cgroup.affinity(),
        quota=cgroup.quota(),
        usable_cores=cgroup.usable_cores(),
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
    """The processor's name, and those of its interesting features that runtimes may use."""
    lines = (_text(Path("/proc/cpuinfo")) or "").splitlines()
    fields = {key.strip().lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    present = set((fields.get("flags") or fields.get("features") or "").split())
    name = fields.get("model name") or platform.processor() or platform.machine()
    features = tuple(feature for feature in INTERESTING_FEATURES if feature in present)
    return name, processors.bound(features, processors.limit(os.environ))


def _memory() -> dict[str, int]:
    """/proc/meminfo in bytes; empty where there is none."""
    amounts = {}
    for line in (_text(Path("/proc/meminfo")) or "").splitlines():
        key, _, value = line.partition(":")
        number = value.split()[0] if value.split() else ""
        if number.isdigit():
            amounts[key] = int(number) * 1024
    return amounts


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
