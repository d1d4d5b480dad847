"""The target table and the look at this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.recipe import merged, read_yaml
from edgekit.targets import TARGETS, describe, find, release_of
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
    assert (not target.compute_capabilities) is (target.family in ("cpu", "gpu"))
    assert (not target.releases) is (target.family == "cpu")
    assert all(bool(release.jetpack) is (target.family == "jetson") for release in target.releases)
    assert json.loads(json.dumps(target.as_dict()))["name"] == ALIASES.get(name, name)


@pytest.mark.parametrize("name", ["jetson-nano", "jetson-tx2"])
def test_parts_without_fast_int8_do_not_list_it(name: str) -> None:
    assert find(name).precisions[0] == "fp16"
    assert any("INT8" in note for note in find(name).notes)


def test_cpu_precisions_follow_the_processor() -> None:
    cpu = find("cpu")
    assert cpu.fast_precisions(("avx512_vnni", "avx512_bf16")) == ("int8", "bf16", "fp32")
    assert cpu.fast_precisions(("avx2",)) == ("fp32",)
    assert cpu.fast_precisions(("asimd", "asimddp")) == ("int8", "fp32")


@pytest.mark.parametrize(
    ("name", "jetpack", "tensorrt", "typed"),
    [
        ("jetson", None, "10.3", True),
        ("jetson", "5.1.2", "8.5", False),
        ("jetson", "6.2.1", "10.3", True),
        ("jetson-nano", None, "8.2", False),
        ("jetson-thor", "7.2.2", "11.4", True),
        ("cpu", None, None, None),
    ],
)
def test_the_tensorrt_of_a_jetpack(name: str, jetpack: str | None, tensorrt: str | None, typed: bool | None) -> None:
    found = release_of(find(name), jetpack)
    assert (found and found.tensorrt, found and found.typed) == (tensorrt, typed)


@pytest.mark.parametrize(("name", "jetpack"), [("jetson-nano", "6.2"), ("jetson-thor", "5.1"), ("cpu", "6.2")])
def test_a_jetpack_that_a_target_does_not_have(name: str, jetpack: str) -> None:
    with pytest.raises(InputError, match=f"{name} has no JetPack {jetpack}"):
        release_of(find(name), jetpack)


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml")), ids=lambda f: f.name)
def test_every_shipped_recipe_is_for_a_target_that_there_is(file: Path) -> None:
    recipe = merged(read_yaml(file), {})
    target = find(recipe.target)
    assert recipe.precision in target.precisions
    assert release_of(target, recipe.tensorrt.jetpack)


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
