"""Under what conditions latencies were measured, in words: what else the machine did, and how it was run that timed."""

from __future__ import annotations

from edgekit.report.model import Report
from edgekit.report.model_conditions import Machine, TimingProcess


def measuring(report: Report) -> list[tuple[str, str]]:
    """Subjects and texts; empty where nobody looked."""
    told, lines = report.conditions, []
    if told is None:
        return []
    if told.before_build is not None:
        lines.append(("Machine before the build", _machine(told.before_build)))
    if told.before_timing is not None:
        lines.append(("Machine before it was timed", _machine(told.before_timing)))
    if told.timing_process is not None:
        lines.append(("Timing process", _process(told.timing_process)))
    return lines


def _machine(told: Machine) -> str:
    """The verdict first, then its reasons and numbers, then what could not be read."""
    if told.verdict == "unknown":
        parts = ["not known whether it was quiet"]
    else:
        parts = ["; ".join([told.verdict, *told.reasons])]
    parts.append(f"looked at for {told.looked_s:.1f} s" if told.verdict == "noisy" else _figures(told))
    if told.waited_s:
        parts.append(f"waited {told.waited_s:.0f} s for it")
    parts += told.notes
    if told.not_read:
        parts.append(f"not read: {', '.join(told.not_read)}")
    return "; ".join(parts)


def _figures(told: Machine) -> str:
    load = "" if told.load is None else f"load {told.load:.2f}, "
    others = "not read" if told.others is None else f"{told.others:.2f} CPUs"
    work = told.equal_work
    varied = f"equal work varied by {work.spread_percent:.1f} % and drifted by {work.drift_percent:+.1f} %"
    return f"{load}other programs {others}, {varied} in {told.looked_s:.1f} s"


def _process(told: TimingProcess) -> str:
    total = f"{told.machine_cpus} CPU{'' if told.machine_cpus == 1 else 's'}"
    if told.cpus is None:
        parts = [f"its affinity is not told, the machine has {total}"]
    elif len(told.cpus) < told.machine_cpus:
        parts = [f"held to {len(told.cpus)} of the machine's {total} ({_ranges(told.cpus)})"]
    else:
        parts = [f"on all {total}" if told.machine_cpus > 1 else f"on {total}"]
    if told.sharing is None:
        parts.append("whether they share cores is not told")
    elif told.sharing:
        parts.append(f"{told.sharing} of them share a core with another one")
    threads = [each for each in (told.threads or {}).values() if each is not None]
    if threads and len(set(threads)) == 1:
        parts.append(f"{threads[0]} thread{'' if threads[0] == 1 else 's'} a picture")
    elif threads:
        named = (f"{name} {count}" for name, count in (told.threads or {}).items() if count is not None)
        parts.append(f"threads a picture: {', '.join(named)}")
    if told.others is not None:
        parts.append(f"other programs took {told.others:.2f} CPUs meanwhile")
    if told.stolen_percent:
        parts.append(f"the host of the virtual machine took {told.stolen_percent:.1f} %")
    return "; ".join(parts)


def _ranges(cpus: tuple[int, ...]) -> str:
    """CPU numbers as Linux writes them: 0-3,8."""
    runs: list[list[int]] = []
    for each in cpus:
        if runs and each == runs[-1][1] + 1:
            runs[-1][1] = each
        else:
            runs.append([each, each])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
