"""Power, temperatures and clocks through a run, and whether the device was throttled in it.

Power comes from the first of these that can be read: the INA3221 monitors of a Jetson, tegrastats, the RAPL counters of
an x86 processor, nvidia-smi for desktop GPUs (NVML tells no power on Tegra). Nothing here changes any setting.
"""

import glob
import os
import shutil
import subprocess
import threading
import time
from typing import Any, Dict, List, Optional, Tuple

from .probe import clocks_mhz, temperatures_c, text
from .tegrastats import module_power_w, parse

HOT_C = 85.0
"""Below this a lower clock is not put down to heat."""

FALLEN = 0.9
"""A clock below this part of its best is lower."""

SMI_QUERY = "power.draw,temperature.gpu,clocks.sm,clocks_throttle_reasons.active"
SMI_REASONS = (
    (0x4, "the power limit was reached"),
    (0x8, "a hardware slowdown"),
    (0x20, "the driver's thermal limit was reached"),
    (0x40, "the hardware's thermal limit was reached"),
    (0x80, "an external power brake"),
)
"""Bits of clocks_throttle_reasons.active, as NVIDIA's NVML reference names them."""

Sample = Dict[str, Any]


def ina3221_w(root: str = "/") -> Dict[str, float]:
    """Watts of every rail of the INA3221 monitors, in both of their sysfs layouts."""
    found = {}
    base = os.path.join(root, "sys/bus/i2c/drivers")
    for path in glob.glob(os.path.join(base, "ina3221x", "*", "iio:device*", "rail_name_*")):  # JetPack 4
        value = text(path.replace("rail_name_", "in_power") + "_input")
        if text(path) and value.lstrip("-").isdigit():
            found[text(path)] = int(value) / 1000.0
    for path in glob.glob(os.path.join(base, "ina3221", "*", "hwmon", "hwmon*", "in*_label")):  # JetPack 5 and later
        folder, name = os.path.split(path)
        channel = name[2 : -len("_label")]
        volts = text(os.path.join(folder, "in%s_input" % channel))
        amperes = text(os.path.join(folder, "curr%s_input" % channel))
        if volts.isdigit() and amperes.lstrip("-").isdigit() and not text(path).startswith("sum"):
            found[text(path)] = int(volts) * int(amperes) / 1e6
    return found


def rapl_j(root: str = "/") -> Dict[str, Tuple[float, float]]:
    """Joules counted so far by each package of the processor, and where its counter starts again."""
    found = {}
    for folder in sorted(glob.glob(os.path.join(root, "sys/class/powercap/intel-rapl:*"))):
        if os.path.basename(folder).count(":") > 1:  # a part of a package
            continue
        now, top = text(os.path.join(folder, "energy_uj")), text(os.path.join(folder, "max_energy_range_uj"))
        if now.isdigit() and top.isdigit():
            found[os.path.basename(folder)] = int(now) / 1e6, int(top) / 1e6
    return found


def rapl_between(first: Dict[str, Tuple[float, float]], last: Dict[str, Tuple[float, float]]) -> Optional[float]:
    """Joules between two readings, counters that started again counted on; None if there are none."""
    shared = [name for name in first if name in last]
    if not shared:
        return None
    return sum(
        last[name][0] - first[name][0] + (first[name][1] if last[name][0] < first[name][0] else 0.0) for name in shared
    )


def smi_sample() -> Optional[Sample]:
    """Power, temperature, clock and throttle reasons of the first desktop GPU."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    arguments = [command, "--query-gpu=" + SMI_QUERY, "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_smi(answer.decode(errors="replace"))


def parse_smi(answer: str) -> Optional[Sample]:
    """The first line that nvidia-smi answers to SMI_QUERY; what it does not know is left out."""
    fields = [each.strip() for each in answer.splitlines()[0].split(",")] if answer.strip() else []
    if len(fields) != 4:
        return None
    sample = {"reasons": []}  # type: Sample
    for key, value in zip(("power_w", "temperature", "clock"), fields):
        try:
            sample[key] = float(value)
        except ValueError:
            continue
    try:
        bits = int(fields[3], 16)
    except ValueError:
        bits = 0
    sample["reasons"] = [words for bit, words in SMI_REASONS if bits & bit]
    return sample


def throttle_reasons(samples: List[Sample]) -> List[str]:
    """Why clocks fell in a run, in words; empty if they did not.

    Args:
        samples: each with "temperatures_c", "clocks_mhz" and, where a driver told them, "reasons".
    """
    found = []  # type: List[str]
    for sample in samples:
        found += [reason for reason in sample.get("reasons", []) if reason not in found]
    best = {}  # type: Dict[str, float]
    told = set()
    for sample in samples:
        hottest = max(sample["temperatures_c"].items(), key=lambda item: item[1], default=("", 0.0))
        for name, clock in sample["clocks_mhz"].items():
            best[name] = max(best.get(name, 0.0), clock)
            if name not in told and clock < FALLEN * best[name] and hottest[1] >= HOT_C:
                told.add(name)
                found.append(
                    "the %s clock fell from %.0f to %.0f MHz at %.1f degrees (%s)"
                    % (name, best[name], clock, hottest[1], hottest[0])
                )
    return found


class Sampler:
    """Looks at the device every interval_s seconds, in a thread, from entering to leaving; `told` is what it saw."""

    def __init__(self, interval_s: float = 0.5, root: str = "/") -> None:
        self._interval_s, self._root = interval_s, root
        self._samples = []  # type: List[Sample]
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._stats = None  # type: Any
        self.told = {}  # type: Dict[str, Any]

    def __enter__(self) -> "Sampler":
        self._began = time.time()
        self._counted = rapl_j(self._root)
        if not ina3221_w(self._root) and self._root == "/" and shutil.which("tegrastats"):
            interval = str(int(self._interval_s * 1000))
            self._stats = subprocess.Popen(
                ["tegrastats", "--interval", interval], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._stats is not None:
            self._stats.terminate()
        self._thread.join()
        seconds = time.time() - self._began
        energy = rapl_between(self._counted, rapl_j(self._root))
        self.told = summary(self._samples, seconds, energy)

    def _watch(self) -> None:
        while True:
            self._samples.append(self._sample())
            if self._done.wait(0 if self._stats is not None else self._interval_s):
                return

    def _sample(self) -> Sample:
        sample = {
            "temperatures_c": temperatures_c(self._root),
            "clocks_mhz": clocks_mhz(self._root),
        }  # type: Sample
        rails = ina3221_w(self._root)
        if rails:
            sample.update(source="ina3221", rails_w=rails, power_w=module_power_w(rails))
        elif self._stats is not None:
            told = parse(self._stats.stdout.readline().decode(errors="replace"))
            sample.update(source="tegrastats", rails_w=told["rails_w"], power_w=module_power_w(told["rails_w"]))
        elif self._root == "/":
            gpu = smi_sample()
            if gpu is not None:
                sample.update(source="nvidia-smi", power_w=gpu.get("power_w"), reasons=gpu["reasons"])
                sample["temperatures_c"]["gpu"] = gpu.get("temperature", 0.0)
                sample["clocks_mhz"]["gpu"] = gpu.get("clock", 0.0)
        return sample


def summary(samples: List[Sample], seconds: float, rapl_energy_j: Optional[float] = None) -> Dict[str, Any]:
    """What samples come to: power in watts, energy in joules, first, highest and last temperatures, clocks, throttling.

    "source" says where power came from; it is None, and "why" says so, where nothing could be read.
    """
    powers = [each["power_w"] for each in samples if each.get("power_w") is not None]
    source = next((each["source"] for each in samples if each.get("power_w") is not None), None)
    watts = sum(powers) / len(powers) if powers else None
    if watts is None and rapl_energy_j is not None and seconds > 0:
        source, watts = "rapl", rapl_energy_j / seconds
    reasons = throttle_reasons(samples)
    told = {
        "source": source,
        "seconds": seconds,
        "samples": len(samples),
        "mean_power_w": watts,
        "energy_j": None if watts is None else watts * seconds,
        "temperatures_c": _ends(samples, "temperatures_c", max),
        "clocks_mhz": _ends(samples, "clocks_mhz", min),
        "throttled": bool(reasons) if any(each["clocks_mhz"] for each in samples) else None,
        "throttle_reasons": reasons,
    }
    if watts is None:
        told["why"] = "no power monitor of this device can be read (INA3221, tegrastats, RAPL, nvidia-smi)"
    return told


def _ends(samples: List[Sample], key: str, extreme: Any) -> Dict[str, List[float]]:
    """First, extreme and last value of each reading."""
    found = {}  # type: Dict[str, List[float]]
    for sample in samples:
        for name, value in sample[key].items():
            kept = found.setdefault(name, [value, value, value])
            found[name] = [kept[0], extreme(kept[1], value), value]
    return found
