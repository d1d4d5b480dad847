"""Files of devices under /sys and /proc, as they are on a Nano with JetPack 4 and an AGX Orin with JetPack 6."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

IIO = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/"
HWMON = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3/"
RAPL = "sys/class/powercap/intel-rapl:0/"

NANO = {
    IIO + "rail_name_0": "POM_5V_IN",
    IIO + "in_power0_input": 2830,
    IIO + "rail_name_1": "POM_5V_GPU",
    IIO + "in_power1_input": 41,
    IIO + "rail_name_2": "NC",
    IIO + "in_power2_input": 0,
}
ORIN = {
    HWMON + "in1_label": "VDD_GPU_SOC",
    HWMON + "in1_input": 12008,
    HWMON + "curr1_input": 280,
    HWMON + "curr1_crit_alarm": 0,
    HWMON + "in2_label": "VDD_CPU_CV",
    HWMON + "in2_input": 12008,
    HWMON + "curr2_input": 40,
    HWMON + "in3_label": "VIN_SYS_5V0",
    HWMON + "in3_input": 4968,
    HWMON + "curr3_input": 980,
    HWMON + "in7_label": "sum of shunt voltages",
    HWMON + "in7_input": 760,
    "sys/class/thermal/thermal_zone0/type": "tj-thermal",
    "sys/class/thermal/thermal_zone0/temp": 51250,
    "sys/class/thermal/thermal_zone0/trip_point_0_type": "active",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp": 50000,
    "sys/class/thermal/thermal_zone0/trip_point_1_type": "passive",
    "sys/class/thermal/thermal_zone0/trip_point_1_temp": 99000,
    "sys/class/thermal/thermal_zone0/trip_point_2_type": "critical",
    "sys/class/thermal/thermal_zone0/trip_point_2_temp": 104500,
    "sys/class/devfreq/17000000.gpu/cur_freq": 918000000,
    "sys/class/devfreq/17000000.gpu/max_freq": 1020000000,
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 1984000,
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": 2201600,
    "sys/devices/platform/gpu.0/load": 993,
    "sys/class/thermal/cooling_device4/type": "gpu-throttle-alert",
    "sys/class/thermal/cooling_device4/cur_state": 0,
    "sys/class/thermal/cooling_device5/type": "pwm-fan",
    "sys/class/thermal/cooling_device5/cur_state": 2,
    "sys/class/hwmon/hwmon5/oc3_event_cnt": 15,
}


def write(root: Path, files: Mapping[str, object]) -> Path:
    """Files under a root, each put there whole: somebody may be reading them."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.write_text(f"{content}\n")
        part.replace(path)
    return root
