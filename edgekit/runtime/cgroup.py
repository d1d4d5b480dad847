"""What a control group leaves a process: processor time, memory, and how often the time was used up.

`docker run --cpus`, Kubernetes' limits.cpu and systemd's CPUQuota set a quota: microseconds of processor time in each
period, of all threads together. The affinity does not tell of it, nor do OpenVINO, ONNX Runtime and torch look at it.
Both versions of control groups are read, and machines that have some of each. Written for Python 3.6.
"""

import os
from typing import Dict, Iterator, NamedTuple, Optional, Tuple

UNLIMITED_BYTES = 1 << 60
"""A memory limit of version 1 above this is none: it writes the largest number that it can."""


class Periods(NamedTuple):
    """How many periods of a group with a quota began so far, and in how many of them it used up its time."""

    all: int
    throttled: int


def usable_cores(root: str = "/") -> int:
    """Processors that a runtime should have threads for: those that this process may run on, by its quota too.

    A quota counts whole: 1.5 are one. With a thread more than the quota carries, all of them use it up before a period
    ends and then stand still until the next; each inference that falls there waits, and is told as slow.
    """
    allowed = affinity()
    told = quota(root)
    return allowed if told is None else max(1, min(allowed, int(told + 1e-6)))


def threads_within_quota() -> int:
    """How many threads a runtime must be held to; 0 where its own choice, by the affinity, is within the quota."""
    cores = usable_cores()
    return cores if cores < affinity() else 0


def affinity() -> int:
    """Logical processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quota(root: str = "/") -> Optional[float]:
    """Processors' worth of time that this process may use: the least of its group and those around it; None: any.

    Args:
        root: where /proc and /sys are.
    """
    told = [_quota_of(folder) for folder in _groups("cpu", root)]
    return min((each for each in told if each is not None), default=None)


def periods(root: str = "/") -> Dict[str, Periods]:
    """The counts of every group around this process that has a quota, by its folder."""
    found = {}
    for folder in _groups("cpu", root):
        told = _table(os.path.join(folder, "cpu.stat"))
        if _quota_of(folder) is not None and "nr_periods" in told:
            found[folder] = Periods(told["nr_periods"], told.get("nr_throttled", 0))
    return found


def throttling(before: Dict[str, Periods], after: Dict[str, Periods], root: str = "/") -> Optional[str]:
    """What happened between two counts, in words; None where no period was throttled."""
    gone = [
        Periods(after[folder].all - each.all, after[folder].throttled - each.throttled)
        for folder, each in before.items()
        if folder in after
    ]
    worst = max(gone, key=lambda each: each.throttled, default=Periods(0, 0))
    if worst.throttled <= 0:
        return None
    told = quota(root)
    allowed = "" if told is None else " of %.3g processors" % told
    return "%d of %d periods were throttled: the container's quota%s was used up before they ended" % (
        worst.throttled,
        worst.all,
        allowed,
    )


def free_memory(root: str = "/") -> Optional[int]:
    """Bytes that the groups around this process still leave it; what they only keep of files counts as free."""
    found = []
    for folder in _groups("memory", root):
        limit = _number(folder, "memory.max", "memory.limit_in_bytes")
        used = _number(folder, "memory.current", "memory.usage_in_bytes")
        if limit is not None and used is not None and limit < UNLIMITED_BYTES:
            told = _table(os.path.join(folder, "memory.stat"))
            found.append(max(0, limit - used + told.get("total_inactive_file", told.get("inactive_file", 0))))
    return min(found, default=None)


def _quota_of(folder: str) -> Optional[float]:
    """Of one group: quota over period, as version 2 ("max 100000") or 1 (-1: none) writes them."""
    told = _text(os.path.join(folder, "cpu.max")).split()
    if not told:
        told = [_text(os.path.join(folder, "cpu.cfs_%s_us" % each)) for each in ("quota", "period")]
    try:
        time, period = int(told[0]), int(told[1])
    except (ValueError, IndexError):
        return None
    return time / period if time > 0 and period > 0 else None


def _groups(controller: str, root: str) -> Iterator[str]:
    """Folders of this process's group for a controller and of all groups around it, the innermost first."""
    member = list(_member_of(os.path.join(root, "proc/self/cgroup"), controller))
    for version, inside, at in _mounts(os.path.join(root, "proc/self/mountinfo"), controller):
        for group in (path for kind, path in member if kind == version):
            top = os.path.join(root, at.lstrip("/"))
            folder = os.path.normpath(os.path.join(top, _below(group, inside)))
            yield folder
            while folder.startswith(os.path.join(os.path.normpath(top), "")):
                folder = os.path.dirname(folder)
                yield folder


def _below(group: str, inside: str) -> str:
    """The part of a group's path below what is mounted; empty where it lies elsewhere.

    A container can see its own group mounted as the top while its path is still told as the host names it, or as
    /.. where it was moved out of its namespace.
    """
    group, inside = group.strip("/"), inside.strip("/")
    if group == ".." or group.startswith("../"):
        return ""
    if not inside:
        return group
    return group[len(inside) + 1 :] if (group + "/").startswith(inside + "/") else ""


def _member_of(path: str, controller: str) -> Iterator[Tuple[int, str]]:
    """Version and path of the groups that this process is in."""
    for line in _text(path).splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and not parts[1]:
            yield 2, parts[2]
        elif len(parts) == 3 and controller in parts[1].split(","):
            yield 1, parts[2]


def _mounts(path: str, controller: str) -> Iterator[Tuple[int, str, str]]:
    """Version of a mounted hierarchy, which group in it is the top there, and where it is mounted."""
    for line in _text(path).splitlines():
        first, _, second = line.partition(" - ")
        place, kind = first.split(), second.split()
        if len(place) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield 2, _unescaped(place[3]), _unescaped(place[4])
        elif kind[0] == "cgroup" and controller in kind[2].split(","):
            yield 1, _unescaped(place[3]), _unescaped(place[4])


def _unescaped(path: str) -> str:
    return path.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _number(folder: str, *names: str) -> Optional[int]:
    for name in names:
        told = _text(os.path.join(folder, name)).strip()
        if told.isdigit():
            return int(told)
    return None


def _table(path: str) -> Dict[str, int]:
    """A file of lines "NAME NUMBER"."""
    rows = [line.split() for line in _text(path).splitlines()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit()}


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""
