"""What recipes, files and machines lead to as inputs of stages: things that keys once forgot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgekit.build import code, prune
from edgekit.build.calibrate import CALIBRATE, CalibrateInput, Choice, Features
from edgekit.build.compile import COMPILE, compile_input
from edgekit.build.export import EXPORT, Exported, ExportInput
from edgekit.build.plan import Plan, planned
from edgekit.build.runner import Runner
from edgekit.build.stage import File
from edgekit.build.variant import Variant
from edgekit.data.image_set import Selection
from edgekit.data.preprocessing import Preprocessing
from edgekit.data.signs_set import SignsSet
from edgekit.errors import InputError
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import resolve
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.store.keys import canonical
from edgekit.targets import this_machine

FACTS = GraphFacts("NCHW", 32, 32, 4, 1, 1)


def key_of(model: object, **settings: Any) -> str:
    """The key of the exported graph."""
    source = resolve(Recipe.model_validate({"model": str(model), "preprocessing": {"size": 32}, **settings}))
    return EXPORT.key(ExportInput(source, source.preprocessing.size))


def plan_of(store: Path, **settings: Any) -> Plan:
    return planned(Recipe.model_validate({"images": 24, **settings}), Store(store))


def test_external_data_is_part_of_an_onnx_file(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(
        onnx.load(str(tiny_onnx())), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    before = key_of(path)
    assert key_of(path) == before
    weights = np.fromfile(tmp_path / "weights.bin", np.float32)
    (weights * 5).tofile(tmp_path / "weights.bin")
    assert key_of(path) != before


def test_where_a_file_lies_decides_nothing(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    first = tiny_onnx()
    other = tmp_path / "other.onnx"
    other.write_bytes(first.read_bytes())
    assert key_of(first) == key_of(other)


FACTORY = """
from torch import nn
from {helper} import WIDTH

def make():
    return nn.Sequential(nn.Conv2d(3, WIDTH, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 4))
"""

KEYS = """
import json, sys
from edgekit.build.export import EXPORT, ExportInput
from edgekit.models.source import resolve
from edgekit.recipe import Recipe
recipe = Recipe(model=sys.argv[1], seed=int(sys.argv[2]))
source = resolve(recipe)
print(json.dumps([EXPORT.key(ExportInput(source, (32, 32))), "torch" in sys.modules]))
"""


def test_a_factory_is_all_that_it_loads_of_the_users_code(tmp_path: Path, own_store: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "__init__.py").write_text("")
    (tmp_path / "nets" / "made.py").write_text(FACTORY.format(helper="nets.sizes"))
    (tmp_path / "nets" / "sizes.py").write_text("WIDTH = 8\n")

    def key(seed: int = 0) -> tuple[str, bool]:
        command = [sys.executable, "-c", KEYS, "nets.made:make", str(seed)]
        path = os.pathsep.join([str(tmp_path), *(each for each in sys.path if each)])
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
        )
        found, heavy = json.loads(done.stdout)
        return found, heavy

    before, _ = key()
    assert key() == (before, False), "known again without importing anything"
    assert key(seed=1)[0] != before, "its weights come from the seed"
    (tmp_path / "nets" / "sizes.py").write_text("WIDTH = 16\n")
    after, _ = key()
    assert after != before
    (tmp_path / "nets" / "sizes.py").write_text("WIDTH = 8\n")
    assert key()[0] == before


def test_what_a_factory_raises_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_net.py").write_text("raise RuntimeError('no weights today')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="broken_net cannot be imported: RuntimeError: no weights today"):
        resolve(Recipe(model="broken_net:make"))


def test_the_seed_decides_only_what_is_random() -> None:
    assert key_of("inception_v4", seed=1) == key_of("inception_v4", seed=2)
    random = {"weights": "random", "width": 0.25}
    assert key_of("inception_v4", seed=1, **random) != key_of("inception_v4", seed=2, **random)


def test_one_compute_capability_is_not_one_target(tmp_path: Path) -> None:
    """A Jetson's bundle has no engine: what was compiled for it must not be taken for one of RTX's."""
    same = {"precision": "fp16", "prune": "none", "tensorrt": {"compute_capabilities": ["8.7"]}}
    graph = File(tmp_path / "fp16.onnx", "1")
    keys = set()
    for target in ("jetson", "rtx"):
        if target == "rtx" and not _has_rtx():
            pytest.skip("TensorRT for RTX is not installed")
        plan = plan_of(tmp_path / "store", target=target, **same)
        variant = Variant("fp16", "fp16", plan.backend, graph, FACTS, "", "fp32")
        keys.add(COMPILE.key(compile_input(plan, [variant])))
    assert len(keys) == 2


def _has_rtx() -> bool:
    from edgekit.backends import backend

    return backend("tensorrt-rtx").available() is not None


def test_files_beside_a_graph_are_compiled_with_it(tmp_path: Path) -> None:
    plan = plan_of(tmp_path / "store", target="jetson", prune="none")
    graph = File(tmp_path / "int8.onnx", "1")
    keys = {
        COMPILE.key(
            compile_input(plan, [Variant("int8", "int8", plan.backend, graph, FACTS, "", "fp32", beside=beside)])
        )
        for beside in ((), (File(tmp_path / "model.dla.cache", "2"),), (File(tmp_path / "model.dla.cache", "3"),))
    }
    assert len(keys) == 3


MACHINE = """
import json
from edgekit.store.keys import canonical
from edgekit.targets import this_machine
print(json.dumps(canonical(this_machine())))
"""


def machine(one_core: bool = False, **environment: str) -> str:
    command = [sys.executable, "-c", MACHINE]
    first = sorted(os.sched_getaffinity(0))[0]
    return subprocess.run(
        ["taskset", "-c", str(first), *command] if one_core else command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_cores_and_thread_settings_are_of_the_machine() -> None:
    whole = machine()
    assert machine() == whole
    assert machine(OMP_NUM_THREADS="1") != whole
    assert machine(ONEDNN_MAX_CPU_ISA="AVX2") != whole
    assert machine(OMP_WAIT_POLICY="ACTIVE") != whole
    assert machine(OMP_WAIT_POLICY="passive") == whole, "what edgekit sets by itself says nothing of a machine"
    if len(os.sched_getaffinity(0)) > 1:
        assert machine(one_core=True) != whole


def test_what_the_coverage_choice_sees_decides_it() -> None:
    def key(strategy: str, how: Preprocessing) -> str:
        features = Features(File(Path("a"), "1"), how) if strategy == "coverage" else None
        choice = Choice(SignsSet("calibration", 48), "signs", 24, strategy, 0, features)
        return CALIBRATE.key(CalibrateInput(None, choice))

    usual = Preprocessing(32)
    for how in (Preprocessing(32, mean=(0.4, 0.5, 0.5)), Preprocessing(32, std=(1, 1, 1)), Preprocessing(32, 1.0),
                Preprocessing(32, color="bgr")):  # fmt: skip
        assert key("coverage", how) != key("coverage", usual)


def test_layer_tables_are_of_one_machine_and_one_way_to_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, run = plan_of(tmp_path / "store", prune="none"), Runner(Store(tmp_path / "store"))
    before = prune._table(plan, run, "int8")
    assert prune._table(plan, run, "int8") == before != prune._table(plan, run, "fp32")
    monkeypatch.setattr(prune, "source_digest", lambda module: code.source_digest(module) + " edited")
    assert prune._table(plan, run, "int8") != before
    monkeypatch.undo()
    few = type(this_machine())("another", "x86_64", (), 1)
    monkeypatch.setattr(prune, "this_machine", lambda: few)
    assert prune._table(plan, run, "int8") != before


def test_a_selection_is_told_by_its_images() -> None:
    pool = SignsSet("calibration", 24)
    assert canonical(Selection(pool, (1, 2))) == canonical(Selection(SignsSet("calibration", 12), (1, 2)))
    assert canonical(Selection(pool, (1, 2))) != canonical(Selection(pool, (2, 1)))


def test_exported_graphs_are_inputs_by_content() -> None:
    one, two = (Exported(File(Path(name), "1"), FACTS) for name in ("a", "b"))
    assert canonical(one) == canonical(two)
