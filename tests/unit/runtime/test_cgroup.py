"""Quotas of processor time and limits of memory: trees of both versions as kernels write them, and a real group."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from groups import group_with_quota

from edgekit.runtime import cgroup
from edgekit.runtime.cgroup import Periods

V1_CPU = "33 31 0:30 {inside} {at} rw,relatime - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "34 31 0:31 {inside} {at} rw,relatime - cgroup cgroup rw,memory"
V2 = "42 31 0:40 {inside} {at} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"


def tree(root: Path, member: str, mounts: list[str], files: dict[str, str]) -> str:
    """A root of a system with a process in groups; `files` are below sys/fs/cgroup."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(member)
    (root / "proc" / "self" / "mountinfo").write_text("\n".join(["31 23 0:28 / /sys rw - sysfs sysfs rw", *mounts]))
    for name, content in files.items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(root)


def unified(root: Path, files: dict[str, str], member: str = "/pod/inner", inside: str = "/") -> str:
    return tree(root, f"0::{member}\n", [V2.format(inside=inside, at="/sys/fs/cgroup")], files)


def test_the_least_quota_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {"pod/inner/cpu.max": "max 100000\n", "pod/cpu.max": "150000 100000\n", "other/cpu.max": "1000 100000\n"}
    assert cgroup.quota(unified(tmp_path, files)) == 1.5
    nested = {"pod/inner/cpu.max": "30000 50000\n", "pod/cpu.max": "400000 100000\n"}
    assert cgroup.quota(unified(tmp_path / "nested", nested)) == 0.6
    assert cgroup.quota(unified(tmp_path / "free", {"pod/cpu.max": "max 100000\n"})) is None


@pytest.mark.parametrize(
    ("member", "inside", "where"),
    [
        ("/docker/ab", "/docker/ab", ""),  # the container sees its own group as the top
        ("/", "/", ""),  # the same with a namespace of its own
        ("/docker/ab", "/", "docker/ab/"),
        ("/docker/ab/inner", "/docker/ab", "inner/"),
        ("/docker/abc", "/docker/ab", ""),  # a name that only begins alike
        ("/../other", "/", ""),  # moved out of its namespace
    ],
)
def test_version_1_where_containers_mount_it(tmp_path: Path, member: str, inside: str, where: str) -> None:
    files = {f"cpu/{where}cpu.cfs_quota_us": "40000\n", f"cpu/{where}cpu.cfs_period_us": "100000\n"}
    mount = V1_CPU.format(inside=inside, at="/sys/fs/cgroup/cpu")
    root = tree(tmp_path, f"5:cpuset:/x\n4:cpu,cpuacct:{member}\n0::/\n", [mount], files)
    assert cgroup.quota(root) == 0.4


def test_both_versions_side_by_side(tmp_path: Path) -> None:
    mounts = [V1_CPU.format(inside="/", at="/sys/fs/cgroup/cpu"), V2.format(inside="/", at="/sys/fs/cgroup/unified")]
    files = {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000", "unified/b/cpu.max": "50000 100000"}
    assert cgroup.quota(tree(tmp_path, "1:cpu:/a\n0::/b\n", mounts, files)) == 0.5


def test_a_mount_with_a_blank_in_its_name(tmp_path: Path) -> None:
    mount = V2.format(inside="/", at="/sys/fs/cgroup/of\\040mine")
    assert cgroup.quota(tree(tmp_path, "0::/a\n", [mount], {"of mine/a/cpu.max": "200000 100000"})) == 2.0


@pytest.mark.parametrize("content", ["", "max", "garbage 100000", "100000", "0 100000", "100000 0", "-5 100000"])
def test_what_is_no_quota_is_none(tmp_path: Path, content: str) -> None:
    assert cgroup.quota(unified(tmp_path, {"pod/inner/cpu.max": content})) is None


def test_a_system_that_tells_nothing(tmp_path: Path) -> None:
    assert cgroup.quota(str(tmp_path)) is None
    assert cgroup.periods(str(tmp_path)) == {}
    assert cgroup.free_memory(str(tmp_path)) is None
    assert cgroup.usable_cores(str(tmp_path)) == cgroup.affinity()


@pytest.mark.parametrize(
    ("quota", "processors", "threads"),
    [("max", 4, 4), ("40000", 4, 1), ("100000", 4, 1), ("199999", 4, 1), ("250000", 4, 2), ("900000", 4, 4)],
)
def test_threads_are_what_the_quota_carries_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, processors: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(processors)))
    root = unified(tmp_path, {"pod/inner/cpu.max": f"{quota} 100000\n"})
    assert cgroup.usable_cores(root) == threads


def test_throttled_periods_are_those_of_the_group_that_had_most(tmp_path: Path) -> None:
    stat = "usage_usec 10\nnr_periods {}\nnr_throttled {}\nthrottled_usec 7\n"
    files = {
        "pod/inner/cpu.max": "40000 100000",
        "pod/inner/cpu.stat": stat.format(100, 4),
        "pod/cpu.max": "90000 100000",
        "pod/cpu.stat": stat.format(100, 9),
        "cpu.stat": stat.format(0, 0),
    }
    root = unified(tmp_path, files)
    before = cgroup.periods(root)
    assert sorted(before.values()) == [Periods(100, 4), Periods(100, 9)]
    assert cgroup.throttling(before, cgroup.periods(root), root) is None
    (Path(root) / "sys/fs/cgroup/pod/inner/cpu.stat").write_text(stat.format(605, 503))
    told = cgroup.throttling(before, cgroup.periods(root), root)
    assert told == (
        "499 of 505 periods were throttled: the container's quota of 0.4 processors was used up before they ended"
    )


def test_memory_that_is_left(tmp_path: Path) -> None:
    files = {
        "pod/inner/memory.max": "3000",
        "pod/inner/memory.current": "2500",
        "pod/inner/memory.stat": "anon 2000\ninactive_file 400\n",
        "pod/memory.max": "max",
        "pod/memory.current": "2600",
    }
    assert cgroup.free_memory(unified(tmp_path / "two", files)) == 900
    old = {
        "memory/a/memory.limit_in_bytes": "9223372036854771712",
        "memory/a/memory.usage_in_bytes": "1000",
        "memory/memory.limit_in_bytes": "5000",
        "memory/memory.usage_in_bytes": "4000",
        "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 300\n",
    }
    mount = V1_MEMORY.format(inside="/", at="/sys/fs/cgroup/memory")
    assert cgroup.free_memory(tree(tmp_path / "one", "7:memory:/a\n", [mount], old)) == 1300


FEW = 0.05
"""So little that even a machine that is busy with other things gives more."""

WITHIN = """
import json, sys, time
from pathlib import Path
from edgekit.runtime import cgroup
from edgekit.targets import this_machine
Path(sys.argv[1], "cgroup.procs").write_text("0")
before = cgroup.periods()
until = time.monotonic() + 20.0
while time.monotonic() < until and cgroup.throttling(before, cgroup.periods()) is None:
    pass
told = cgroup.throttling(before, cgroup.periods())
machine = this_machine()
print(json.dumps([cgroup.quota(), cgroup.usable_cores(), told, machine.usable_cores, dict(machine.settings)]))
"""


def test_a_real_group() -> None:
    with group_with_quota(FEW) as group:
        quota, cores, told, machine_cores, settings = json.loads(python(WITHIN, group))
    assert (quota, cores, machine_cores) == (FEW, 1, 1)
    assert settings["cpu quota"] == "0.05"
    assert "periods were throttled: the container's quota of 0.05 processors" in told


MEASURED = """
import json, sys
from pathlib import Path
import numpy as np
from edgekit.runtime.timing import bench
Path(sys.argv[1], "cgroup.procs").write_text("0")
def busy(picture):
    return sum(range(20_000))
picture = np.zeros((1, 2, 2, 3), np.uint8)
told = bench({"busy": busy}, lambda name: busy, picture, 30, 1.0, lambda done, total: None)
print(json.dumps(told["conditions"]))
"""


def test_what_is_timed_in_it_says_that_it_was_throttled() -> None:
    with group_with_quota(FEW) as group:
        conditions = json.loads(python(MEASURED, group))
    assert conditions["throttled"] is True
    assert any("periods were throttled" in each for each in conditions["throttle_reasons"])


RUNTIMES = """
import json, sys
from pathlib import Path
import numpy as np
group, graph, folder = map(Path, sys.argv[1:])
(group / "cgroup.procs").write_text("0")
from edgekit.backends import onnxruntime, openvino, openvino_plugin
from edgekit.runtime import openvino_network
from edgekit.runtime.settings import Settings
made = openvino.compile(graph, folder, "fp32")
asked = []
known = openvino_plugin._core()
class Listening:
    def compile_model(self, path, device, settings):
        asked.append(known.compile_model(path, device, settings))
        return asked[-1]
openvino_plugin._core = openvino_network.core = Listening
with openvino.load(made):
    pass
openvino_network.load(str(folder), "fp32", Settings())
held = [each.get_property("INFERENCE_NUM_THREADS") for each in asked]
with onnxruntime.load(onnxruntime.compile(graph, folder, "fp32")) as session:
    held.append(session._session.get_session_options().intra_op_num_threads)
print(json.dumps(held))
"""


def test_runtimes_have_no_more_threads_than_the_quota_carries(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    if cgroup.affinity() < 2:
        pytest.skip("there is one processor anyway")
    with group_with_quota(1.0) as group:
        assert json.loads(python(RUNTIMES, group, tiny_onnx(), tmp_path)) == [1, 1, 1]


def python(code: str, *arguments: Path) -> str:
    """What a program of its own prints: a process that joined a group stays in it."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
