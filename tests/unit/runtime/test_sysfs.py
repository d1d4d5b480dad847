"""What is read under /sys and /proc, on made trees: both layouts of a Jetson's power monitors, RAPL, heat, loads."""

from __future__ import annotations

from pathlib import Path

import pytest
from device_trees import HWMON, NANO, ORIN, RAPL, write

from edgekit.runtime import sysfs
from edgekit.runtime.tegrastats import module_power_w


def test_ina3221_of_jetpack_4(tmp_path: Path) -> None:
    rails = sysfs.ina3221_w(str(write(tmp_path, NANO)))
    assert rails == {"POM_5V_IN": 2.83, "POM_5V_GPU": 0.041}
    assert module_power_w(rails) == 2.83


def test_ina3221_of_jetpack_5(tmp_path: Path) -> None:
    rails = sysfs.ina3221_w(str(write(tmp_path, ORIN)))
    assert set(rails) == {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"}
    assert module_power_w(rails) == pytest.approx(12.008 * 0.32 + 4.968 * 0.98)


def test_the_input_of_thor_is_its_ina238(tmp_path: Path) -> None:
    write(tmp_path, {HWMON + "in1_label": "VDD_CPU_SOC_MSS", HWMON + "in1_input": 12040, HWMON + "curr1_input": 960})
    other = "sys/bus/i2c/drivers/ina238/2-0044/hwmon/hwmon6/power1_input"
    assert sysfs.ina3221_w(str(write(tmp_path, {other: 22_500_000})))["VIN"] == 22.5


def test_a_rail_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, {**ORIN, HWMON + "in3_input": "", HWMON + "in2_input": "off"})
    assert set(sysfs.ina3221_w(str(tmp_path))) == {"VDD_GPU_SOC"}


def test_nothing_is_there(tmp_path: Path) -> None:
    root = str(tmp_path)
    for read in (sysfs.ina3221_w, sysfs.rapl_j, sysfs.trips_c, sysfs.alerts, sysfs.event_counts, sysfs.max_clocks_mhz):
        assert read(root) == {}
    assert sysfs.cpu_ticks(root) == {}
    assert sysfs.gpu_load(root) is None
    assert sysfs.mode_name("0", root) is None


def test_trips_clocks_loads_and_alerts(tmp_path: Path) -> None:
    root = str(write(tmp_path, ORIN))
    assert sysfs.trips_c(root) == {"tj-thermal": 99.0}
    assert sysfs.max_clocks_mhz(root) == {"gpu": 1020.0, "cpu": 2201.6}
    assert sysfs.gpu_load(root) == 99.3
    assert sysfs.alerts(root) == {}
    assert sysfs.event_counts(root) == {"instantaneous over-current": 15}
    write(tmp_path, {"sys/class/thermal/cooling_device4/cur_state": 1, HWMON + "curr1_crit_alarm": 1})
    assert sysfs.alerts(root) == {"gpu-throttle-alert": 1, "critical current on VDD_GPU_SOC": 1}


def test_cpu_load_is_the_busiest_cores(tmp_path: Path) -> None:
    before = sysfs.cpu_ticks(
        str(write(tmp_path, {"proc/stat": "cpu  9 9 9 9 9 9\ncpu0 10 0 0 90 0 0\ncpu1 0 0 0 100 0"}))
    )
    after = sysfs.cpu_ticks(str(write(tmp_path, {"proc/stat": "cpu0 30 0 0 170 0 0\ncpu1 75 0 0 125 0\nintr 1"})))
    assert sysfs.cpu_load(before, after) == 75.0
    assert sysfs.cpu_load(after, after) is None


def test_rapl_counts_on_when_its_counter_starts_again(tmp_path: Path) -> None:
    root = str(write(tmp_path, {RAPL + "energy_uj": 262_000_000_000, RAPL + "max_energy_range_uj": 262_143_328_850}))
    part = "sys/class/powercap/intel-rapl:0:0/"  # of the package: not to be counted twice
    write(tmp_path, {part + "energy_uj": 5, part + "max_energy_range_uj": 9})
    before = sysfs.rapl_j(root)
    write(tmp_path, {RAPL + "energy_uj": 100_000_000})
    assert set(before) == {"intel-rapl:0"}
    assert sysfs.rapl_between(before, sysfs.rapl_j(root)) == pytest.approx(243.328850)
    assert sysfs.rapl_between({}, sysfs.rapl_j(root)) is None
