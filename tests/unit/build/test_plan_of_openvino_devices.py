"""What a build for an Intel GPU or NPU settles before its first stage, and what its manifest says of the device."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekit.backends import Compiled, backend
from edgekit.build.bundle_contents import _built_for
from edgekit.build.plan import Plan, planned
from edgekit.build.provenance import provenance
from edgekit.errors import InputError, UnavailableError
from edgekit.recipe import Recipe
from edgekit.report.model import Target
from edgekit.runtime import openvino_plugins as plugins
from edgekit.store import Store
from edgekit.targets import TARGETS
from edgekit.validate.latency import Measured


def plan_of(store: Path, target: str, **asked: Any) -> Plan:
    return planned(Recipe.model_validate({"images": 24, "target": target, **asked}), Store(store))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both devices are here, by what OpenVINO is made to say; none of them is run."""
    monkeypatch.setattr(plugins, "visible", lambda: ("CPU", "GPU", "NPU"))
    monkeypatch.setattr(plugins, "seen", lambda device: plugins.Seen(device, f"Intel {device}", "1.2"))


@pytest.mark.parametrize("target", ["igpu", "npu"])
def test_without_the_device_there_is_no_plan(target: str, tmp_path: Path) -> None:
    if plugins.lacking(TARGETS[target].can.plugin) is None:
        pytest.skip("it is here")
    with pytest.raises(UnavailableError, match=f"--target {target} cannot run here") as told:
        plan_of(tmp_path, target)
    assert told.value.exit_code == 4


@pytest.mark.usefixtures("seen")
def test_a_gpu_is_compared_with_its_own_fp32(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "igpu")
    assert (plan.backend, plan.precisions) == ("openvino-gpu", ("fp32", "fp16", "int8"))
    assert plan.compiler.identity(plan.executor.machine).hardware == ("Intel GPU", "driver 1.2")
    assert not any("processor" in note for note in plan.notes)
    told = provenance(plan, {}, Measured()).target
    assert (told.runtime, told.device, told.features) == ("openvino", "Intel GPU", ())


@pytest.mark.usefixtures("seen")
def test_an_npu_is_compared_with_the_processors_fp32_and_that_is_said(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "npu")
    assert (plan.backend, plan.precisions) == ("openvino-npu", ("fp32", "fp16", "int8"))
    assert [
        note for note in plan.notes if "the fp32 variant, which all is compared with, runs on the processor" in note
    ]
    with pytest.raises(InputError, match="npu has no fast fp32"):
        plan_of(tmp_path, "npu", precision="fp32")
    with pytest.raises(InputError, match="--device cannot be measured with --target npu"):
        plan_of(tmp_path, "npu", device="orin")


@pytest.mark.parametrize(("name", "plugin"), [("openvino", None), ("openvino-gpu", "GPU"), ("openvino-npu", "NPU")])
def test_a_manifest_names_what_runs_the_chosen_network(name: str, plugin: str | None) -> None:
    target = Target(name="npu", runtime="openvino", runtime_version="1", device="Intel", features=())
    told = _built_for(SimpleNamespace(target=target), Compiled(name, "", "fp16", 0).backend)  # type: ignore[arg-type]
    assert told.plugin == plugin
    assert told.model_dump(exclude_unset=True).get("plugin") == plugin
    assert told.runtime == backend(name).RUNTIME
