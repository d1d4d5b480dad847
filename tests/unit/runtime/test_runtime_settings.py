"""How an engine is built, as JSON tells it: read by type, and part of what names an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.build.executor import DeviceSettings
from edgekit.runtime.settings import Settings, engine_settings
from edgekit.runtime.tensorrt_engine import engine_path

FACTS = {"gpu": "Orin", "compute_capability": "8.7", "tensorrt": "10.3", "cuda": "12.6", "jetpack": "36.4"}


@given(st.booleans(), st.none() | st.integers(1, 1 << 40), st.none() | st.integers(0, 1))
def test_what_a_host_asks_for_arrives(typed: bool, workspace_bytes: int | None, dla_core: int | None) -> None:
    header = json.loads(json.dumps(DeviceSettings(typed, workspace_bytes, dla_core).as_header()))
    assert engine_settings(header) == Settings(typed=typed, workspace_bytes=workspace_bytes, dla_core=dla_core)


def test_nothing_told_is_nothing_asked_and_other_keys_are_passed_over() -> None:
    assert engine_settings(None) == engine_settings({}) == Settings()
    assert engine_settings({"mode": "throughput", "threads": 3, "calibration_cache": "x"}) == Settings()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (5, "engine_settings"),
        ([], "engine_settings"),
        ({"typed": 1}, "typed"),
        ({"dla_core": "0"}, "dla_core"),
        ({"dla_core": True}, "dla_core"),
        ({"workspace_bytes": -1}, "workspace_bytes"),
        ({"workspace_bytes": 1.5}, "workspace_bytes"),
        ({"batches": 8}, "batches"),
        ({"batches": []}, "batches"),
        ({"batches": [8, 1]}, "batches"),
        ({"batches": [1, 1]}, "batches"),
        ({"batches": [0]}, "batches"),
        ({"batches": [True]}, "batches"),
        ({"batches": [1, 1 << 20]}, "batches"),
    ],
)
def test_what_is_not_of_its_type_is_refused(told: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        engine_settings(told)


def test_engines_are_told_apart_by_what_decides_them(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")

    def path(**asked: Any) -> str:
        return engine_path([str(tmp_path / "model.onnx")], FACTS, "int8", Settings(**asked))

    different = [
        path(),
        path(batches=(1, 8)),
        path(typed=True),
        path(dla_core=0),
        path(dla_core=1),
        path(workspace_bytes=1),
    ]
    assert len(set(different)) == len(different)
    assert path(threads=2, mode="throughput", keep=True) == path()
