"""Which runtime a build uses, and the names of variants on several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit.build.decide import variants_of
from edgekit.build.elect import Home
from edgekit.build.export import Exported
from edgekit.build.lock import Lock
from edgekit.build.plan import Plan, planned
from edgekit.build.prune import Pruned
from edgekit.build.quantize import Quantized
from edgekit.build.recover import Recovered
from edgekit.build.sizes import AtSize, Sizes
from edgekit.build.stage import File
from edgekit.build.variant import Variant
from edgekit.errors import InputError
from edgekit.models.graph_facts import GraphFacts
from edgekit.prune.recovery import Recovery
from edgekit.recipe import Recipe
from edgekit.store import Store

GRAPH = File(Path("graph.onnx"), "0" * 64)
FACTS = GraphFacts(1000, 1000, 10, 96, 96, 3)
NOT_TRAINED = Recovery("none", 0, 0, 0.0, 0, None, "nothing was trained")
GRAPHS = Quantized({"fp32": GRAPH, "int8": GRAPH}, None, ())


def plan_of(store: Path, **asked: object) -> Plan:
    return planned(Recipe(model="inception_v4.signs", **asked), Store(store))  # type: ignore[arg-type]


def own_size(plan: Plan) -> Sizes:
    """No other input sizes."""
    return Sizes((), AtSize(plan, Exported(GRAPH, FACTS), GRAPHS), ())


def forms(plan: Plan, pruned: bool = False) -> tuple[Variant, ...]:
    narrow, found = None, Pruned("none", "not asked for")
    if pruned:
        narrow = GRAPHS
        recovered = Recovered(Exported(GRAPH, replace(FACTS, params=500)), GRAPH, NOT_TRAINED)
        found = replace(found, reason=None, recovered=recovered)
    homes = [Home(each, GRAPHS, narrow) for each in (plan, *map(plan.on, plan.beside))]
    return variants_of(homes, Exported(GRAPH, FACTS), own_size(plan), found, None)


def test_a_named_runtime_is_alone(tmp_path: Path) -> None:
    for name in ("openvino", "onnxruntime"):
        plan = plan_of(tmp_path, runtime=name)
        assert (plan.backend, plan.beside, plan.suffix) == (name, (), "")


def test_auto_has_all_runtimes_that_are_installed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, runtime="auto")
    assert (plan.backend, plan.beside) == ("openvino", ("onnxruntime",))
    other = plan.on("onnxruntime")
    assert (other.backend, other.beside, other.suffix) == ("onnxruntime", ("openvino",), "@onnxruntime")
    assert other.executor.identity != plan.executor.identity  # type: ignore[union-attr]
    assert "bf16" not in other.precisions
    assert other.on("openvino") == plan


def test_auto_says_that_nothing_can_be_timed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, runtime="auto", target="jetson")
    assert plan.beside == ()
    assert any(note.startswith("--runtime auto: nothing can be timed (no device") for note in plan.notes)


def test_an_unknown_runtime_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no runtime tflite") as refused:
        plan_of(tmp_path, runtime="tflite")
    assert refused.value.hint == "It has: openvino, onnxruntime, auto."


def test_variants_are_named_for_the_runtime_where_it_is_not_the_usual_one(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path, runtime="auto"), precisions=("fp32", "int8"))
    found = {each.name: each for each in forms(plan, pruned=True) if each.precision != "bf16"}
    assert list(found) == [
        "fp32",
        "fp32@onnxruntime",
        "int8",
        "int8@onnxruntime",
        "pruned-int8",
        "pruned-int8@onnxruntime",
    ]
    assert [each.backend for each in found.values()] == ["openvino", "onnxruntime"] * 3
    parents = [None, "fp32", "fp32", "fp32@onnxruntime", "int8", "int8@onnxruntime"]
    assert [each.parent for each in found.values()] == parents
    for place, each in enumerate(found.values()):
        assert each.simpler == tuple(found)[:place]


def test_names_stay_when_the_other_runtime_was_elected(tmp_path: Path) -> None:
    plan = replace(plan_of(tmp_path, runtime="auto"), precisions=("fp32", "int8"))
    elected = plan.on("onnxruntime")
    homes = [Home(replace(each, precisions=("fp32", "int8")), GRAPHS) for each in (elected.on("openvino"), elected)]
    found = variants_of(homes, Exported(GRAPH, FACTS), own_size(plan), Pruned("none", ""), None)
    assert [each.name for each in found] == ["fp32", "fp32@onnxruntime", "int8", "int8@onnxruntime"]


def test_a_lock_without_a_backend_can_be_read(tmp_path: Path) -> None:
    lock = Lock(
        recipe=Recipe(), made_on="a processor", versions={}, weights_sha256=None, calibration=None,
        precisions=("fp32",), chosen="fp32",
    )  # fmt: skip
    told = lock.model_dump()
    del told["backend"]
    assert Lock.model_validate(told) == lock
