"""The target table and the look at this machine."""

from __future__ import annotations

import json

import pytest

from edgekit.errors import InputError, UnavailableError
from edgekit.targets import TARGETS, describe, find, require
from edgekit.targets.table import ALIASES

NAMES = [*TARGETS, *ALIASES]


def test_the_contracts_names_are_there() -> None:
    family = {"nano", "tx2", "xavier-nx", "agx-xavier", "orin-nano", "orin-nx", "agx-orin", "thor"}
    assert set(NAMES) == {"cpu", "gpu", "rtx", "jetson"} | {f"jetson-{name}" for name in family}


@pytest.mark.parametrize("name", NAMES)
def test_every_record_is_whole(name: str) -> None:
    target = find(name)
    assert target.precisions
    assert target.precisions[-1] == "fp32"
    assert set(target.precisions) <= {"int8", "bf16", "fp16", "fp32"}
    assert bool(target.why) is not target.supported
    assert (target.compute_capability is None) is (target.family in ("cpu", "gpu"))
    assert json.loads(json.dumps(target.as_dict()))["name"] == ALIASES.get(name, name)


@pytest.mark.parametrize("name", ["jetson-nano", "jetson-tx2"])
def test_parts_without_fast_int8_do_not_list_it(name: str) -> None:
    assert find(name).precisions[0] == "fp16"
    assert any("INT8" in note for note in find(name).notes)


def test_cpu_precisions_follow_the_processor() -> None:
    cpu = require("cpu")
    assert cpu.fast_precisions(("avx512_vnni", "avx512_bf16")) == ("int8", "bf16", "fp32")
    assert cpu.fast_precisions(("avx2",)) == ("fp32",)
    assert cpu.fast_precisions(("asimd", "asimddp")) == ("int8", "fp32")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cpu"])
def test_targets_to_come_say_so(name: str) -> None:
    with pytest.raises(UnavailableError, match=name) as raised:
        require(name)
    assert raised.value.exit_code == 4
    assert "--target cpu" in raised.value.hint


def test_unknown_target_names_the_nearest() -> None:
    with pytest.raises(InputError) as raised:
        find("jetson-orin-nnano")
    assert "jetson-orin-nano" in raised.value.hint


def test_a_machine_describes_itself() -> None:
    machine = describe()
    assert 1 <= machine.usable_cores <= machine.cores
    assert machine.python.startswith("3.")
    assert machine.memory_bytes is None or machine.memory_bytes > 2**28
    assert (
        machine.available_bytes is None
        or machine.memory_bytes is None
        or machine.available_bytes <= machine.memory_bytes
    )
