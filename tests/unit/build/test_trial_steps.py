"""A trial of a small real network, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from classifiers import Graph, balanced, labelled_by, patches

from edgekit.build import trial
from edgekit.build.plan import planned
from edgekit.build.prune import Origin, choosing
from edgekit.build.runner import Runner
from edgekit.errors import InputError, UnavailableError
from edgekit.prune.choice import ChosenWidths, LatencyFit, LatencyStep
from edgekit.recipe import Recipe, merged
from edgekit.store import Store

SIZE = 32


@dataclass(frozen=True)
class Place:
    """A network that has its pictures right, and a store."""

    network: Path
    table: Path
    store: Store

    def recipe(self, **changed: object) -> Recipe:
        """Of a trial with few images."""
        base = {
            "model": str(self.network),
            "data": str(self.table),
            "images": 48,
            "prune": "none",
            "preprocessing": {"size": SIZE, "mean": 0, "std": 1, "crop_fraction": 1.0},
            "calibration": {"images": 6, "strategy": "random"},
            "latency": {"runs": 10, "max_seconds": 0.1},
        }
        return merged(base, changed)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("trial")
    graph = Graph(size=(SIZE, SIZE), seed=2)
    last = graph.convolution(graph.convolution("x", 3, 16, strides=[2, 2]), 16, 32)
    graph.head(last, 32)
    pictures = patches(60, (SIZE, SIZE))
    network = balanced(graph.save(folder / "net.onnx", [("logits", ("n", 5))]), pictures)
    return Place(network, labelled_by(network, pictures, folder / "eval"), Store(folder / "store"))


def test_all_trials_are_judged_by_the_same_images(place: Place) -> None:
    """However many they calibrate with, and whether they calibrate at all."""
    int8 = trial.opened(place.recipe(), 12, place.store)
    fewer = trial.opened(place.recipe(calibration={"images": 4, "strategy": "stratified"}), 12, place.store)
    fp32 = trial.opened(place.recipe(precision="fp32"), 12, place.store)
    assert int8.evaluation.digest == fewer.evaluation.digest == fp32.evaluation.digest
    assert len(int8.evaluation) == 36
    assert (len(int8.calibration.chosen.items), len(fewer.calibration.chosen.items)) == (6, 4)
    shown = {int8.evaluation.content_hash(place) for place in range(len(int8.evaluation))}
    for each in (int8, fewer):
        assert shown.isdisjoint(item.sha256 for item in each.calibration.chosen.items)


def test_images_that_are_shown_in_parts_are_shown_once_each(place: Place) -> None:
    here = trial.opened(place.recipe(precision="fp32"), 12, place.store)
    assert trial.widths_of(here) is None
    variant = trial.network_of(here, None)
    (made,) = trial.compiled(here, [variant])
    total = len(here.evaluation)
    few, rest = trial.right_of(here, made, 0, 10), trial.right_of(here, made, 10, total)
    assert (len(few), len(rest)) == (10, total - 10)
    assert np.concatenate([few, rest]).all(), "labels are the network's own answers"
    assert (trial.right_of(here, made, 0, total) == np.concatenate([few, rest])).all()


def test_a_second_trial_that_begins_alike_makes_nothing_again(place: Place) -> None:
    for _ in range(2):
        here = trial.opened(place.recipe(), 12, place.store)
        (made,) = trial.compiled(here, [trial.network_of(here, None)])
        trial.right_of(here, made, 0, 5)
    assert [each.name for each in here.run.ran if not each.cached] == []
    assert "answers" in [each.name for each in here.run.ran]


def test_networks_of_two_input_sizes_are_timed_side_by_side(place: Place, tmp_path: Path) -> None:
    here = trial.opened(place.recipe(precision="fp32"), 12, place.store)
    (small,) = trial.compiled(here, [trial.dense_of(here, "fp32", name="small")])
    graph = Graph(size=(96, 96), seed=2)
    graph.head(graph.convolution("x", 3, 16, strides=[2, 2]), 16)
    wide = place.recipe(precision="fp32", preprocessing={"size": 96}).model_copy(
        update={"model": str(graph.save(tmp_path / "wide.onnx"))}
    )
    other = trial.opened(wide, 12, place.store)
    (large,) = trial.compiled(other, [trial.dense_of(other, "fp32", name="large")])
    shapes = [trial.shape_of(each.exported.facts) for each in (here, other)]
    measured = trial.timed(place.recipe(), place.store, [(small, shapes[0]), (large, shapes[1])])
    assert set(measured.latency) == {"small", "large"}
    assert all(each.p50 > 0 and each.throughput_ips > 0 for each in measured.latency.values())


def test_a_share_of_the_latency_is_what_widths_are_chosen_by(place: Place) -> None:
    recipe = place.recipe(prune="auto", pruning={"latency_share": 0.6, "train_data": str(place.table)})
    here = trial.opened(recipe, 12, place.store)
    origin = Origin(here.exported, here.dense, here.calibration, here.evaluation)
    want = choosing(here.plan, here.run, origin, None).want
    assert (want.kind, want.budget_share, want.budget_ms) == ("budget", 0.6, None)
    budget = recipe.model_copy(update={"latency_budget_ms": 2.0})
    plan = planned(budget, place.store)
    assert choosing(plan, Runner(place.store), origin, None).want.budget_ms == 2.0, "a budget in ms says more"


def test_widths_that_do_not_pay_are_not_trained_for_where_nobody_asked(place: Place) -> None:
    def chosen(kept: int, ms: float) -> ChosenWidths:
        fit = LatencyFit("int8", 1.0, None, (LatencyStep(ms, ms),), "", 1)
        return ChosenWidths("ff", 8, kept, (), fit)

    auto = place.recipe(prune="auto", pruning={"train_data": str(place.table)})
    share = place.recipe(prune="auto", pruning={"train_data": str(place.table), "latency_share": 0.6})
    here, asked = (trial.opened(each, 12, place.store) for each in (auto, share))
    assert "no narrower widths" in str(trial.unpruned(here, chosen(8, 1.0)))
    assert "too little to train for" in str(trial.unpruned(here, chosen(6, 0.97)))
    assert trial.unpruned(here, chosen(6, 0.7)) is None
    assert trial.unpruned(asked, chosen(6, 0.97)) is None


def test_what_cannot_be_compared_is_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="nothing here runs jetson"):
        trial.opened(place.recipe(target="jetson-orin-nano"), 12, place.store)
    with pytest.raises(InputError, match="not by --task embed"):
        trial.opened(place.recipe(task="embed"), 12, place.store)
    photos = tmp_path / "photos"
    photos.mkdir()
    for each in sorted(place.table.parent.glob("*.png"))[:20]:
        (photos / each.name).write_bytes(each.read_bytes())
    with pytest.raises(InputError, match="needs labelled images"):
        trial.opened(place.recipe(data=str(photos)), 12, place.store)
