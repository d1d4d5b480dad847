"""Reads a line of tegrastats, as it is on the Nano and TX2, Xavier, Orin and Thor, from JetPack 4 to L4T R39.

A rail's values are its power now, its average and, since R39, its maximum, in milliwatts; a sensor's are the same in
degrees. The first of them is taken. What is not known is passed over, what is cut off is left out.
"""

import re
from typing import Any, Dict, List, Optional

_RAM = re.compile(r"\bRAM (\d+)/(\d+)MB")
_CPU = re.compile(r"\bCPU \[([^\]]*)\]")
_CORE = re.compile(r"(\d+)%@(\d+)")
_GPU = re.compile(r"\bGR3D_FREQ (\d+)%(?:@\[?([\d,]+)\]?)?")
_EMC = re.compile(r"\bEMC_FREQ (\d+)%(?:@(\d+))?")
_HEAT = re.compile(r"(?:^|\s)([A-Za-z][\w-]*)@(-?\d+(?:\.\d+)?)C")
_RAIL = re.compile(r"(?:^|\s)([A-Z][A-Z0-9_]*) (\d+)(?:mW)?/(\d+)(?:mW)?(?:/\d+(?:mW)?)?(?=\s|$)")

ABSENT_C = -200.0
"""Sensors of parts that are off read -256."""

FIXED_C = {"PMIC": (50.0, 100.0)}
"""Sensors that always read one of these: no measurement."""

WHOLE_MODULE = (
    ("POM_5V_IN",),
    ("VDD_IN",),
    ("VIN",),
    ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    ("VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
    ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
)
"""Rails that together are what a module draws; the first that are all there."""


def parse(line: str) -> Dict[str, Any]:
    """What a line tells.

    Returns:
        "ram_mb" [used, total], "cpu" [[load %, MHz] or None a core], "gpu_load", "gpu_mhz", "emc_load", "emc_mhz",
        "temperatures_c" {sensor: degrees}, "rails_w" {rail: watts}; what the line does not tell is None or empty.
    """
    ram, cpu, gpu, emc = (each.search(line) for each in (_RAM, _CPU, _GPU, _EMC))
    clocks = [int(each) for each in (gpu.group(2) or "").split(",") if each] if gpu else []
    heat = {name: float(value) for name, value in _HEAT.findall(line)}
    return {
        "ram_mb": [int(ram.group(1)), int(ram.group(2))] if ram else None,
        "cpu": _cores(cpu.group(1)) if cpu else [],
        "gpu_load": int(gpu.group(1)) if gpu else None,
        "gpu_mhz": max(clocks) if clocks else None,
        "emc_load": int(emc.group(1)) if emc else None,
        "emc_mhz": int(emc.group(2)) if emc and emc.group(2) else None,
        "temperatures_c": {
            name: value for name, value in heat.items() if value > ABSENT_C and value not in FIXED_C.get(name, ())
        },
        "rails_w": {name: int(now) / 1000.0 for name, now, _ in _RAIL.findall(line) if name not in ("RAM", "NC")},
    }


def _cores(text: str) -> List[Optional[List[int]]]:
    found = []  # type: List[Optional[List[int]]]
    for each in text.split(","):
        core = _CORE.search(each)
        found.append([int(core.group(1)), int(core.group(2))] if core else None)
    return found


def module_power_w(rails_w: Dict[str, float]) -> Optional[float]:
    """What the whole module draws, in watts; None if the rails do not say."""
    for rails in WHOLE_MODULE:
        if all(rail in rails_w for rail in rails):
            return sum(rails_w[rail] for rail in rails)
    return None
