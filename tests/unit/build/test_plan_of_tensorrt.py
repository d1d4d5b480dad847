"""What a build for TensorRT settles before its first stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.build.plan import Plan, planned
from edgekit.errors import InputError
from edgekit.recipe import Recipe
from edgekit.store import Store


def plan_of(store: Path, target: str, **tensorrt: Any) -> Plan:
    return planned(Recipe.model_validate({"images": 24, "target": target, "tensorrt": tensorrt}), Store(store))


def test_a_dla_is_refused_where_its_tensorrt_drives_none(tmp_path: Path) -> None:
    assert plan_of(tmp_path, "jetson-agx-orin", dla=True).release is not None
    with pytest.raises(InputError, match=r"TensorRT 10\.16 drives no DLA"):
        plan_of(tmp_path, "jetson-agx-orin", dla=True, jetpack="7.2")
    with pytest.raises(InputError, match="jetson-thor has no DLA"):
        plan_of(tmp_path, "jetson-thor", dla=True)
