"""Widths that are hardly faster are not trained for, at first or a second time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgekit.build.choose_widths import CHOOSE_WIDTHS, ChooseWidthsInput, WholeNetwork
from edgekit.build.prune import PAYS, _tried
from edgekit.build.recover import RECOVER
from edgekit.prune.choice import ChosenWidths, LatencyFit, LatencyStep, Want
from edgekit.prune.recovery import Recovery, Tuned
from edgekit.recipe import Recipe


def chosen(share: float, kept: int = 50, dense_ms: float = 10.0) -> ChosenWidths:
    fit = LatencyFit("int8", dense_ms, None, (LatencyStep(8.0, share * dense_ms),), "a table", 3)
    return ChosenWidths("ff", 100, kept, (), fit)


@dataclass
class Stages:
    """A runner that gives these choices in turn, and recoveries that lose so many points."""

    choices: list[ChosenWidths]
    lost: list[float]
    wants: list[Want] = field(default_factory=list)
    trained: int = 0
    warnings: list[str] = field(default_factory=list)

    def __call__(self, stage: Any, given: Any) -> Any:
        if stage is CHOOSE_WIDTHS:
            self.wants.append(given.want)
            return self.choices[len(self.wants) - 1]
        assert stage is RECOVER
        self.trained += 1
        tuned = Tuned(800, 97.0, 10.0, 40.0, 97.0 - self.lost[self.trained - 1])
        recovery = Recovery("distillation", 3200, 100, 60.0, 320, tuned, None)
        return SimpleNamespace(recovery=recovery)

    def warn(self, *lines: str) -> None:
        self.warnings += lines


def tried(stages: Stages) -> Any:
    recipe = Recipe(model="inception_v4")
    source = SimpleNamespace(preprocessing=None)
    plan: Any = SimpleNamespace(recipe=recipe, source=source)
    choosing = ChooseWidthsInput(
        source,
        None,
        "int8",
        Want("knee"),
        None,
        "fisher",
        8,
        None,
        False,
        0,
        None,
        None,  # type: ignore[arg-type]
    )
    return _tried(plan, stages, None, choosing, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "trained"), [(PAYS + 0.01, 0), (1.2, 0), (PAYS - 0.01, 1), (0.5, 1)])
def test_widths_that_are_hardly_faster_are_not_trained_for(share: float, trained: int) -> None:
    stages = Stages([chosen(share)], [0.0])
    made = tried(stages)
    assert stages.trained == trained
    assert (made.reason is None) is bool(trained)
    if not trained:
        assert f"{10 * share:.2f} of 10.00 ms" in made.reason
        assert made.hint


@pytest.mark.parametrize("second", [chosen(0.98), chosen(1.0, kept=100), chosen(1.1, dense_ms=14.0)])
def test_a_second_choice_that_is_hardly_faster_is_not_trained_for(second: ChosenWidths) -> None:
    stages = Stages([chosen(0.8), second], [5.0, 0.0])
    made = tried(stages)
    assert (stages.trained, made.attempts, made.chosen) == (1, 1, stages.choices[0])
    assert "the first attempt stays" in stages.warnings[-1]


def test_a_second_choice_lies_half_way_as_a_part_of_the_unpruned_networks_latency() -> None:
    stages = Stages([chosen(0.6), chosen(0.8, dense_ms=17.0)], [5.0, 0.5])
    made = tried(stages)
    assert stages.wants[1].budget_share == pytest.approx(0.8)
    assert stages.wants[1].budget_ms is None
    assert stages.wants[1].known == pytest.approx((0.8, 0.6)), "it begins with what the first one took"
    assert (stages.trained, made.attempts) == (2, 2)


@pytest.mark.parametrize(("lost", "stays"), [(21.0, 0), (5.0, 0), (4.0, 1), (0.2, 1)])
def test_a_second_attempt_that_won_back_no_more_is_given_up(lost: float, stays: int) -> None:
    """It has fewer minutes than the first one: on a slow machine too few."""
    stages = Stages([chosen(0.6), chosen(0.8)], [5.0, lost])
    made = tried(stages)
    assert (made.attempts, made.chosen) == (2, stages.choices[stays])
    assert made.recovered.recovery.tuning.recovered_top1 == 97.0 - min(5.0, lost)
    assert ("which stays" in stages.warnings[-1]) is (stays == 0)


@pytest.mark.parametrize("begun", [True, False], ids=["dense first", "at once"])
def test_a_clock_that_wanders_makes_no_choice_look_better(
    begun: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """All is told in the milliseconds of one clock, so that a budget and what is held against it are."""
    given: Any = SimpleNamespace(graph=SimpleNamespace(path=None))
    whole = WholeNetwork(given, None, None, None, lambda *told: None, tmp_path)  # type: ignore[arg-type]
    clocks = iter([1.3, 1.0, 0.8, 1.3, 0.7, 1.6, 2.5])

    def timed(graphs: Any) -> dict[str, float]:
        clock = next(clocks)
        return {"dense": 10.0 * clock, "pruned": 6.0 * clock}

    monkeypatch.setattr(whole, "_timed", timed)
    monkeypatch.setattr(whole, "_cut", lambda *told: None)
    monkeypatch.setattr(whole, "_prepared", lambda *told: None)
    monkeypatch.setattr("edgekit.prune.select.keep_best", lambda *told: None)
    at_first = whole.dense_ms if begun else 13.0
    for _ in range(3):
        took: float = whole.measure(SimpleNamespace(widths={}, removed=()))  # type: ignore[arg-type]
        assert took == pytest.approx(0.6 * at_first)
        assert whole.dense_ms == at_first
    assert at_first == (10.0 if begun else 13.0), "the median of several looks"
