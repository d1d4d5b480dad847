"""What Linux tells of power, heat limits, loads and alerts under /sys and /proc. It only reads.

Temperatures and clocks are in `probe`. What cannot be read is left out.
"""

import glob
import os
import re
from typing import Dict, List, Optional, Tuple

from .probe import GPU_NAME, text

OVER_CURRENT = {"oc1": "under-voltage", "oc2": "average over-current", "oc3": "instantaneous over-current"}
"""What the counters oc*_event_cnt of Orin and Thor count."""

PASSIVE = ("passive", "hot")
"""Kinds of trip points at which clocks are lowered; "active" starts a fan, "critical" turns the machine off."""


def _find(root: str, *parts: str) -> List[str]:
    return sorted(glob.glob(os.path.join(glob.escape(root), *parts)))


def _number(path: str) -> Optional[int]:
    try:
        return int(text(path))
    except ValueError:
        return None


def ina3221_w(root: str = "/") -> Dict[str, float]:
    """Watts of every rail of the INA3221 monitors, in both of their sysfs layouts, and of Thor's INA238 as VIN."""
    found = {}
    base = "sys/bus/i2c/drivers"
    for path in _find(root, base, "ina3221x", "*", "iio:device*", "rail_name_*"):  # JetPack 4
        name, milliwatts = text(path), _number(path.replace("rail_name_", "in_power") + "_input")
        if name and name != "NC" and milliwatts is not None:
            found[name] = milliwatts / 1000.0
    for path in _find(root, base, "ina3221", "*", "hwmon", "hwmon*", "in*_label"):  # JetPack 5 and later
        name, channel = text(path), os.path.basename(path)[2 : -len("_label")]
        millivolts = _number(os.path.join(os.path.dirname(path), "in%s_input" % channel))
        milliamperes = _number(os.path.join(os.path.dirname(path), "curr%s_input" % channel))
        if name and name != "NC" and not name.startswith("sum") and None not in (millivolts, milliamperes):
            found[name] = (millivolts or 0) * (milliamperes or 0) / 1e6
    if "VDD_CPU_SOC_MSS" in found and "VIN" not in found:
        for path in _find(root, base, "ina238", "*", "hwmon", "hwmon*", "power1_input"):
            microwatts = _number(path)
            if microwatts is not None:
                found["VIN"] = microwatts / 1e6
    return found


def rapl_j(root: str = "/") -> Dict[str, Tuple[float, float]]:
    """Joules counted so far by each package of the processor, and where its counter starts again."""
    found = {}
    for folder in _find(root, "sys/class/powercap", "intel-rapl:*"):
        if os.path.basename(folder).count(":") > 1:  # a part of a package
            continue
        now, top = (_number(os.path.join(folder, name)) for name in ("energy_uj", "max_energy_range_uj"))
        if now is not None and top is not None:
            found[os.path.basename(folder)] = now / 1e6, top / 1e6
    return found


def rapl_between(first: Dict[str, Tuple[float, float]], last: Dict[str, Tuple[float, float]]) -> Optional[float]:
    """Joules between two readings, a counter that started again counted on; None if there are none.

    A counter may start again but once between them: at 65 kJ and 100 W they must be less than eleven minutes apart.
    """
    shared = [name for name in first if name in last]
    if not shared:
        return None
    return sum(
        last[name][0] - first[name][0] + (first[name][1] if last[name][0] < first[name][0] else 0.0) for name in shared
    )


def trips_c(root: str = "/") -> Dict[str, float]:
    """Degrees at which each thermal zone has clocks lowered: its first passive or hot trip point."""
    found: Dict[str, float] = {}
    for path in _find(root, "sys/class/thermal", "thermal_zone*", "trip_point_*_type"):
        folder = os.path.dirname(path)
        millidegrees = _number(path[: -len("type")] + "temp")
        if text(path) in PASSIVE and millidegrees is not None and millidegrees > 0:
            zone = text(os.path.join(folder, "type")) or os.path.basename(folder)
            found[zone] = min(found.get(zone, 1e9), millidegrees / 1000.0)
    return found


def max_clocks_mhz(root: str = "/") -> Dict[str, float]:
    """The highest clocks that are allowed now, of the GPU (devfreq) and of the fastest core (cpufreq)."""
    found: Dict[str, float] = {}
    for path in _find(root, "sys/class/devfreq", "*", "max_freq"):
        value = _number(path)
        if value is not None and GPU_NAME.search(os.path.basename(os.path.dirname(path))):
            found["gpu"] = max(found.get("gpu", 0.0), value / 1e6)
    for path in _find(root, "sys/devices/system/cpu", "cpu*", "cpufreq", "scaling_max_freq"):
        value = _number(path)
        if value is not None:
            found["cpu"] = max(found.get("cpu", 0.0), value / 1e3)
    return found


def gpu_load(root: str = "/") -> Optional[float]:
    """How busy a Jetson's GPU is, in percent; the driver tells it in thousandths."""
    for where in ("platform/gpu.0", "gpu.0", "platform/bus@0/*.gpu", "platform/*.gpu"):
        for path in _find(root, "sys/devices", where, "load"):
            value = _number(path)
            if value is not None:
                return value / 10.0
    return None


def cpu_ticks(root: str = "/") -> Dict[str, Tuple[int, int]]:
    """Ticks that each core was busy, and all its ticks, since the machine started."""
    found = {}
    for line in text(os.path.join(root, "proc/stat")).splitlines():
        name, _, rest = line.partition(" ")
        ticks = rest.split()
        if re.match(r"cpu\d+$", name) and len(ticks) >= 5 and all(each.isdigit() for each in ticks):
            numbers = [int(each) for each in ticks[:8]]  # guests' ticks are counted in the user's already
            found[name] = sum(numbers) - numbers[3] - numbers[4], sum(numbers)
    return found


def cpu_load(before: Dict[str, Tuple[int, int]], after: Dict[str, Tuple[int, int]]) -> Optional[float]:
    """How busy the busiest core was between two readings, in percent."""
    loads = []
    for name in after:
        busy, ticks = before.get(name, after[name])
        if after[name][1] > ticks:
            loads.append(100.0 * (after[name][0] - busy) / (after[name][1] - ticks))
    return max(loads) if loads else None


def alerts(root: str = "/") -> Dict[str, int]:
    """Alerts of throttling that are raised now: {its name: its state above zero}.

    A Jetson raises them as cooling devices (gpu-throttle-alert), and its power monitors for a critical current.
    """
    found = {}
    for path in _find(root, "sys/class/thermal", "cooling_device*", "type"):
        state = _number(os.path.join(os.path.dirname(path), "cur_state"))
        if text(path).endswith(("throttle-alert", "hot-surface-alert")) and state:
            found[text(path)] = state
    for path in _find(root, "sys/bus/i2c/drivers/ina3221", "*", "hwmon", "hwmon*", "curr*_crit_alarm"):
        state, channel = _number(path), os.path.basename(path)[len("curr") : -len("_crit_alarm")]
        name = text(os.path.join(os.path.dirname(path), "in%s_label" % channel))
        if state and name and name != "NC":
            found["critical current on " + name] = state
    return found


def event_counts(root: str = "/") -> Dict[str, int]:
    """How often since the start the module throttled itself for its supply, by kind."""
    found: Dict[str, int] = {}
    for path in _find(root, "sys/class/hwmon", "hwmon*", "oc*_event_cnt"):
        count, kind = _number(path), os.path.basename(path).split("_")[0]
        if count is not None:
            name = OVER_CURRENT.get(kind, kind)
            found[name] = found.get(name, 0) + count
    return found


def mode_name(number: str, root: str = "/") -> Optional[str]:
    """The name of a numbered power mode in nvpmodel's table; None if it is not there."""
    for line in text(os.path.join(root, "etc/nvpmodel.conf")).splitlines():
        mode = re.match(r"\s*<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)", line)
        if mode and int(mode.group(1)) == int(number):
            return mode.group(2)
    return None
