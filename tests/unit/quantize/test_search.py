"""The budget loop: what it tries in what order, when it ends, and what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError
from edgekit.quantize.candidates import QuantConfig, Score
from edgekit.quantize.search import MOST_FLOATS, better, search


class Scripted:
    """A workshop whose scores are a function of the way; every network takes `cost` seconds."""

    def __init__(
        self, drop: Callable[[QuantConfig], float], cost: float = 1.0, wide: bool = False, float_ops: int = 20
    ) -> None:
        self.drop, self.cost, self.wide, self.float_ops = drop, cost, wide, float_ops
        self.clock, self.ways, self.trained = 0.0, list[QuantConfig](), list[float]()

    def make(self, way: QuantConfig) -> Path:
        if way not in self.ways:
            self.ways.append(way)
        return Path(str(self.ways.index(way)))

    def score(self, graph: Path) -> Score:
        self.clock += self.cost
        way = QuantConfig(trained=True) if graph.name == "trained" else self.ways[int(graph.name)]
        drop = self.drop(way)
        return Score(drop, max(0.0, drop) / 100, 1000)

    def takes_asymmetric(self) -> bool:
        return self.wide

    def outliers(self) -> bool:
        return self.wide

    def ranked(self, graph: Path) -> Sequence[str]:
        self.clock += self.cost
        return [f"n{place}" for place in range(self.float_ops)]

    def train(self, graph: Path, seconds: float) -> Path | None:
        self.clock += seconds
        self.trained.append(seconds)
        return Path("trained")

    def now(self) -> float:
        return self.clock


def test_plain_quantization_within_the_budget_is_all_that_is_made() -> None:
    work = Scripted(lambda way: 0.1)
    found = search(work, 1.0, 100.0, work.now)
    assert (found.ended, found.config, len(found.trials)) == ("within the budget", QuantConfig(), 1)


def test_channels_are_equalised_first_where_some_reach_far() -> None:
    for wide, first in ((True, "equalised channels"), (False, "min-max ranges")):
        work = Scripted(lambda way: 3.0, wide=wide)
        found = search(work, 1.0, 1000.0, work.now)
        assert found.trials[1].config.name == first


def test_activations_stay_symmetric_where_the_target_wants_that() -> None:
    for takes in (True, False):
        work = Scripted(lambda way: 3.0, wide=takes)
        search(work, 1.0, 1000.0, work.now)
        assert any(way.ptq.preset == "mixed" for way in work.ways) == takes


def test_settings_that_help_are_kept_and_built_upon() -> None:
    work = Scripted(lambda way: 4.0 - 2 * way.equalised - 1.8 * (way.ptq.ranges == "histogram"))
    found = search(work, 1.0, 1000.0, work.now)
    assert found.config.equalised
    assert found.config.ptq.ranges == "histogram"
    assert not found.config.float_ops


def test_ranges_and_roundings_of_edgekits_own_are_built_upon_each_other() -> None:
    work = Scripted(lambda way: 4.0 - 2 * way.least_squares - 1.8 * way.rounded)
    found = search(work, 1.0, 1000.0, work.now)
    assert found.config == QuantConfig(least_squares=True, rounded=True)
    assert found.config.name == "least-squares ranges, adaptive rounding"
    assert found.config.made_by_nncf == QuantConfig()


@pytest.mark.parametrize("needed", [1, 2, 3, 7, 8, 13, 20])
def test_no_more_operators_go_back_than_are_needed(needed: int) -> None:
    work = Scripted(lambda way: 5.0 if len(way.float_ops) < needed else 0.2)
    found = search(work, 1.0, 1000.0, work.now)
    assert found.ended == "within the budget"
    assert found.config.float_ops == tuple(f"n{place}" for place in range(needed))


def test_training_comes_last_and_from_a_network_all_in_int8() -> None:
    work = Scripted(lambda way: 0.1 if way.trained else 5.0 - 0.1 * len(way.float_ops))
    found = search(work, 1.0, 200.0, work.now, trains=True)
    assert found.config.trained
    assert not found.config.float_ops
    assert len(work.trained) == 1
    assert work.clock <= 200.0 + work.cost


def test_what_cannot_be_made_is_told_and_passed_over() -> None:
    def drop(way: QuantConfig) -> float:
        if way.ptq.ranges == "histogram" or way.trained:
            raise EdgekitError("there is no such thing")
        return 3.0 - way.equalised - len(way.float_ops)

    work = Scripted(drop)
    found = search(work, 1.0, 1000.0, work.now, trains=True)
    assert found.config.equalised
    assert (found.failed[0][0].name, found.failed[0][1]) == ("histogram ranges", "there is no such thing")
    broken = Scripted(lambda way: drop(QuantConfig(trained=True)))
    with pytest.raises(EdgekitError):
        search(broken, 1.0, 1000.0, broken.now)


def test_an_interruption_leaves_the_best_so_far() -> None:
    def drop(way: QuantConfig) -> float:
        if way.equalised:
            raise KeyboardInterrupt
        return 3.0

    work = Scripted(drop)
    found = search(work, 1.0, 1000.0, work.now)
    assert found.ended == "it was interrupted"
    assert found.trials


def test_an_interruption_before_anything_was_found_is_one() -> None:
    def drop(way: QuantConfig) -> float:
        raise KeyboardInterrupt

    work = Scripted(drop)
    with pytest.raises(KeyboardInterrupt):
        search(work, 1.0, 1000.0, work.now)


@given(
    seconds=st.floats(5, 300),
    cost=st.floats(0.5, 40),
    reach=st.floats(0, 8),
    each=st.floats(0, 0.5),
    trains=st.booleans(),
    wide=st.booleans(),
    float_ops=st.integers(0, 60),
)
def test_it_takes_its_time_and_one_evaluation_at_most(
    seconds: float, cost: float, reach: float, each: float, trains: bool, wide: bool, float_ops: int
) -> None:
    work = Scripted(lambda way: reach - each * len(way.float_ops) - way.trained, cost, wide, float_ops)
    found = search(work, 1.0, seconds, work.now, trains)
    assert work.clock <= max(seconds, cost) + 2 * cost + 1e-6
    assert len(found.config.float_ops) <= MOST_FLOATS
    best = next(trial.score for trial in found.trials if trial.config == found.config)
    assert best.drop <= 0.5 or not any(better(trial.score, best) for trial in found.trials)
    again = Scripted(lambda way: reach - each * len(way.float_ops) - way.trained, cost, wide, float_ops)
    assert search(again, 1.0, seconds, again.now, trains).trials == found.trials
