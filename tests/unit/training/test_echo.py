"""Which pictures of a step are drawn, and which come again: each as often as is said, with others than before."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.training.batches import batches
from edgekit.training.ceiling import Ceiling, PaceWatch, Stopwatch
from edgekit.training.checkpoint import Course
from edgekit.training.echo import LAG, SPREAD, Echo
from edgekit.training.recipe import Stage, TrainingRecipe
from edgekit.training.schedule import Schedule


@given(batch=st.integers(2, 40), echo=st.integers(1, 8), steps=st.integers(1, 120))
def test_steps_are_full_and_pictures_come_again_as_often_as_is_said(batch: int, echo: int, steps: int) -> None:
    made = Echo(Stage(size=(32, 32), images=steps * batch, batch=batch, echo=min(echo, batch)))
    echo = made.stage.echo
    uses: Counter[tuple[int, int]] = Counter()
    for step in range(steps):
        again = made.again(step)
        assert made.drawn(step) + len(again) == batch
        assert len(set(again)) == len(again)
        for row in again:
            assert step - made.memory < row.step <= step - LAG
            assert 0 <= row.place < made.fresh <= made.drawn(row.step)
            uses[row.step, row.place] += 1
    assert made.drawn_before(steps) == sum(map(made.drawn, range(steps)))
    if made.fresh * echo <= batch:
        early = [uses[step, place] for step in range(steps - made.memory) for place in range(made.fresh)]
        assert all(count == echo - 1 for count in early)


def test_pictures_of_a_step_are_not_together_again() -> None:
    echo = Echo(Stage(size=(32, 32), images=32, batch=32, echo=4))
    together = Counter(row.step for row in echo.again(100))
    assert echo.drawn(100) == 8
    assert max(together.values()) == 8 // SPREAD


@dataclass(frozen=True)
class Numbered:
    """Pictures that hold their own number, and count how often they were drawn."""

    count: int = 1000
    drawn: Counter[int] = field(default_factory=Counter)

    def training_image(self, index: int, size: tuple[int, int], seed: int) -> tuple[np.ndarray, int]:
        self.drawn[index] += 1
        return np.full((*size, 3), index % 251, np.uint8), index


@pytest.mark.parametrize("killed_at", [0, 1, 7, 16, 23])
def test_a_picture_is_drawn_and_taught_once_and_comes_with_its_own_label_and_answer(killed_at: int) -> None:
    stages = ({"size": 8, "images": 192, "batch": 8, "echo": 4}, {"size": 9, "images": 64, "batch": 8, "echo": 2})
    schedule = Schedule.planned(TrainingRecipe.model_validate({"stages": stages}))

    def course(done: int) -> Course:
        return Course(schedule, 1, "fp32", done=done, stop=schedule.total)

    def run(at: Course) -> tuple[list[tuple[int, list[int]]], Numbered, int]:
        images, taught, seen = Numbered(), 0, []

        def teach(pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
            nonlocal taught
            taught += len(pictures)
            return (pictures[:, 0, 0, :1].float() * 2,)

        for batch in batches(images, at, 3, 0, teach):
            assert batch.pictures.shape[0] == len(batch.labels) == len(batch.taught[0]) == 8
            assert torch.equal(batch.pictures[:, 0, 0, 0].long(), batch.labels % 251)
            assert torch.equal(batch.taught[0][:, 0], batch.pictures[:, 0, 0, 0].float() * 2)
            seen.append((batch.place, batch.labels.tolist()))
            at.done += 1
        return seen, images, taught

    whole, images, taught = run(course(0))
    assert [place for place, _ in whole] == [0] * 24 + [1] * 8
    assert set(images.drawn.values()) == {1}
    assert taught == sum(images.drawn.values()) < 256
    assert max(Counter(label for _, labels in whole for label in labels).values()) == 4
    again, _, _ = run(course(killed_at))
    assert again == whole[killed_at:]


def test_steps_that_draw_more_do_not_look_slow() -> None:
    stage, now = Stage(size=(32, 32), images=3200, batch=32, echo=4), 0.0
    watch = PaceWatch((stage,), Ceiling(100.0, Stopwatch(clock=lambda: now), (1.0,), (0.1,)))
    schedule = Schedule.planned(TrainingRecipe(stages=(stage,)))
    watch.begin()
    echo = Echo(stage)
    for step in range(6):
        now += 1.0 + 0.1 * (echo.drawn(step) - echo.fresh)
        watch.step(0, echo.drawn(step))
    assert watch.seconds_left(schedule, 6) == pytest.approx(94.0)
