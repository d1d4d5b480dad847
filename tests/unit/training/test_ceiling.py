"""Under a ceiling what is left of a run is cut to fit, by a clock that the tests hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import InputError
from edgekit.training.ceiling import Ceiling, PaceWatch, Stopwatch, steady
from edgekit.training.recipe import Stage, TrainingRecipe
from edgekit.training.schedule import Schedule, fitted, rate_factor, tolerated


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Ran:
    """A run without any training: the schedule at its end, its seconds, and what each step was told."""

    schedule: Schedule
    seconds: float
    progress: list[float] = field(default_factory=list)
    totals: list[int] = field(default_factory=list)
    cut: str | None = None
    left: float = 0.0


def ran(
    stages: tuple[Stage, ...],
    seconds: float,
    step_seconds: tuple[float, ...] | None,
    takes: Callable[[int, int], float],
    before: float = 0.0,
) -> Ran:
    """`takes`: seconds of a step, by the place of its stage and its number."""
    clock = Clock()
    stopwatch = Stopwatch(clock=clock)
    clock.now += before
    schedule, done = Schedule.planned(recipe(stages)), 0
    watch = PaceWatch(stages, Ceiling(seconds, stopwatch, step_seconds))
    run = Ran(schedule, 0.0)
    watch.begin()
    while done < schedule.total:
        place = next(place for place, count in enumerate(schedule.to_come(done)) if count)
        run.progress.append(schedule.progress(done))
        clock.now += takes(place, done)
        done += 1
        watch.step(place)
        after = watch.fit(schedule, done)
        if after is not schedule:
            run.cut, schedule = watch.words(schedule, after, done), after
        run.totals.append(schedule.total)
    run.schedule, run.seconds, run.left = schedule, clock.now, watch.left()
    return run


def recipe(stages: tuple[Stage, ...]) -> TrainingRecipe:
    return TrainingRecipe(schedule="one-cycle", warmup=0.05, stages=stages)


@st.composite
def plans(draw: st.DrawFn) -> tuple[tuple[Stage, ...], tuple[float, ...]]:
    """Stages of growing pictures, and what a step of each takes by plan."""
    count = draw(st.integers(1, 3))
    sizes = sorted(draw(st.lists(st.integers(8, 300), min_size=count, max_size=count)))
    steps = draw(st.lists(st.integers(1, 200), min_size=count, max_size=count))
    stages = tuple(Stage(size=size, images=4 * number, batch=4) for size, number in zip(sizes, steps, strict=True))
    return stages, tuple(draw(st.floats(0.01, 3.0)) for _ in stages)


@given(plan=plans(), slower=st.floats(0.1, 60.0), part=st.floats(0.0, 3.0), is_measured=st.booleans())
def test_at_a_constant_pace_the_ceiling_holds_and_the_cycle_is_ended(
    plan: tuple[tuple[Stage, ...], tuple[float, ...]], slower: float, part: float, is_measured: bool
) -> None:
    stages, step_seconds = plan
    if not is_measured:
        step_seconds = tuple(stage.pixels / 300**2 for stage in stages)
    planned = sum(stage.steps * each for stage, each in zip(stages, step_seconds, strict=True))
    ceiling = part * planned * slower
    run = ran(stages, ceiling, step_seconds if is_measured else None, lambda place, step: slower * step_seconds[place])
    schedule = run.schedule
    assert run.seconds <= max(ceiling, 0.0) * (1 + 1e-9) + slower * max(step_seconds)
    assert all(a < b for a, b in zip(run.progress, run.progress[1:], strict=False))
    assert run.totals == sorted(run.totals, reverse=True)
    assert (run.cut is None) == (schedule.total == sum(stage.steps for stage in stages))
    if part >= 1.01:
        assert run.cut is None
    span = schedule.spans[-1]
    if schedule.total == span.step + span.steps:
        assert schedule.progress(schedule.total) == 1.0
        last = rate_factor(recipe(stages), schedule.total - 1, 1, schedule)
        assert last < 0.01 or span.steps < 10
    else:
        assert run.left <= 0.0  # nothing was left: not one step could end the cycle


@given(
    plan=plans(),
    seconds=st.floats(0.0, 300.0),
    dice=st.randoms(use_true_random=False),
)
def test_at_any_pace_one_step_is_the_most_that_comes_late(
    plan: tuple[tuple[Stage, ...], tuple[float, ...]], seconds: float, dice: object
) -> None:
    stages, step_seconds = plan
    took: list[float] = []

    def takes(place: int, step: int) -> float:
        took.append(step_seconds[place] * 10 ** dice.uniform(-1, 2))  # type: ignore[attr-defined]
        return took[-1]

    run = ran(stages, seconds, step_seconds, takes)
    assert run.seconds <= seconds * (1 + 1e-9) + max(took)
    assert run.totals == sorted(run.totals, reverse=True)
    assert all(0 <= a < b <= 1 for a, b in zip(run.progress, run.progress[1:], strict=False))


@given(plan=plans(), done=st.integers(0, 600), left=st.floats(-5.0, 500.0))
def test_what_is_kept_fits_and_stages_keep_their_shares(
    plan: tuple[tuple[Stage, ...], tuple[float, ...]], done: int, left: float
) -> None:
    stages, step_seconds = plan
    schedule = Schedule.planned(recipe(stages))
    done = min(done, schedule.total)
    before = schedule.to_come(done)
    after = fitted(schedule, done, step_seconds, left)
    kept = after.to_come(done)
    needs = sum(count * each for count, each in zip(kept, step_seconds, strict=True))
    assert after is schedule or needs <= max(left, 0.0) * (1 + 1e-9) or sum(kept) == 1
    assert after is not schedule or needs <= left * tolerated(schedule.progress(done)) or sum(before) <= 1
    assert sum(kept) >= min(1, sum(before)) or left <= 0
    assert after.progress(done) == schedule.progress(done) or sum(kept) == 0 or done == 0
    parts = [stay / count for stay, count in zip(kept, before, strict=True) if count]
    slack = max((2 / count for count in before if count), default=0.0)
    assert not parts or max(parts) - min(parts) <= slack
    assert after.images_at(after.total) == sum(stage.images for stage in after.as_run(after.total))


def test_what_was_cut_is_said_in_words() -> None:
    stages = (Stage(size=100, images=12_800, batch=32),)
    run = ran(stages, 12_800 / 78, (32 / 78,), lambda place, step: 32 / 31)
    assert run.schedule.images_at(run.schedule.total) == 5_056
    assert run.cut == "cut from 12,800 to 5,056 images: training went at 31 images/s where 78 were planned"
    unplanned = ran(stages, 100.0, None, lambda place, step: 32 / 3.2)
    assert unplanned.cut == "cut from 12,800 to 320 images: training went at 3.2 images/s, and there were 100 s for it"


def test_a_run_that_becomes_faster_again_gets_nothing_back() -> None:
    stages = (Stage(size=100, images=4_000, batch=4),)
    run = ran(stages, 1000.0, (1.0,), lambda place, step: 10.0 if 100 <= step < 110 else 1.0)
    assert run.schedule.total < 600
    assert run.seconds < 800


def test_one_slow_step_cuts_no_more_than_it_took() -> None:
    stages = (Stage(size=100, images=400, batch=4),)
    run = ran(stages, 110.0, (1.0,), lambda place, step: 20.0 if step == 50 else 1.0)
    assert run.schedule.total == 91
    assert run.seconds == 110.0
    assert run.cut == "cut from 400 to 364 images: 40 s were left where what was planned would take 49"


def test_the_running_average_and_the_rates_follow_the_new_progress() -> None:
    stages = (Stage(size=100, images=400, batch=4),)
    schedule = Schedule.planned(recipe(stages))
    after = fitted(schedule, 40, (1.0,), 20.0)
    assert (after.total, after.progress(40), after.progress(50), after.progress(60)) == (60, 0.4, 0.7, 1.0)
    assert (after.stretch(39), after.stretch(40)) == (1.0, pytest.approx(3.0))
    again = fitted(after, 50, (2.0,), 10.0)
    assert (again.total, again.progress(50), again.stretch(54)) == (55, 0.7, pytest.approx(6.0))
    assert [rate_factor(recipe(stages), step, 1, again) for step in range(40)] == [
        rate_factor(recipe(stages), step, 1) for step in range(40)
    ]


def test_the_pace_leaves_out_the_slowest_step() -> None:
    assert steady([2.0]) == 2.0
    assert steady([1.0, 9.0]) == 1.0
    assert steady([1.0, 9.0, 2.0]) == 1.5


def test_seconds_before_a_kill_count(tmp_path: Path) -> None:
    clock = Clock(1000.0)
    first = Stopwatch(tmp_path / "new" / "spent.json", clock)
    clock.now += 30.0
    first.keep()
    clock.now += 500.0  # killed, and begun again later
    second = Stopwatch(tmp_path / "new" / "spent.json", clock)
    clock.now += 5.0
    assert second.seconds() == 35.0
    (tmp_path / "new" / "spent.json").write_text("3", encoding="utf-8")
    assert Stopwatch(tmp_path / "new" / "spent.json", clock).seconds() == 3.0
    (tmp_path / "new" / "spent.json").write_text("[1", encoding="utf-8")
    with pytest.raises(InputError, match=r"spent\.json is damaged"):
        Stopwatch(tmp_path / "new" / "spent.json", clock)


def test_what_comes_after_training_is_left_time_for() -> None:
    stages = (Stage(size=100, images=400, batch=4),)
    clock = Clock()
    watch = PaceWatch(stages, Ceiling(100.0, Stopwatch(clock=clock), (1.0,), after_seconds=10.0))
    assert watch.left(looks_seconds=5.0) == 85.0
    watch.begin()
    for seconds in (30.0, 1.5, 1.5, 1.5):
        clock.now += seconds
        watch.step(0)
    assert watch.left(looks_seconds=5.0) == 85.0 - 34.5
    assert watch.seconds_left(Schedule.planned(recipe(stages)), 10) == 135.0
    clock.now += 1.5
    watch.step(0)
    assert watch.left(looks_seconds=5.0) == 100.0 - 36.0 - 1.5 * 15.0  # all is slower than planned
