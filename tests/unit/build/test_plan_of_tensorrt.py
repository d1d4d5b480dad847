"""What a build for TensorRT settles before its first stage."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit.build.plan import Plan, planned
from edgekit.build.provenance import engine_settings
from edgekit.errors import InputError
from edgekit.recipe import Recipe
from edgekit.runtime import cuda, engines
from edgekit.runtime.errors import BundleError, MissingError
from edgekit.runtime.settings import Settings
from edgekit.runtime.settings import engine_settings as settings_on_the_device
from edgekit.store import Store
from edgekit.targets import find, release_of


def plan_of(store: Path, target: str, **tensorrt: Any) -> Plan:
    return planned(Recipe.model_validate({"images": 24, "target": target, "tensorrt": tensorrt}), Store(store))


def test_a_dla_is_refused_where_its_tensorrt_drives_none(tmp_path: Path) -> None:
    assert plan_of(tmp_path, "jetson-agx-orin", dla=True).release is not None
    with pytest.raises(InputError, match=r"TensorRT 10\.16 drives no DLA"):
        plan_of(tmp_path, "jetson-agx-orin", dla=True, jetpack="7.2")
    with pytest.raises(InputError, match="jetson-thor has no DLA"):
        plan_of(tmp_path, "jetson-thor", dla=True)


@pytest.mark.parametrize(
    ("target", "jetpack", "told"),
    [
        ("jetson", None, {"typed": True}),
        ("jetson-xavier-nx", None, {"typed": False}),
        ("jetson-nano", "4.6", {"typed": False}),
        ("jetson-thor", "7.2", {"typed": True}),
        ("rtx", None, {"typed": True}),
        ("gpu", None, {"typed": True}),
        ("cpu", None, None),
    ],
)
def test_every_bundle_for_tensorrt_says_whether_its_graph_is_typed(
    target: str, jetpack: str | None, told: dict[str, bool] | None, tmp_path: Path
) -> None:
    plan = plan_of(tmp_path, "jetson")
    release = release_of(find(target), jetpack)
    assert engine_settings(replace(plan, target=find(target), release=release)) == told
    recipe = Recipe.model_validate({"tensorrt": {"workspace_mb": 3}})
    more = engine_settings(replace(plan, recipe=recipe, target=find(target), release=release))
    assert more == (None if told is None else {**told, "workspace_bytes": 3 << 20})
    if told is not None:
        assert settings_on_the_device(more).typed is told["typed"]


@pytest.mark.parametrize(
    ("version", "typed", "why"),
    [
        ("8.5.2.2", True, r"needs TensorRT 10 or later \(JetPack 6\.1 or later\), here is 8\.5\.2\.2"),
        ("11.4.1", False, r"is for TensorRT 8 to 10 \(JetPack 4\.6 to 7\.2\), here is 11\.4\.1"),
        ("8.2.1", False, ""),
        ("10.3.0", False, ""),
        ("10.3.0", True, ""),
        ("11.4.1", True, ""),
    ],
)
def test_a_bundle_for_another_tensorrt_is_refused_before_anything_is_built(
    version: str, typed: bool, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", type("Module", (), {"__version__": version}))
    monkeypatch.setattr(cuda, "_library", lambda: NoGpu())
    with pytest.raises(BundleError) as raised:
        engines.load("tensorrt", str(tmp_path), "int8", Settings(typed=typed))
    assert isinstance(raised.value, MissingError) is (bool(why) and typed)
    assert re.search(why or "no NVIDIA GPU that CUDA can use here", str(raised.value))
    assert "\n" not in str(raised.value)


class NoGpu:
    """CUDA's runtime without a device (cudaErrorNoDevice): it is asked for after the versions were compared."""

    def cudaDeviceGetAttribute(self, *_: object) -> int:
        return 100
