"""Who uses the processors that this process may run on: other programs, the host of a virtual machine, siblings.

All of it is read from /proc and /sys of Linux; what cannot be read is None, or missing. Written for Python 3.6.
"""

import os
import re
from typing import List, NamedTuple, Optional, Sequence, Tuple

from .probe import text
from .sysfs import max_clocks_mhz

CPUS = "sys/devices/system/cpu"


class Ticks(NamedTuple):
    """Ticks of some processors since the machine started: all of them, in which programs ran, that the host took."""

    all: int
    busy: int
    stolen: int


class Use(NamedTuple):
    """What happened on some processors between two readings.

    others: processors' worth of time that other programs took (1.4 of 2); stolen_percent: of the time that the host
        of a virtual machine took away.
    """

    others: float
    stolen_percent: float


def allowed() -> Optional[List[int]]:
    """Numbers of the logical processors that this process may run on; None where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def ticks(cpus: Optional[Sequence[int]], root: str = "/") -> Optional[Ticks]:
    """The ticks of those processors, or of all where they are not known or told; None where there is no /proc/stat.

    Args:
        root: where /proc is.
    """
    rows = {}
    for line in text(os.path.join(root, "proc/stat")).splitlines():
        name, _, rest = line.partition(" ")
        values = rest.split()
        if re.match(r"cpu\d*$", name) and len(values) >= 4 and all(each.isdigit() for each in values):
            rows[name] = [int(each) for each in values[:8]]  # guests' ticks are counted in the user's already
    wanted = ["cpu%d" % each for each in cpus or ()]
    found = [rows[name] for name in wanted if name in rows]
    if not found or len(found) < len(wanted):
        found = [rows["cpu"]] if "cpu" in rows else []
    if not found:
        return None
    whole = sum(sum(row) for row in found)
    idle = sum(sum(row[3:5]) for row in found)
    stolen = sum(row[7] for row in found if len(row) > 7)
    return Ticks(whole, whole - idle - stolen, stolen)


def use(before: Optional[Ticks], after: Optional[Ticks], own_s: float, wall_s: float, count: int) -> Optional[Use]:
    """What others did between two readings of `count` processors; None where one is missing or no tick went by.

    Args:
        own_s: processor time of this process meanwhile; wall_s: how long that was.
    """
    if before is None or after is None or after.all <= before.all or wall_s <= 0:
        return None
    whole = after.all - before.all
    busy = count * (after.busy - before.busy) / whole - own_s / wall_s
    return Use(max(0.0, busy), max(0.0, 100.0 * (after.stolen - before.stolen) / whole))


def load(root: str = "/") -> Tuple[Optional[float], Optional[int]]:
    """The load average of the last minute, and how many threads want to run now, this one left out."""
    found = re.match(r"([\d.]+) [\d.]+ [\d.]+ (\d+)/\d+", text(os.path.join(root, "proc/loadavg")))
    if found:
        return float(found.group(1)), max(0, int(found.group(2)) - 1)
    try:
        return (os.getloadavg()[0] if root == "/" else None), None
    except (OSError, AttributeError):
        return None, None


def sharing(cpus: Optional[Sequence[int]], root: str = "/") -> Optional[int]:
    """How many of those processors share their core with another one (SMT); None where it is not told of all."""
    count = 0
    for cpu in cpus or ():
        told = text(os.path.join(root, CPUS, "cpu%d" % cpu, "topology", "thread_siblings_list"))
        if not told:
            return None
        count += told != str(cpu)
    return count if cpus else None


def governors(cpus: Optional[Sequence[int]], root: str = "/") -> List[str]:
    """What decides the clocks of those processors, each name once; empty where that cannot be read."""
    told = {text(os.path.join(root, CPUS, "cpu%d" % cpu, "cpufreq", "scaling_governor")) for cpu in cpus or ()}
    return sorted(each for each in told if each)


def clocks_mhz(cpus: Optional[Sequence[int]], root: str = "/") -> Optional[Tuple[float, float]]:
    """The slowest and the fastest clock of those processors now; None where clocks cannot be read."""
    told = [text(os.path.join(root, CPUS, "cpu%d" % cpu, "cpufreq", "scaling_cur_freq")) for cpu in cpus or ()]
    found = [int(each) / 1e3 for each in told if each.isdigit()]
    return (min(found), max(found)) if found else None


def top_clock_mhz(root: str = "/") -> Optional[float]:
    """The highest clock that the fastest processor is allowed; None where that cannot be read."""
    return max_clocks_mhz(root).get("cpu")
