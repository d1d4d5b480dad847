"""The target table and the look at this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgekit.errors import InputError
from edgekit.recipe import merged, read_yaml
from edgekit.runtime.probe import JETPACKS
from edgekit.runtime.tegrastats import WHOLE_MODULE
from edgekit.targets import TARGETS, describe, find, release_of, release_with
from edgekit.targets.machine import INTERESTING_FEATURES
from edgekit.targets.table import ALIASES

NAMES = [*TARGETS, *ALIASES]


def test_the_contracts_names_are_there() -> None:
    family = {"nano", "tx2", "xavier-nx", "agx-xavier", "orin-nano", "orin-nx", "agx-orin", "thor"}
    boards = {"arm64", "raspberry-pi-4", "raspberry-pi-5"}
    intel = {"igpu", "npu"}
    assert set(NAMES) == {"cpu", "gpu", "rtx", "jetson"} | boards | intel | {f"jetson-{name}" for name in family}


@pytest.mark.parametrize("name", NAMES)
def test_every_record_is_whole(name: str) -> None:
    target = find(name)
    assert target.precisions
    assert target.precisions[-1] == "fp32" or target.baseline_backend is not None
    assert set(target.precisions) <= {"int8", "bf16", "fp16", "fp32"}
    assert (not target.compute_capabilities) is (target.family in ("cpu", "igpu", "npu", "arm", "gpu"))
    assert (not target.releases) is (target.family in ("cpu", "igpu", "npu", "arm"))
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
    ("name", "fast"),
    [
        ("arm64", ("int8", "fp16", "fp32")),  # which one it is is not known
        ("raspberry-pi-4", ("fp32",)),
        ("raspberry-pi-5", ("int8", "fp16", "fp32")),
    ],
)
def test_a_board_has_its_own_features(name: str, fast: tuple[str, ...]) -> None:
    board = find(name)
    for here in ((), ("avx512_vnni", "amx_int8"), ("asimddp", "i8mm", "asimdhp")):
        assert board.fast_here(here) == fast
    assert set(board.features or ()) <= set(INTERESTING_FEATURES)
    assert (board.can.device, board.can.here, board.can.layers) == (True, False, False)
    assert board.why_untimed(name).endswith(f"--target {name} --device ssh://USER@HOST`")
    assert any("0.99998" in note and "0.958" in note for note in board.notes)


@pytest.mark.parametrize(
    ("name", "architecture", "runtime"),
    [
        ("cpu", "x86_64", "openvino"),
        ("cpu", "aarch64", "onnxruntime"),
        ("cpu", "arm64", "onnxruntime"),
        ("raspberry-pi-5", "x86_64", "onnxruntime"),
        ("jetson", "aarch64", "tensorrt"),
    ],
)
def test_the_usual_runtime_goes_by_the_architecture(name: str, architecture: str, runtime: str) -> None:
    assert find(name).default_runtime(architecture) == runtime
    assert runtime in find(name).backends


def test_a_device_of_another_architecture_is_told_of() -> None:
    assert find("raspberry-pi-5").unlike("aarch64") is None
    assert "the device is x86_64, no raspberry-pi-5" in str(find("raspberry-pi-5").unlike("x86_64"))
    assert find("cpu").unlike("riscv64") is None


@pytest.mark.parametrize(
    ("name", "jetpack", "tensorrt", "typed"),
    [
        ("jetson", None, "10.3", True),
        ("jetson", "5.1.2", "8.5", False),
        ("jetson", "6.2.1", "10.3", True),
        ("jetson-nano", None, "8.2", False),
        # JetPack 7.2 ships 10.16.2: read on a device in roboflow/inference PR 2531, and OE4T/meta-tegra PR 2224.
        ("jetson-thor", "7.2.2", "10.16", True),
        ("jetson-thor", None, "10.16", True),
        ("jetson-orin-nano", "7.2", "10.16", True),
        ("jetson-orin-nx", "7.2", "10.16", True),
        ("jetson-agx-orin", "7.2", "10.16", True),
        ("jetson-agx-orin", None, "10.3", True),
        ("jetson-xavier-nx", "5.0.2", "8.4", False),
        ("jetson-xavier-nx", None, "8.5", False),
        ("cpu", None, None, None),
    ],
)
def test_the_tensorrt_of_a_jetpack(name: str, jetpack: str | None, tensorrt: str | None, typed: bool | None) -> None:
    found = release_of(find(name), jetpack)
    assert (found and found.tensorrt, found and found.typed) == (tensorrt, typed)


@pytest.mark.parametrize(
    ("name", "there", "built_for"),
    [
        ("jetson-agx-orin", "11.4.1", "11.4"),  # installed beside JetPack 7.2's own
        ("jetson-thor", "11.4.1.2", "11.4"),
        ("jetson-agx-orin", "10.16.2", "10.16"),
        ("jetson-orin-nx", "10.16.2.10", "10.16"),
        ("jetson-xavier-nx", "8.4.1", "8.4"),
        ("jetson-xavier-nx", "8.5.2", "8.5"),
        ("jetson-agx-orin", "10.7.0", "10.3"),
        ("jetson-nano", "8.0.1", None),
    ],
)
def test_the_release_for_what_a_device_has(name: str, there: str, built_for: str | None) -> None:
    found = release_with(find(name), there)
    assert (found and found.tensorrt) == built_for


def test_which_tensorrt_drives_a_dla() -> None:
    able = {
        release.tensorrt for each in TARGETS.values() for release in each.releases if each.dla_cores and release.dla
    }
    assert able == {"8.2", "8.4", "8.5", "8.6", "10.3", "11.4"}  # 10.7 was the last 10.x; 11.4.1 has it on AGX Orin
    with_newest = [
        each.name for each in TARGETS.values() if each.dla_cores and any(r.tensorrt == "11.4" for r in each.releases)
    ]
    assert with_newest == ["jetson-agx-orin"]
    assert any("one DLA core" in note for note in find("jetson-orin-nx").notes)


def test_the_rails_of_the_table_are_those_that_the_runtime_adds_up() -> None:
    for target in TARGETS.values():
        assert target.power_rails in (*WHOLE_MODULE, ()), target.name


@pytest.mark.parametrize(
    ("l4t", "jetpack"), [("35.1.0", "5.0"), ("35.2.1", "5.1"), ("35.6.0", "5.1"), ("36.4.3", "6.2"), ("39.2", "7.2")]
)
def test_the_jetpack_of_an_l4t(l4t: str, jetpack: str) -> None:
    assert next(known for start, known in JETPACKS if l4t.startswith(start)) == jetpack


@pytest.mark.parametrize(("name", "jetpack"), [("jetson-nano", "6.2"), ("jetson-thor", "5.1"), ("cpu", "6.2")])
def test_a_jetpack_that_a_target_does_not_have(name: str, jetpack: str) -> None:
    with pytest.raises(InputError, match=f"{name} has no JetPack {jetpack}"):
        release_of(find(name), jetpack)


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml")), ids=lambda f: f.name)
def test_every_shipped_recipe_is_for_a_target_that_there_is(file: Path) -> None:
    recipe = merged(read_yaml(file), {})
    target = find(recipe.target)
    assert recipe.precision in target.precisions
    assert bool(release_of(target, recipe.tensorrt.jetpack)) is bool(target.releases)


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
