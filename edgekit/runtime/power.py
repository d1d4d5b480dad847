"""Power, temperatures and clocks through a run, and whether the device was throttled in it.

Power comes from the first of these that can be read: the INA3221 monitors of a Jetson, tegrastats, the RAPL counters of
an x86 processor, nvidia-smi for desktop GPUs (NVML tells no power on Tegra). Where the last two both can, the GPU's
counts if the GPU was at work, and the other is told beside it. Nothing here changes any setting.
"""

import os
import shutil
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from . import probe, sysfs
from .nvidia_smi import ask
from .tegrastats import FIXED_C, Tegrastats, module_power_w, module_rails

HOT_C = 85.0
"""A zone that rose above this is hot, whatever its trip point."""

NEAR_C = 5.0
"""A zone this near to its trip point, or above it, is hot."""

FALLEN = 0.9
"""A clock below this part of its steady level has fallen."""

LOADED = 50.0
"""A processor this busy, in percent, has no reason of its own to lower its clock."""

STEADY, LASTING = 3, 2
"""Samples in a row that make a steady level, and that make a fall more than a blink."""

NO_MONITOR = "no power monitor of this device can be read (INA3221, tegrastats, RAPL, nvidia-smi)"


class Sample(NamedTuple):
    """What could be read of a device at one moment.

    temperatures_c, trips_c: degrees by zone: now, and from where it is throttled.
    clocks_mhz, loads: by clock, MHz and percent; an untold load is taken for a full one.
    reasons: a driver's words, None where none was asked.
    alerts: state above zero, by name; counts: events so far, by kind.
    source, rails_w, power_w: what power was read with, its rails in watts, and what the whole module or GPU draws.
    """

    temperatures_c: Dict[str, float] = {}
    trips_c: Dict[str, float] = {}
    clocks_mhz: Dict[str, float] = {}
    loads: Dict[str, float] = {}
    reasons: Optional[List[str]] = None
    alerts: Dict[str, int] = {}
    counts: Dict[str, int] = {}
    source: Optional[str] = None
    rails_w: Dict[str, float] = {}
    power_w: Optional[float] = None


def power_mode(root: str = "/") -> Optional[str]:
    """The nvpmodel mode's name, its number where no table names it, None where there is no nvpmodel."""
    told = probe.power_mode(root)
    return sysfs.mode_name(told, root) or told if told and told.isdigit() else told


def throttled(samples: List[Sample]) -> Tuple[Optional[bool], List[str]]:
    """Whether clocks were held down in a run, None if nothing there could tell; and why, in words."""
    found: List[str] = []
    for sample in samples:
        alerts = ["alert: %s (state %d)" % each for each in sample.alerts.items()]
        found += [reason for reason in list(sample.reasons or []) + alerts if reason not in found]
    counted = [sample.counts for sample in samples if sample.counts]
    for kind in counted[-1] if counted else ():
        more = counted[-1][kind] - counted[0].get(kind, 0)
        if more > 0:
            found.append("the module throttled itself %d times for %s" % (more, kind))
    for name in sorted({name for sample in samples for name in sample.clocks_mhz}):
        fall = _fall(samples, name)
        if fall:
            found.append(fall)
    watched = any(each.reasons is not None or each.alerts or each.counts or each.clocks_mhz for each in samples)
    return (bool(found) if watched else None), found


def _fall(samples: List[Sample], name: str) -> Optional[str]:
    """The deepest lasting fall of a clock that was under load, in heat, told in words."""
    trips = {zone: degrees for sample in samples for zone, degrees in sample.trips_c.items()}
    began = samples[0].temperatures_c
    steady, low = 0.0, 0
    recent: List[float] = []
    deepest: Optional[Tuple[float, float, str]] = None
    for sample in samples:
        clock, load = sample.clocks_mhz.get(name), sample.loads.get(name)
        if clock is None or (load is not None and load < LOADED):
            recent, low = [], 0
            continue
        heat = _heat(sample.temperatures_c, trips, began) if clock < FALLEN * steady else None
        low = low + 1 if heat else 0
        if heat and low >= LASTING and (deepest is None or clock < deepest[1]):
            deepest = (steady, clock, heat)
        recent = (recent + [clock])[-STEADY:]
        if len(recent) == STEADY:
            steady = max(steady, min(recent))
    return "the %s clock fell from %.0f to %.0f MHz under load with %s" % ((name,) + deepest) if deepest else None


def _heat(now: Dict[str, float], trips: Dict[str, float], began: Dict[str, float]) -> Optional[str]:
    """The hottest zone that explains a lower clock, in words."""
    for zone, degrees in sorted(now.items(), key=lambda item: -item[1]):
        if degrees in FIXED_C.get(zone, ()):
            continue
        if zone in trips and degrees >= trips[zone] - NEAR_C:
            return "%s at %.1f C (it is throttled from %.1f C)" % (zone, degrees, trips[zone])
        if degrees > HOT_C and degrees > began.get(zone, 0.0):
            return "%s at %.1f C" % (zone, degrees)
    return None


class Sampler:
    """Looks at the device every interval_s seconds, in a thread, from `start` to `stop`; a context manager too.

    Attributes:
        told: what it saw, as `summary` says it (dict; empty until it stops).
    """

    def __init__(self, interval_s: float = 0.5, root: str = "/") -> None:
        self._interval_s, self._root = interval_s, root
        self._thread: Optional[threading.Thread] = None
        self._stats: Optional[Tegrastats] = None
        self.told: Dict[str, Any] = {}

    def start(self) -> "Sampler":
        """Begins to look; from here energy is counted."""
        self._samples: List[Sample] = []
        self._rapl_j: Optional[float] = None
        self._trips, self._ticks = sysfs.trips_c(self._root), sysfs.cpu_ticks(self._root)
        self._began, self._counted = time.monotonic(), sysfs.rapl_j(self._root)
        if self._root == "/" and not sysfs.ina3221_w(self._root) and shutil.which("tegrastats"):
            try:
                self._stats = Tegrastats(self._interval_s)
            except OSError:
                self._stats = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> Dict[str, Any]:
        """Ends looking; returns `told`."""
        if self._thread is None:
            return self.told
        seconds = time.monotonic() - self._began
        self._done.set()
        self._thread.join()
        self._thread = None
        if self._stats is not None:
            self._stats.stop()
            self._stats = None
        self._count()
        self.told = summary(self._samples, seconds, self._rapl_j)
        if "why" in self.told and os.path.isdir(os.path.join(self._root, "sys/class/powercap/intel-rapl:0")):
            self.told["why"] += "; RAPL is there, but only its owner may read it"
        self.told["allowed_clocks_mhz"] = sysfs.max_clocks_mhz(self._root)
        return self.told

    def __enter__(self) -> "Sampler":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _watch(self) -> None:
        while True:
            try:
                self._samples.append(self._sample())
                self._count()
            except Exception:  # what looks at a run must not break it
                pass
            if self._done.wait(self._interval_s):
                return

    def _count(self) -> None:
        """Adds what RAPL counted since the last time: each reading must come before a counter starts again twice."""
        now = sysfs.rapl_j(self._root)
        more, self._counted = sysfs.rapl_between(self._counted, now), now
        if more is not None:
            self._rapl_j = (self._rapl_j or 0.0) + more

    def _sample(self) -> Sample:
        root, ticks, gpu_load = self._root, sysfs.cpu_ticks(self._root), sysfs.gpu_load(self._root)
        loads = {"cpu": sysfs.cpu_load(self._ticks, ticks), "gpu": gpu_load}
        self._ticks = ticks
        temperatures, clocks = probe.temperatures_c(root), probe.clocks_mhz(root)
        power = Sample()
        rails = sysfs.ina3221_w(root)
        told = self._stats.newest() if self._stats is not None else None
        if rails:
            power = Sample(source="ina3221", rails_w=rails, power_w=module_power_w(rails))
        elif told is not None:
            power = Sample(source="tegrastats", rails_w=told["rails_w"], power_w=module_power_w(told["rails_w"]))
            temperatures = temperatures or told["temperatures_c"]
            loads["gpu"] = told["gpu_load"] if gpu_load is None else gpu_load
            if told["gpu_mhz"] is not None:
                clocks.setdefault("gpu", float(told["gpu_mhz"]))
        elif root == "/" and self._stats is None:
            gpu = ask()
            if gpu is not None:
                power = Sample(source="nvidia-smi", power_w=gpu.power_w, reasons=gpu.reasons)
                loads["gpu"] = 0.0 if gpu.idle else gpu_load
                temperatures.update(_known("gpu", gpu.temperature_c))
                clocks.update(_known("gpu", gpu.clock_mhz))
        return power._replace(
            temperatures_c=temperatures,
            trips_c=self._trips,
            clocks_mhz=clocks,
            loads={name: load for name, load in loads.items() if load is not None},
            alerts=sysfs.alerts(root),
            counts=sysfs.event_counts(root),
        )


def _known(name: str, value: Optional[float]) -> Dict[str, float]:
    return {} if value is None else {name: value}


def summary(samples: List[Sample], seconds: float, rapl_energy_j: Optional[float] = None) -> Dict[str, Any]:
    """What samples come to, in JSON values.

    Returns:
        "source" of power (None, with "why", where there is none), "rails" that were added up, "seconds", "samples" (how
        many), "mean_power_w", "energy_j", "other_power_w" {source: watts}, "temperatures_c" {zone: {"first", "max",
        "last"}}, "clocks_mhz" {name: {"first", "min", "last"}}, "throttled" (None if untold), "throttle_reasons".
    """
    measured = [each for each in samples if each.power_w is not None]
    powers: Dict[str, float] = {}
    for name in ("ina3221", "tegrastats", "nvidia-smi"):
        watts = [each.power_w for each in measured if each.power_w is not None and each.source == name]
        if watts:
            powers[name] = sum(watts) / len(watts)
    if rapl_energy_j is not None and seconds > 0:
        powers["rapl"] = rapl_energy_j / seconds
    at_work = sum(each.loads.get("gpu") != 0 for each in measured) * 2 >= len(measured)
    order = ("ina3221", "tegrastats") + (("nvidia-smi", "rapl") if at_work else ("rapl", "nvidia-smi"))
    source = next((name for name in order if name in powers), None)
    mean = powers.pop(source) if source else None
    rails = next((list(each.rails_w) for each in samples if each.rails_w), [])
    held, reasons = throttled(samples)
    told = {
        "source": source,
        "rails": list(module_rails(rails)),
        "seconds": seconds,
        "samples": len(samples),
        "mean_power_w": mean,
        "energy_j": None if mean is None else mean * seconds,
        "other_power_w": powers,
        "temperatures_c": _ends([each.temperatures_c for each in samples], "max", max),
        "clocks_mhz": _ends([each.clocks_mhz for each in samples], "min", min),
        "throttled": held,
        "throttle_reasons": reasons,
    }
    if mean is None:
        told["why"] = "%s do not add up to the whole module" % ", ".join(rails) if rails else NO_MONITOR
    return told


def _ends(
    readings: List[Dict[str, float]], extreme: str, choose: Callable[[float, float], float]
) -> Dict[str, Dict[str, float]]:
    """First, extreme and last value of each reading."""
    found: Dict[str, Dict[str, float]] = {}
    for reading in readings:
        for name, value in reading.items():
            kept = found.setdefault(name, {"first": value, extreme: value, "last": value})
            kept[extreme], kept["last"] = choose(kept[extreme], value), value
    return found
