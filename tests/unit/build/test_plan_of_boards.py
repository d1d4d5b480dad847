"""What a build for an ARM board settles before its first stage."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgekit.build.executor import ByReference
from edgekit.build.plan import Plan, planned
from edgekit.build.prune import why_not
from edgekit.errors import InputError
from edgekit.recipe import Recipe
from edgekit.store import Store


def plan_of(store: Path, target: str, **settings: object) -> Plan:
    return planned(Recipe.model_validate({"images": 24, "target": target, **settings}), Store(store))


@pytest.mark.parametrize(
    ("target", "precisions", "narrow"),
    [
        ("arm64", ("fp32", "fp16", "int8"), ("int8", "fp16")),
        ("raspberry-pi-4", ("fp32", "int8"), ("int8",)),
        ("raspberry-pi-5", ("fp32", "fp16", "int8"), ("int8", "fp16")),
    ],
)
def test_a_board_is_built_for_without_it(
    target: str, precisions: tuple[str, ...], narrow: tuple[str, ...], tmp_path: Path
) -> None:
    plan = plan_of(tmp_path, target)
    assert (plan.backend, plan.wanted, plan.release) == ("onnxruntime", "int8", None)
    assert (plan.precisions, plan.narrow_precisions) == (precisions, narrow)
    assert isinstance(plan.executor, ByReference)
    untimed = plan.untimed()
    assert untimed is not None
    assert f"--target {target} --device" in str(untimed.why)
    assert "its single layers are not timed" in str(why_not(plan))
    assert plan.graph_format.moves


def test_what_a_board_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="raspberry-pi-5 has no runtime openvino"):
        plan_of(tmp_path, "raspberry-pi-5", runtime="openvino")
    with pytest.raises(InputError, match="raspberry-pi-4 has no fast fp16"):
        plan_of(tmp_path, "raspberry-pi-4", precision="fp16")
    with pytest.raises(InputError, match="arm64 has no fast bf16"):
        plan_of(tmp_path, "arm64", precision="bf16")


def test_an_arm_machine_builds_for_onnxruntime_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert plan_of(tmp_path, "cpu").backend == "onnxruntime"
    assert plan_of(tmp_path, "cpu", runtime="openvino").backend == "openvino"
