"""Reads a line of tegrastats, as it is on the Nano and TX2, Xavier, Orin and Thor, from JetPack 4 to L4T R39.

A rail's values are its power now, its average and, since R39, its maximum, in milliwatts; a sensor's are the same in
degrees. What is not known is passed over, what is cut off is left out: a number counts only if its end is to be seen.
"""

import re
import subprocess
import threading
from typing import Any, Dict, List, Optional, Tuple, Union

# Digits are counted: of more than some thousand Python makes no number.
_TIME = re.compile(r"^\s*(\d\d-\d\d-\d{4} \d\d:\d\d:\d\d)\s")
_RAM = re.compile(r"\bRAM\s+(\d{1,12})/(\d{1,12})MB", re.ASCII)
_CPU = re.compile(r"\bCPU\s+\[([^\]]*)(\](?:@(\d{1,12})(?=\s))?)?", re.ASCII | re.IGNORECASE)
_CORE = re.compile(r"\s*(\d{1,12})%(?:@(\d{1,12}))?\s*$", re.ASCII)
_LOAD = r"\s+(?:(\d{1,12})%)?(?:@(?:\[([\d,]{1,200})\]|(\d{1,12})(?=\s)))?"
_GPU = re.compile(r"\bGR3D(?:_FREQ)?" + _LOAD, re.ASCII)
_EMC = re.compile(r"\bEMC(?:_FREQ)?" + _LOAD, re.ASCII)
_HEAT = re.compile(r"(?:^|\s)([A-Za-z][\w-]*)@(-?\d{1,12}(?:\.\d{1,12})?)C", re.ASCII)
_RAIL = re.compile(
    r"(?:^|\s)([A-Z][A-Z0-9_]*)\s+"
    r"(?:(\d{1,12})/(\d{1,12})|(\d{1,12})mW(?:/(\d{1,12})mW)?(?:/\d{1,12}mW)?)(?=\s|$)",
    re.ASCII,
)

NOT_RAILS = ("RAM", "SWAP", "IRAM", "NC")
"""Words before two numbers that are no power; NC is a channel that nothing is connected to."""

ABSENT_C = -200.0
"""Sensors of parts that are off read -256."""

FIXED_C = {"PMIC": (50.0, 100.0), "PMIC-Die": (50.0, 100.0)}
"""Sensors that always read one of these: no measurement."""

WHOLE_MODULE = (
    ("POM_5V_IN",),  # Nano
    ("VDD_IN",),  # TX1, TX2, Xavier NX, Orin Nano, Orin NX
    ("VIN",),  # Thor's developer kit, its carrier board included
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),  # AGX Orin
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),  # Thor
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),  # AGX Xavier
)
"""Rails that together are what a module draws; the first that are all there."""

Core = Union[str, List[int]]


def parse(line: str) -> Dict[str, Any]:
    """What a line tells.

    Returns:
        "time" as it is printed, "ram_mb" [used, total], "cpu" [[load %, MHz or -1 if untold] or "off" a core],
        "gpu_load", "gpu_mhz" (the fastest of its clusters), "emc_load", "emc_mhz", "temperatures_c" {sensor: degrees},
        "rails_w" {rail: watts now}, "rails_mw" {rail: [now, average]}; what the line does not tell is None or empty.
    """
    time, ram, cpu, gpu, emc = (each.search(line) for each in (_TIME, _RAM, _CPU, _GPU, _EMC))
    heat = {name: float(value) for name, value in _HEAT.findall(line)}
    rails = {}
    for name, now, mean, milliwatts, milliwatts_mean in _RAIL.findall(line):
        if name not in NOT_RAILS:
            first = int(now or milliwatts)
            rails[name] = [first, int(mean or milliwatts_mean or first)]
    return {
        "time": time.group(1) if time else None,
        "ram_mb": [int(ram.group(1)), int(ram.group(2))] if ram else None,
        "cpu": _cores(cpu.group(1), bool(cpu.group(2)), int(cpu.group(3) or -1)) if cpu else [],
        "gpu_load": _number(gpu, 1),
        "gpu_mhz": _number(gpu, 2, 3),
        "emc_load": _number(emc, 1),
        "emc_mhz": _number(emc, 2, 3),
        "temperatures_c": {
            name: value for name, value in heat.items() if value > ABSENT_C and value not in FIXED_C.get(name, ())
        },
        "rails_w": {name: each[0] / 1000.0 for name, each in rails.items()},
        "rails_mw": rails,
    }


def _number(found: Any, *groups: int) -> Optional[int]:
    """The greatest of the numbers in the groups that are there; None if none is."""
    if not found:
        return None
    numbers = [int(each) for group in groups for each in (found.group(group) or "").split(",") if each]
    return max(numbers) if numbers else None


def _cores(text: str, whole: bool, shared_mhz: int) -> List[Core]:
    """Each core's load and clock; of a list that is cut off, all but the last core."""
    told = text.split(",") if whole else text.split(",")[:-1]
    found: List[Core] = []
    for each in told:
        core = _CORE.match(each)
        found.append([int(core.group(1)), int(core.group(2) or shared_mhz)] if core else "off")
    return found


def module_rails(rails: Any) -> Tuple[str, ...]:
    """Which of these rails add up to the whole module; empty if they do not say."""
    for names in WHOLE_MODULE:
        if all(name in rails for name in names):
            return names
    return ()


def module_power_w(rails_w: Dict[str, float]) -> Optional[float]:
    """What the whole module draws, in watts; None if the rails do not say."""
    names = module_rails(rails_w)
    return sum(rails_w[name] for name in names) if names else None


class Tegrastats:
    """tegrastats as a child; a thread keeps its newest whole line."""

    def __init__(self, interval_s: float) -> None:
        arguments = ["tegrastats", "--interval", str(max(100, int(interval_s * 1000)))]
        self._child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._line = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            if line.endswith(b"\n"):
                self._line = line

    def newest(self) -> Optional[Dict[str, Any]]:
        """The line that came since the last call, parsed; None if none did."""
        line, self._line = self._line, b""
        return parse(line.decode(errors="replace")) if line else None

    def stop(self) -> None:
        self._child.terminate()
        try:
            self._child.wait(5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join(5)
        if self._child.stdout is not None and not self._reader.is_alive():
            self._child.stdout.close()
