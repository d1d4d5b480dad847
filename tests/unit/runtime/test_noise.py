"""Whether a machine can be measured: texts of /proc and /sys as kernels write them, and real programs that disturb."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from groups import group_with_quota
from hogs import busy_processes
from hypothesis import given
from hypothesis import strategies as st

from edgekit.runtime import busy, noise
from edgekit.runtime.busy import Ticks
from edgekit.runtime.noise import Reading, Sight, Spin

STAT = """cpu  {user} 50 200 3000 100 5 15 {steal} 7 0
cpu0 {half} 25 100 1500 50 2 8 {part} 7 0
cpu1 {half} 25 100 1500 50 3 7 {part} 0 0
intr 12345 0 0
ctxt 99
procs_running 3
"""


def system(root: Path, files: dict[str, str]) -> str:
    """A root of a system with those files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(root)


def stat(root: Path, user: int, steal: int) -> str:
    return system(root, {"proc/stat": STAT.format(user=user, half=user // 2, steal=steal, part=steal // 2)})


def test_ticks_of_the_processors_that_are_allowed(tmp_path: Path) -> None:
    root = stat(tmp_path, 1000, 40)
    assert busy.ticks([0, 1], root) == busy.ticks(None, root) == Ticks(4410, 1270, 40)
    assert busy.ticks([1], root) == Ticks(2205, 635, 20)
    assert busy.ticks([1, 7], root) == Ticks(4410, 1270, 40), "a processor that is not told of: all of them are taken"
    assert busy.ticks([0], str(tmp_path / "none")) is None
    assert busy.ticks([0], system(tmp_path / "odd", {"proc/stat": "cpu a b c d\nnonsense"})) is None
    old = system(tmp_path / "old", {"proc/stat": "cpu 10 0 5 85\ncpu0 10 0 5 85\n"})
    assert busy.ticks([0], old) == Ticks(100, 15, 0)


def test_what_others_take_is_without_what_this_process_took(tmp_path: Path) -> None:
    before = busy.ticks([0, 1], stat(tmp_path / "a", 1000, 40))
    after = busy.ticks([0, 1], stat(tmp_path / "b", 1150, 50))  # 160 ticks of 2 processors: 0.8 s
    told = busy.use(before, after, 0.4, 0.8, 2)
    assert told is not None
    assert told.others == pytest.approx(2 * 150 / 160 - 0.5)
    assert told.stolen_percent == pytest.approx(100 * 10 / 160)
    assert busy.use(before, before, 0.0, 0.8, 2) is None
    assert busy.use(None, after, 0.0, 0.8, 2) is None
    more = busy.use(before, after, 100.0, 0.8, 2)
    assert more is not None
    assert more.others == 0.0, "ticks are rounded: it is never below zero"


def test_load_siblings_governors_and_clocks(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu/cpu%d/%s"
    files = {"proc/loadavg": "3.10 2.05 1.00 4/512 12345\n"}
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        files[cpu % (number, "topology/thread_siblings_list")] = siblings + "\n"
        files[cpu % (number, "cpufreq/scaling_governor")] = "schedutil\n" if number else "performance\n"
        files[cpu % (number, "cpufreq/scaling_cur_freq")] = f"{800000 + number * 1000}\n"
        files[cpu % (number, "cpufreq/scaling_max_freq")] = "3600000\n"
    root = system(tmp_path, files)
    assert busy.load(root) == (3.1, 3)
    assert (busy.sharing([0, 1], root), busy.sharing([0, 9], root), busy.sharing(None, root)) == (2, None, None)
    assert (busy.governors([0, 1], root), busy.governors([0], root)) == (["performance", "schedutil"], ["performance"])
    assert (busy.clocks_mhz([1, 3], root), busy.top_clock_mhz(root)) == ((801.0, 803.0), 3600.0)
    alone = system(tmp_path / "alone", {cpu % (5, "topology/thread_siblings_list"): "5\n"})
    assert busy.sharing([5], alone) == 0


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert busy.load(root) == (None, None)
    assert (busy.governors([0], root), busy.clocks_mhz([0], root), busy.top_clock_mhz(root)) == ([], None, None)
    assert busy.sharing([0], root) is None


def seen(**other: object) -> Sight:
    plain = Sight(
        0.5, [0, 1], 2, 2, None, 0.1, 0, 0.02, 0.0, None, 0, ["performance"], (3500.0, 3500.0), 3600.0,
        Spin(40, 12.0, 3.0, 0.5),
    )  # fmt: skip
    return plain._replace(**other)  # type: ignore[arg-type]  # fields by name


def test_quiet_is_what_was_seen_to_be() -> None:
    told = noise.judged(seen())
    assert (told.verdict, told.reasons, told.notes, told.not_read) == ("quiet", [], [], [])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"others": 1.4, "load": 3.1}, "load 3.1 on 2 CPUs: other programs take 1.4 of them"),
        ({"others": 0.6, "load": None}, "other programs take 0.6 of 2 CPUs"),
        ({"others": 0.3, "cpus": [4], "load": 1.0}, "load 1.0 on 1 CPU: other programs take 0.3 of it"),
        ({"stolen_percent": 12.34}, "the host of this virtual machine took 12.3 % of its processor time"),
        ({"throttled": "3 of 5 periods were throttled"}, "3 of 5 periods were throttled"),
        ({"spin": Spin(40, 12.0, 45.0, 0.0)}, "one in 20 of 40 equal pieces of work took at least 45 % longer than"),
        ({"spin": Spin(40, 12.0, 3.0, 19.0)}, "the same work became 19 % slower"),
        ({"spin": Spin(40, 12.0, 3.0, -19.0)}, "the same work became 19 % faster"),
        ({"others": None, "load": 3.0}, "load 3.0 on 2 CPUs"),
    ],
)
def test_noise_is_named_with_its_numbers(other: dict[str, object], reason: str) -> None:
    told = noise.judged(seen(**other))
    assert told.verdict == "noisy"
    assert len(told.reasons) == 1
    assert reason in told.reasons[0]


def test_what_nobody_tells_is_never_quiet() -> None:
    told = noise.judged(seen(others=None, stolen_percent=None, load=0.0, cpus=None, sharing=None, governors=[]))
    assert told.verdict == "unknown"
    assert told.not_read == ["use by other programs", "time taken by the host", "affinity", "shared cores", "governor"]
    assert noise.judged(seen(others=None, load=None)).verdict == "unknown"
    assert noise.judged(seen(clocks_mhz=None)).verdict == "quiet", "clocks decide nothing"


def test_a_large_machine_may_have_a_little_to_do() -> None:
    many = list(range(64))
    assert noise.judged(seen(cpus=many, cores=64, others=0.4)).verdict == "quiet"
    assert noise.judged(seen(cpus=many, cores=64, others=0.9)).verdict == "noisy"
    assert noise.judged(seen(cpus=[0], cores=1, others=0.1)).verdict == "quiet"


def test_what_decides_latencies_without_being_noise_is_a_note() -> None:
    other = {"cpus": [1, 3], "cores": 8, "quota": 1.5, "sharing": 2, "governors": ["ondemand"]}
    told = noise.judged(seen(clocks_mhz=(800.0, 1200.0), **other))
    assert told.verdict == "quiet"
    assert told.notes == [
        "this process may run on 2 of the machine's 8 CPUs",
        "its quota is 1.5 of them",
        "2 of 2 CPUs share a core with another one",
        "clocks may change (governor ondemand)",
        "the fastest clock was 1200 of 3600 MHz after half a second's work",
    ]


@given(st.floats(0.01, 100.0), st.lists(st.floats(0.5, 2.0), min_size=2, max_size=40))
def test_the_figures_of_a_spin_do_not_depend_on_how_fast_a_machine_is(scale: float, times: list[float]) -> None:
    one, other = noise.summed_up(times), noise.summed_up([scale * each for each in times])
    assert other.spread_percent == pytest.approx(one.spread_percent, abs=0.011)
    assert other.drift_percent == pytest.approx(one.drift_percent, abs=0.011)
    assert one.spread_percent >= -0.01


def test_a_spin_by_hand() -> None:
    told = noise.summed_up([10.0] * 20 + [11.0] * 20)
    assert (told.runs, told.median_ms, told.drift_percent) == (40, 10.5, 10.0)


LINUX = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="there is no /proc here")


@LINUX
def test_busy_programs_are_seen() -> None:
    allowed = busy.allowed()
    assert allowed is not None
    with busy_processes(len(allowed)):
        time.sleep(1.0)
        told = noise.look()
    assert told.verdict == "noisy"
    assert told.seen.others is not None
    assert told.seen.others > 0.3
    assert any("other programs take" in each for each in told.reasons)


@LINUX
def test_a_look_at_this_machine_is_whole_and_becomes_json() -> None:
    told = noise.look()
    whole = json.loads(json.dumps(noise.as_json(told)))
    assert list(whole) == list(Reading._fields)
    assert list(whole["seen"]) == list(Sight._fields)
    assert 0.0 < told.seen.seconds < 30.0
    assert told.seen.cpus == busy.allowed()
    assert told.seen.others is not None
    assert 0.0 <= told.seen.others <= len(told.seen.cpus or ()) + 0.2
    assert "use by other programs" not in told.not_read
    assert noise.FEWEST <= told.seen.spin.runs <= noise.PIECES
    assert np.isfinite(told.seen.spin.spread_percent)
    assert told == noise.judged(told.seen)


@LINUX
def test_a_process_on_one_processor_says_so() -> None:
    work = (
        "import json, os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])\n"
        "from edgekit.runtime import noise\n"
        "with noise.Watch() as watch:\n    sum(range(10**6))\n"
        "print(json.dumps([noise.as_json(noise.look()), watch.taken()._asdict()]))"
    )
    told, taken = json.loads(subprocess.run([sys.executable, "-c", work], stdout=-1, check=True).stdout)
    assert told["seen"]["cpus"] == taken["cpus"] == [min(busy.allowed() or [0])]
    if told["seen"]["cores"] > 1:
        assert f"this process may run on 1 of the machine's {told['seen']['cores']} CPUs" in told["notes"]


LIMITED = """
import json, sys
from pathlib import Path
from edgekit.runtime import noise
Path(sys.argv[1], "cgroup.procs").write_text("0")
print(json.dumps(noise.as_json(noise.look())))
"""


def test_a_quota_that_is_used_up_is_noise() -> None:
    with group_with_quota(0.3) as group:
        done = subprocess.run([sys.executable, "-c", LIMITED, str(group)], stdout=-1, check=True)
    told = json.loads(done.stdout)
    assert told["verdict"] == "noisy"
    assert any("periods were throttled" in each for each in told["reasons"])
    assert "its quota is 0.3 of them" in told["notes"]
