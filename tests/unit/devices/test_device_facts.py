"""What a device tells of itself: read whole, and what of it decides how fast things run there."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgekit.build.device_machine import PASSING, device_machine
from edgekit.devices.facts import DeviceFacts
from edgekit.runtime.probe import probe
from edgekit.targets import adds_int8_in_16_bits

ORIN: dict[str, Any] = {
    "model": "NVIDIA Jetson Orin NX",
    "architecture": "aarch64",
    "cpu": "Cortex-A78AE",
    "cores": 8,
    "memory_bytes": 16 << 30,
    "free_disk_bytes": 1 << 30,
    "system": "Linux 5.15.148-tegra",
    "python": "3.10.12",
    "l4t": "36.4.3",
    "jetpack": "6.2",
    "cuda": "12.6",
    "runtimes": {"tensorrt": "10.3.0", "openvino": None},
    "power_mode": "MAXN",
    "temperatures_c": {"gpu-thermal": 51.5},
    "clocks_mhz": {"gpu": 918.0},
}


def test_what_this_machine_tells_is_read_whole(tmp_path: Path) -> None:
    answer = json.loads(json.dumps(probe(str(tmp_path))))
    facts = DeviceFacts.of({**answer, "bytes": 0})
    assert json.loads(json.dumps(asdict(facts))) == answer
    assert list(asdict(facts)) == list(answer), "it is printed in the order that the device tells it"


def test_it_is_called_by_its_model_or_its_processor() -> None:
    assert DeviceFacts.of(ORIN).name == "NVIDIA Jetson Orin NX"
    assert DeviceFacts.of({**ORIN, "model": None}).name == "Cortex-A78AE"


@pytest.mark.parametrize("key", sorted(ORIN))
def test_an_answer_that_lacks_something_is_none(key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        DeviceFacts.of({name: value for name, value in ORIN.items() if name != key})


@given(st.integers(0, 1 << 40), st.floats(-20, 110), st.floats(0, 3000))
def test_what_is_of_the_moment_makes_no_other_machine(free: int, degrees: float, mhz: float) -> None:
    later = {"free_disk_bytes": free, "temperatures_c": {"cpu": degrees}, "clocks_mhz": {"gpu": mhz}}
    assert set(later) == PASSING
    assert device_machine(DeviceFacts.of({**ORIN, **later})) == device_machine(DeviceFacts.of(ORIN))


@pytest.mark.parametrize("key", sorted(set(ORIN) - PASSING))
def test_all_else_makes_another_machine(key: str) -> None:
    value = ORIN[key]
    other = {**value, "tensorrt": "10.4"} if key == "runtimes" else value + (1 if isinstance(value, int) else "x")
    assert device_machine(DeviceFacts.of({**ORIN, key: other})) != device_machine(DeviceFacts.of(ORIN))


def test_a_machine_names_each_fact_as_the_device_tells_it() -> None:
    made = device_machine(DeviceFacts.of(ORIN))
    assert made.settings == tuple(sorted((key, str(value)) for key, value in ORIN.items() if key not in PASSING))
    assert (made.cpu, made.architecture, made.usable_cores) == ("NVIDIA Jetson Orin NX", "aarch64", 8)


def test_what_its_processor_can_do_is_part_of_the_machine() -> None:
    """With what keeps oneDNN from it, as it binds there."""
    told = {**ORIN, "architecture": "x86_64", "features": ["avx2", "avx_vnni"]}
    made = device_machine(DeviceFacts.of({**told, "isa_limit": None}))
    assert made.features == ("avx2", "avx_vnni")
    assert not adds_int8_in_16_bits(made)
    assert adds_int8_in_16_bits(device_machine(DeviceFacts.of({**told, "isa_limit": "AVX2"})))
    assert adds_int8_in_16_bits(device_machine(DeviceFacts.of({**told, "features": ["avx2"]})))
    assert not adds_int8_in_16_bits(device_machine(DeviceFacts.of(ORIN)))
