"""The stages that a build announces are those that it runs, with small real networks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from classifiers import Graph, balanced, labelled_by, of_any_size, patches

from edgekit.build.course import BUILD, certain
from edgekit.build.pipeline import build
from edgekit.build.runner import PLANNED, Event
from edgekit.build.stage import Stage
from edgekit.build.time_left import TimeLeft
from edgekit.recipe import merged
from edgekit.store import Store

QUICK: dict[str, Any] = {
    "prune": "none",
    "latency": {"runs": 20, "max_seconds": 0.1},
    "calibration": {"images": 16},
    "max_drop": 60.0,
    "preprocessing": {"size": 32, "mean": [0.0], "std": [1.0], "crop_fraction": 1.0},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A network that takes pictures of any size, labelled ones of which it is right, and others to train on."""
    folder, shown = tmp_path_factory.mktemp("course"), patches(64)
    graph = Graph()
    graph.head(graph.convolution(graph.convolution("x", 3, 16), 16, 32), 32)
    network = balanced(graph.save(folder / "net.onnx"), shown)
    data, train = (
        labelled_by(network, shown, folder / "data"),
        labelled_by(network, patches(40, seed=3), folder / "train"),
    )
    return str(of_any_size(network, folder / "open.onnx")), str(data), str(train)


def is_in(part: Iterable[str], whole: Iterable[str]) -> bool:
    """Whether names come in the same order in a whole that may hold others between them."""
    there = iter(whole)
    return all(each in there for each in part)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"precision": "fp32"},
        {"target": "jetson-orin-nx"},
        {"calibration": {"images": 16, "seeds": 2}},
        {"prune": 0.5},
        {"runtime": "auto"},
        {"sizes": [24, [20, 28]]},
        {"sizes": [24, [20, 28]], "prune": 0.5, "pruning": {"train_data": "TRAIN", "images": 32}},
        {"precision": "mixed", "tuning": {"minutes": 0.05}},
        {"runtime": "onnxruntime", "latency_budget_ms": 50.0},
    ],
    ids=lambda told: "-".join(map(str, told)) or "plain",
)
def test_a_build_runs_what_it_announces(small: tuple[str, str, str], told: dict[str, Any], tmp_path: Path) -> None:
    model, data, train = small
    told = json.loads(json.dumps(told).replace("TRAIN", train))
    recipe = merged({**QUICK, "model": model, "data": data}, told)
    events: list[Event] = []
    build(recipe, tmp_path / "bundle", Store(tmp_path / "store"), events.append)
    place = next(place for place, each in enumerate(events) if each.stage == PLANNED)
    ahead = events[place].ahead
    assert ahead is not None
    ran = [each.stage for each in events[place + 1 :] if each.finished]
    assert is_in(certain(ahead), ran)
    assert is_in(ran, [each.stage for each in ahead])


def test_a_second_build_says_how_long_it_takes_by_the_first(small: tuple[str, str, str], tmp_path: Path) -> None:
    model, data, _ = small
    store, recipe = Store(tmp_path / "store"), merged({**QUICK, "model": model, "data": data}, {})
    events: list[Event] = []
    build(recipe, tmp_path / "one", store, events.append)
    assert next(each for each in events if each.ahead)
    first = events[:]
    events.clear()
    build(recipe.model_copy(update={"seed": 1}), tmp_path / "two", store, events.append)
    for told, known in ((first, False), (events, True)):
        ahead = next(each.ahead for each in told if each.ahead)
        assert all(each.seconds is not None for each in ahead if not each.may) == known
    left = TimeLeft()
    left.foresee(next(each.ahead for each in events if each.ahead) or ())
    left.began("export", 0.0)
    assert left.left(1.5) is not None


def test_every_stage_of_a_build_is_in_the_table() -> None:
    import edgekit.build.pipeline as pipeline

    there = {each for step in BUILD for each in step.stages}
    assert {each for each in vars(pipeline).values() if isinstance(each, Stage)} - there <= {pipeline.EXPLAIN}
