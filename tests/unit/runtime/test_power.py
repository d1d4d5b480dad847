"""Power and throttling: a constructed run, made device trees, made tools, and this machine as it is."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from device_trees import ORIN, RAPL, write
from hypothesis import given
from hypothesis import strategies as st

from edgekit.runtime import probe, sysfs
from edgekit.runtime.nvidia_smi import Gpu
from edgekit.runtime.nvidia_smi import ask as ask_smi
from edgekit.runtime.nvidia_smi import parse as parse_smi
from edgekit.runtime.power import Sample, Sampler, power_mode, summary, throttled
from edgekit.runtime.tegrastats import parse

RECORDED = Path(__file__).parent / "recorded"


def command(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name before all others."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def hot_run() -> list[Sample]:
    found = []
    for line in (RECORDED / "throttling_orin_nx.txt").read_text().splitlines()[1:]:
        told = parse(line)
        clocks, loads = {"gpu": float(told["gpu_mhz"])}, {"gpu": float(told["gpu_load"])}
        found.append(Sample(temperatures_c=told["temperatures_c"], clocks_mhz=clocks, loads=loads))
    return found


def test_throttling_is_found_in_a_hot_run() -> None:
    held, reasons = throttled(hot_run())
    assert held is True
    assert reasons == ["the gpu clock fell from 918 to 612 MHz under load with gpu at 97.5 C"]


def test_the_zone_that_is_near_its_trip_point_is_named() -> None:
    cooler = [{"tj": sample.temperatures_c["tj"] - 20} for sample in hot_run()]  # at most 77.5
    samples = [sample._replace(temperatures_c=each) for sample, each in zip(hot_run(), cooler, strict=True)]
    assert throttled(samples) == (False, [])
    samples[0] = samples[0]._replace(trips_c={"tj": 82.0})
    assert throttled(samples)[1] == [
        "the gpu clock fell from 918 to 612 MHz under load with tj at 77.5 C (it is throttled from 82.0 C)"
    ]


def test_a_clock_that_falls_in_the_cool_or_without_work_is_not_throttled() -> None:
    samples = hot_run()
    assert throttled(samples[:7] + samples[-1:] * 5) == (False, [])  # hot, but the work is over
    assert throttled(samples[:8]) == (False, [])  # one low clock is a blink
    cool = [sample._replace(temperatures_c={"tj": 60.0, "PMIC-Die": 100.0}) for sample in samples]
    assert throttled(cool) == (False, [])


def test_a_run_that_was_as_hot_from_the_start_is_not_rising() -> None:
    hot = [Sample(temperatures_c={"x": 90.0}, clocks_mhz={"cpu": mhz}) for mhz in (4000.0,) * 4 + (3000.0,) * 4]
    assert throttled(hot) == (False, [])
    hot[0] = hot[0]._replace(temperatures_c={"x": 70.0})
    assert throttled(hot)[0] is True


def test_the_run_kept_as_figures() -> None:
    with (RECORDED / "throttling.csv").open() as file:
        rows = list(csv.DictReader(file))
    samples = [
        Sample(temperatures_c={"tj": float(row["tj_c"])}, clocks_mhz={"gpu": float(row["gpu_mhz"])}) for row in rows
    ]
    assert throttled(samples)[0] is True


def test_alerts_counts_and_a_drivers_words_are_throttling() -> None:
    samples = [Sample(reasons=[], counts={"under-voltage": 3}), Sample(reasons=["a hardware slowdown"])]
    samples += [Sample(alerts={"gpu-throttle-alert": 1}, counts={"under-voltage": 5})] * 2
    assert throttled(samples) == (
        True,
        [
            "a hardware slowdown",
            "alert: gpu-throttle-alert (state 1)",
            "the module throttled itself 2 times for under-voltage",
        ],
    )


def test_nothing_seen_is_not_known() -> None:
    assert throttled([]) == (None, [])
    assert throttled([Sample(temperatures_c={"x": 50.0})]) == (None, [])
    assert throttled([Sample(reasons=[])]) == (False, [])


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "temperatures_c": st.dictionaries(st.sampled_from(["tj", "gpu"]), st.floats(-50, 120)),
                "trips_c": st.dictionaries(st.sampled_from(["tj", "gpu"]), st.floats(40, 120)),
                "clocks_mhz": st.dictionaries(st.sampled_from(["gpu", "cpu"]), st.floats(0, 5000)),
                "loads": st.dictionaries(st.sampled_from(["gpu", "cpu"]), st.floats(0, 100)),
                "counts": st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9)),
            },
        )
    )
)
def test_reasons_and_the_verdict_agree(samples: list[dict[str, Any]]) -> None:
    held, reasons = throttled([Sample(**each) for each in samples])
    assert bool(reasons) == (held is True)


def test_nvidia_smi_answers() -> None:
    told = parse_smi("71.25, 84, 1305, 0x0000000000000024\n60, 40, 300, 0x1\n")
    assert told is not None
    assert (told.power_w, told.temperature_c, told.clock_mhz, told.idle) == (71.25, 84.0, 1305.0, False)
    assert told.reasons == ["the power limit was reached", "the driver's thermal limit was reached"]
    assert parse_smi("[N/A], 40, [N/A], [N/A]") == Gpu(temperature_c=40.0)
    assert parse_smi('Field "clocks_throttle_reasons.active" is not a valid field to query.') is None
    assert parse_smi("") is None


def test_nvidia_smi_that_knows_only_the_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = 'case "$1" in *event*) echo "30.5, 41, 345, 0x0000000000000001";; *) echo "no such field"; exit 2;; esac'
    command(tmp_path / "bin", "nvidia-smi", script, monkeypatch)
    assert ask_smi() == Gpu(idle=True, power_w=30.5, temperature_c=41.0, clock_mhz=345.0)


def test_the_gpus_power_counts_if_it_was_at_work() -> None:
    def run(load: float) -> dict[str, Any]:
        return summary([Sample(power_w=70.0, source="nvidia-smi", loads={"gpu": load})] * 3, 2.0, 30.0)

    busy, idle = run(95.0), run(0.0)
    assert (busy["source"], busy["mean_power_w"], busy["other_power_w"]) == ("nvidia-smi", 70.0, {"rapl": 15.0})
    assert (idle["source"], idle["energy_j"], idle["other_power_w"]) == ("rapl", 30.0, {"nvidia-smi": 70.0})


def test_rails_that_do_not_add_up_are_told() -> None:
    told = summary([Sample(source="ina3221", rails_w={"VDD_SOC": 1.0})], 1.0)
    assert told["source"] is None
    assert told["why"] == "VDD_SOC do not add up to the whole module"


def test_sampler_on_a_made_jetson(tmp_path: Path) -> None:
    root = write(tmp_path, ORIN)
    with Sampler(0.02, str(root)) as sampler:
        time.sleep(0.2)
        write(root, {"sys/class/devfreq/17000000.gpu/cur_freq": 612_000_000})
        write(root, {"sys/class/thermal/thermal_zone0/temp": 60500, "sys/class/hwmon/hwmon5/oc3_event_cnt": 18})
        time.sleep(0.2)
    told = sampler.told
    assert told["source"] == "ina3221"
    assert told["rails"] == ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"]
    assert told["mean_power_w"] == pytest.approx(8.7112)
    assert told["energy_j"] == pytest.approx(8.7112 * told["seconds"])
    assert told["temperatures_c"] == {"tj-thermal": {"first": 51.25, "max": 60.5, "last": 60.5}}
    assert told["clocks_mhz"]["gpu"] == {"first": 918.0, "min": 612.0, "last": 612.0}
    assert told["throttle_reasons"] == ["the module throttled itself 3 times for instantaneous over-current"]
    assert told["samples"] > 2
    assert json.loads(json.dumps(told)) == told


def test_sampler_on_this_machine() -> None:
    sampler = Sampler(0.05)
    assert sampler.stop() == {}
    sampler.start()
    time.sleep(0.2)
    told = sampler.stop()
    assert told is sampler.stop()
    assert told["samples"] > 0
    assert told["seconds"] > 0.1
    assert (told["mean_power_w"] is None) == ("why" in told) == (told["source"] is None)
    assert json.loads(json.dumps(told)) == told


def test_the_sampler_adds_what_rapl_counts_between_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sampler, "_watch", lambda self: None)
    root = write(tmp_path, {RAPL + "energy_uj": 90_000_000, RAPL + "max_energy_range_uj": 100_000_000})
    sampler = Sampler(60.0, str(root)).start()
    for joules in (95, 5, 50, 99, 20):  # two starts again: 5 + 10 + 45 + 49 + 21
        write(root, {RAPL + "energy_uj": joules * 1_000_000})
        sampler._count()
    told = sampler.stop()
    assert (told["source"], "why" in told) == ("rapl", False)
    assert told["energy_j"] == pytest.approx(130.0)


def test_rapl_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    told = Sampler(60.0, str(write(tmp_path, {RAPL + "max_energy_range_uj": 1}))).start().stop()
    assert told["source"] is told["mean_power_w"] is told["energy_j"] is None
    assert "only its owner may read it" in told["why"]


def jetson_without_sysfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysfs, "ina3221_w", lambda root="/": {})
    monkeypatch.setattr(probe, "temperatures_c", lambda root="/": {})


def test_sampler_reads_tegrastats_and_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jetson_without_sysfs(monkeypatch)
    rows = (RECORDED / "tegrastats.txt").read_text().splitlines()
    line = next(row.partition("|")[2] for row in rows if row.startswith("orin-nx|"))
    script = f"echo $$ > {tmp_path}/pid; while :; do echo '{line}'; sleep 0.05; done"
    command(tmp_path / "bin", "tegrastats", script, monkeypatch)
    with Sampler(0.05) as sampler:
        time.sleep(0.5)
    told = sampler.told
    assert (told["source"], told["mean_power_w"], told["rails"]) == ("tegrastats", 17.946, ["VDD_IN"])
    assert told["temperatures_c"]["tj"]["max"] == 65.562
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_sampler_survives_a_tegrastats_that_dies_in_mid_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jetson_without_sysfs(monkeypatch)
    command(tmp_path / "bin", "tegrastats", "printf 'RAM 1/2MB VDD_IN 5297mW/5297mW'; exit 1", monkeypatch)
    with Sampler(0.05) as sampler:
        time.sleep(0.3)
    assert sampler.told["source"] is None
    assert 1 <= sampler.told["samples"] < 20  # it does not spin


def test_a_reading_that_fails_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(root: str = "/") -> None:
        raise OSError("gone")

    monkeypatch.setattr(probe, "clocks_mhz", fail)
    told = Sampler(0.02, str(tmp_path)).start().stop()
    assert told["samples"] == 0
    assert told["throttled"] is None


def test_power_mode_is_a_name_where_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path, {"var/lib/nvpmodel/status": "pmode:0002"})
    assert power_mode(str(root)) == "2"
    table = "# a comment\n< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >"
    assert power_mode(str(write(root, {"etc/nvpmodel.conf": table}))) == "MAXN_SUPER"
    assert power_mode(str(tmp_path / "elsewhere")) is None
    script = 'test "$*" = -q && printf "NVPM WARN: fan mode is not set!\\nNV Power Mode: MODE_30W\\n3\\n"'
    command(tmp_path / "bin", "nvpmodel", script, monkeypatch)
    assert power_mode() == "MODE_30W"
