"""What a device is: model, JetPack, TensorRT, power mode, clocks, temperatures, free disk. It changes nothing."""

import os
import platform
import re
import shutil
import subprocess
import sys
from typing import Any, Dict, List, Optional

from . import processor
from .cgroup import usable_cores

RUNTIMES = ("tensorrt", "tensorrt_rtx", "openvino", "onnxruntime", "numpy")

JETPACKS = (
    ("32.7", "4.6"),
    ("32.", "4"),
    ("34.", "5.0"),
    ("35.1", "5.0"),
    ("35.", "5.1"),
    ("36.2", "6.0"),
    ("36.3", "6.0"),
    ("36.4.0", "6.1"),
    ("36.4", "6.2"),
    ("36.5", "6.2"),
    ("38.", "7.0"),
    ("39.", "7.2"),
)
"""How a release of L4T begins: the JetPack that brought it, where the package nvidia-jetpack does not say."""

GPU_NAME = re.compile(r"gpu|gv11b|gp10b|gm20b|ga10b|gb10b|gpc")
"""What is in the name of a Jetson's GPU among the devices whose clock moves (devfreq)."""


def probe(home: str, root: str = "/") -> Dict[str, Any]:
    """All that is known of this device; what it does not tell is None.

    Args:
        home: a folder on the disk that edgekit writes to; root: where /proc, /sys and /etc are.
    """
    l4t = l4t_release(text(os.path.join(root, "etc/nv_tegra_release")))
    return {
        "model": text(os.path.join(root, "proc/device-tree/model")) or None,
        "architecture": platform.machine(),
        "cpu": _cpu(root),
        "cores": usable_cores(root),
        "memory_bytes": _memory(root),
        "free_disk_bytes": shutil.disk_usage(home).free,
        "system": "%s %s" % (platform.system(), platform.release()),
        "python": platform.python_version(),
        "l4t": l4t,
        "jetpack": jetpack(l4t) if l4t else None,
        "cuda": _cuda(root),
        "runtimes": {name: _version(name) for name in RUNTIMES},
        "power_mode": power_mode(root),
        "temperatures_c": temperatures_c(root),
        "clocks_mhz": clocks_mhz(root),
        "features": list(processor.flags(root)),
        "isa_limit": processor.limit(os.environ),
    }


def text(path: str) -> str:
    """A small file's content without blanks and zero bytes at its ends; empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ")
    except (OSError, ValueError):
        return ""


def l4t_release(line: str) -> Optional[str]:
    """ "# R36 (release), REVISION: 4.3, ..." of /etc/nv_tegra_release to "36.4.3"."""
    found = re.search(r"R(\d+).*?REVISION:\s*([\d.]+)", line)
    return "%s.%s" % found.groups() if found else None


def jetpack(l4t: str) -> Optional[str]:
    """The JetPack of an L4T release: of the installed package where there is one, else by JETPACKS."""
    try:
        told = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=10,
        ).stdout.decode()
    except (OSError, subprocess.SubprocessError):
        told = ""
    if told:
        return told.split("-")[0].split("+")[0]
    return next((name for start, name in JETPACKS if l4t.startswith(start)), None)


def power_mode(root: str = "/") -> Optional[str]:
    """The name or number of the nvpmodel mode; never changed here."""
    command = shutil.which("nvpmodel") if root == "/" else None
    if command:
        try:
            told = subprocess.run(
                [command, "-q"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10
            ).stdout.decode(errors="replace")
        except (OSError, subprocess.SubprocessError):
            told = ""
        found = re.search(r"Power Mode:\s*(\S+)", told)
        if found:
            return found.group(1)
    status = text(os.path.join(root, "var/lib/nvpmodel/status"))  # such as "pmode:0002"
    return status.split(":", 1)[1].lstrip("0") or "0" if ":" in status else None


def temperatures_c(root: str = "/") -> Dict[str, float]:
    """Degrees of every thermal zone that has a sane reading."""
    found = {}
    for folder in _folders(os.path.join(root, "sys/class/thermal"), "thermal_zone"):
        value = text(os.path.join(folder, "temp"))
        if value.lstrip("-").isdigit() and -50000 < int(value) < 200000:
            found[text(os.path.join(folder, "type")) or os.path.basename(folder)] = int(value) / 1000.0
    return found


def clocks_mhz(root: str = "/") -> Dict[str, float]:
    """Clocks now: the GPU's of devfreq, and the fastest of the processor's."""
    found: Dict[str, float] = {}
    for folder in _folders(os.path.join(root, "sys/class/devfreq"), ""):
        name = os.path.basename(folder)
        value = text(os.path.join(folder, "cur_freq"))
        if value.isdigit() and GPU_NAME.search(name):
            found["gpu"] = max(found.get("gpu", 0.0), int(value) / 1e6)
    for folder in _folders(os.path.join(root, "sys/devices/system/cpu"), "cpu"):
        value = text(os.path.join(folder, "cpufreq", "scaling_cur_freq"))
        if value.isdigit():
            found["cpu"] = max(found.get("cpu", 0.0), int(value) / 1e3)
    return found


def _folders(parent: str, start: str) -> List[str]:
    try:
        names = sorted(os.listdir(parent))
    except OSError:
        return []
    return [os.path.join(parent, name) for name in names if name.startswith(start)]


def _cpu(root: str) -> str:
    for line in text(os.path.join(root, "proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        if key.strip().lower() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _memory(root: str) -> Optional[int]:
    found = re.search(r"MemTotal:\s*(\d+) kB", text(os.path.join(root, "proc/meminfo")))
    return int(found.group(1)) * 1024 if found else None


def _cuda(root: str) -> Optional[str]:
    told = text(os.path.join(root, "usr/local/cuda/version.json")) or text(
        os.path.join(root, "usr/local/cuda/version.txt")
    )
    found = re.search(r'"cuda"\s*:\s*\{[^}]*"version"\s*:\s*"([\d.]+)"|CUDA Version ([\d.]+)', told)
    return (found.group(1) or found.group(2)) if found else None


def _version(name: str) -> Optional[str]:
    """A package's version, imported in a process of its own: a broken one must not take the probe with it."""
    code = "import sys; sys.path = [each for each in sys.path if each]; import %s; print(%s.__version__)" % (name, name)
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip().splitlines()[-1] if done.returncode == 0 else None
