"""Whether this machine can be measured now: what others do on it, and whether the same work takes the same time.

Half a second of a fixed piece of work is timed over and over; meanwhile the system's counts tell what other programs
and the host of a virtual machine took. Neither alone is enough: with a free processor the work repeats well while
others are busy, and a neighbour on the same host slows it without being seen in /proc. A count that cannot be read is
told as not read, never taken for a good one. Written for Python 3.6.
"""

import os
import time
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from . import busy, cgroup
from .frames import Header

QUIET, NOISY, UNKNOWN = "quiet", "noisy", "unknown"

PIECES, FEWEST, SPIN_SECONDS = 40, 10, 0.6
"""How often the work is timed: so often, fewer if that takes longer than so many seconds, but never fewer than that."""

OTHERS_SHARE, OTHERS_LEAST, OTHERS_MOST = 0.1, 0.15, 0.5
"""Other programs may take this share of the processors, at least and at most so many of them."""

STOLEN_PERCENT, SPREAD_PERCENT, DRIFT_PERCENT = 1.0, 20.0, 8.0
"""What the host may take away; by how much the 95th percentile may be above the median; what halves may differ by."""


class Spin(NamedTuple):
    """The same work over and over: how often, its median ms, by how many percent p95 is above it, and the median of the
    second half above (or below) that of the first.
    """

    runs: int
    median_ms: float
    spread_percent: float
    drift_percent: float


class Sight(NamedTuple):
    """What was seen of a machine; None is what it does not tell.

    seconds: how long it was looked at. cpus: numbers of the processors that this process may run on, of `cores` that
    there are; usable: how many of them its quota carries. load: average of the last minute; running: threads that want
    to run. others, stolen_percent: see edgekit.runtime.busy.Use. throttled: what the container's quota stopped
    meanwhile, in words. sharing: processors that share a core with another one. clocks_mhz: slowest and fastest, right
    after the work; top_clock_mhz: that is allowed.
    """

    seconds: float
    cpus: Optional[List[int]]
    cores: int
    usable: int
    quota: Optional[float]
    load: Optional[float]
    running: Optional[int]
    others: Optional[float]
    stolen_percent: Optional[float]
    throttled: Optional[str]
    sharing: Optional[int]
    governors: List[str]
    clocks_mhz: Optional[Tuple[float, float]]
    top_clock_mhz: Optional[float]
    spin: Spin


class Reading(NamedTuple):
    """QUIET, NOISY or UNKNOWN, and why; notes are what a reader of latencies should know besides; and what was seen."""

    verdict: str
    reasons: List[str]
    notes: List[str]
    not_read: List[str]
    seen: Sight


class Taken(NamedTuple):
    """How a process was run that times: on which processors, of how many, how many of them share a core with another,
    and what others took of them meanwhile (edgekit.runtime.busy.Use; None where it cannot be read).
    """

    cpus: Optional[List[int]]
    cores: int
    sharing: Optional[int]
    others: Optional[float]
    stolen_percent: Optional[float]


def look(seconds: float = SPIN_SECONDS) -> Reading:
    """Looks at this machine; takes about half a second, or so many seconds where they are fewer."""
    with Watch() as watch:
        running: List[int] = []
        work = spin(running, min(seconds, SPIN_SECONDS))
        clocks = busy.clocks_mhz(watch.cpus)
    seen = Sight(
        seconds=round(watch.seconds, 3),
        cpus=watch.cpus,
        cores=os.cpu_count() or 1,
        usable=cgroup.usable_cores(),
        quota=cgroup.quota(),
        load=busy.load()[0],
        running=sorted(running)[len(running) // 2] if running else None,
        others=None if watch.use is None else round(watch.use.others, 3),
        stolen_percent=None if watch.use is None else round(watch.use.stolen_percent, 2),
        throttled=watch.throttled,
        sharing=busy.sharing(watch.cpus),
        governors=busy.governors(watch.cpus),
        clocks_mhz=clocks,
        top_clock_mhz=busy.top_clock_mhz(),
        spin=work,
    )
    return judged(seen)


def as_json(reading: Reading) -> Header:
    """A reading as JSON has it."""
    return dict(reading._asdict(), seen=dict(reading.seen._asdict(), spin=dict(reading.seen.spin._asdict())))


class Watch:
    """A context manager that looks at what others do on this process's processors while its block runs.

    Attributes:
        cpus: the processors. After the block: seconds, use and throttled, see Sight.
    """

    def __enter__(self) -> "Watch":
        self.cpus = busy.allowed()
        self._periods, self._ticks = cgroup.periods(), busy.ticks(self.cpus)
        self._began, self._own = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds, own = time.perf_counter() - self._began, time.process_time() - self._own
        count = len(self.cpus) if self.cpus else os.cpu_count() or 1
        self.use = busy.use(self._ticks, busy.ticks(self.cpus), own, self.seconds, count)
        self.throttled = cgroup.throttling(self._periods, cgroup.periods())

    def taken(self) -> Taken:
        """How the block was run."""
        others, stolen = (None, None) if self.use is None else (round(each, 3) for each in self.use)
        return Taken(self.cpus, os.cpu_count() or 1, busy.sharing(self.cpus), others, stolen)


def spin(running: Optional[List[int]] = None, seconds: float = SPIN_SECONDS) -> Spin:
    """Times a fixed piece of work over and over, on one thread.

    Args:
        running: is given the number of threads that want to run, after each piece.
        seconds: that it may take, once it was timed FEWEST times.
    """
    there = np.ones(1 << 17, np.float32)
    back = np.ones_like(there)
    times: List[float] = []
    began = time.perf_counter()
    while len(times) < PIECES + 1 and (len(times) <= FEWEST or time.perf_counter() - began < seconds):
        start = time.perf_counter()
        _piece(there, back)
        times.append((time.perf_counter() - start) * 1e3)
        now = busy.load()[1]
        if running is not None and now is not None:
            running.append(now)
    return summed_up(times[1:])  # the first one finds cold caches


def _piece(there: np.ndarray, back: np.ndarray) -> None:
    """Ten milliseconds or so: one half what the interpreter does, the other what arrays do in the caches."""
    total = 0
    for each in range(120000):
        total += each & 7
    for _ in range(220):
        np.multiply(there, np.float32(0.5), out=back)
        np.add(back, back, out=there)


def summed_up(times_ms: List[float]) -> Spin:
    """The figures of at least two times of the same work, in the order in which they were taken."""
    times, half = np.asarray(times_ms, np.float64), len(times_ms) // 2
    median, high = (float(each) for each in np.percentile(times, (50, 95)))
    drift = float(np.median(times[half:]) / np.median(times[:half])) - 1
    return Spin(len(times_ms), round(median, 4), round(100 * (high / median - 1), 2), round(100 * drift, 2))


def judged(seen: Sight) -> Reading:
    """What was seen, with the verdict and why.

    Quiet is only what was seen to be: where nobody tells what other programs take, the verdict is UNKNOWN or NOISY.
    """
    count = len(seen.cpus) if seen.cpus else seen.cores
    reasons = _reasons(seen, count)
    if seen.others is None and seen.load is not None and seen.load >= 0.5 * count:
        reasons.insert(0, "load %.1f on %s" % (seen.load, processors(count)))
    verdict = NOISY if reasons else UNKNOWN if seen.others is None else QUIET
    return Reading(verdict, reasons, _notes(seen, count), _not_read(seen), seen)


def _reasons(seen: Sight, count: int) -> List[str]:
    found = []
    if seen.others is not None and too_much(seen.others, count):
        start = "" if seen.load is None else "load %.1f on %s: " % (seen.load, processors(count))
        whom = processors(count) if seen.load is None else "them" if count > 1 else "it"
        found.append("%sother programs take %.1f of %s" % (start, seen.others, whom))
    if seen.stolen_percent is not None and seen.stolen_percent > STOLEN_PERCENT:
        found.append("the host of this virtual machine took %.1f %% of its processor time" % seen.stolen_percent)
    if seen.throttled is not None:
        found.append(seen.throttled)
    work = seen.spin
    if work.spread_percent > SPREAD_PERCENT:
        found.append(
            "one in 20 of %d equal pieces of work took at least %.0f %% longer than their median of %.1f ms"
            % (work.runs, work.spread_percent, work.median_ms)
        )
    if abs(work.drift_percent) > DRIFT_PERCENT:
        way = "slower" if work.drift_percent > 0 else "faster"
        found.append("within half a second the same work became %.0f %% %s" % (abs(work.drift_percent), way))
    return found


def too_much(others: Optional[float], count: int) -> bool:
    """Whether other programs are known to take so much of `count` processors that timings tell of them."""
    return others is not None and others > min(max(OTHERS_LEAST, OTHERS_SHARE * count), OTHERS_MOST)


def processors(count: int) -> str:
    """A number of logical processors."""
    return "%d CPU%s" % (count, "" if count == 1 else "s")


def _notes(seen: Sight, count: int) -> List[str]:
    """What is no noise and yet decides latencies."""
    found = []
    if count < seen.cores:
        found.append("this process may run on %d of the machine's %s" % (count, processors(seen.cores)))
    if seen.quota is not None and seen.quota < count:
        found.append("its quota is %.3g of them" % seen.quota)
    if seen.sharing:
        found.append("%d of %s share a core with another one" % (seen.sharing, processors(count)))
    moving = [each for each in seen.governors if each != "performance"]
    if moving:
        found.append("clocks may change (governor %s)" % ", ".join(moving))
    if seen.clocks_mhz is not None and seen.top_clock_mhz and seen.clocks_mhz[1] < 0.8 * seen.top_clock_mhz:
        found.append(
            "the fastest clock was %.0f of %.0f MHz after half a second's work"
            % (seen.clocks_mhz[1], seen.top_clock_mhz)
        )
    return found


def _not_read(seen: Sight) -> List[str]:
    known = (
        ("load", seen.load),
        ("running threads", seen.running),
        ("use by other programs", seen.others),
        ("time taken by the host", seen.stolen_percent),
        ("affinity", seen.cpus),
        ("shared cores", seen.sharing),
        ("governor", seen.governors or None),
        ("clocks", seen.clocks_mhz),
    )
    return [name for name, value in known if value is None]
