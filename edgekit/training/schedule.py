"""Which steps a run makes, how far it is at each, and what its rates are then; fitted anew where time is short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from edgekit.training.recipe import Stage, TrainingRecipe


class Span(BaseModel):
    """From step `step` on, `steps` steps lead evenly from `progress` (0 to 1) to 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int = Field(ge=0)
    progress: float = Field(ge=0, le=1)
    steps: int = Field(gt=0)


@dataclass(frozen=True)
class Schedule:
    """The steps of a run.

    Attributes:
        stages: as they were planned; steps: how many of each are made, in the same order; 0 where one is left out.
        spans: how progress follows from steps; the first is the plan, each one after it a new fit.
    """

    stages: tuple[Stage, ...]
    steps: tuple[int, ...]
    spans: tuple[Span, ...]

    @classmethod
    def planned(cls, recipe: TrainingRecipe) -> Schedule:
        """The schedule of a recipe, all of it."""
        steps = tuple(stage.steps for stage in recipe.stages)
        return cls(recipe.stages, steps, (Span(step=0, progress=0.0, steps=sum(steps)),))

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return sum(self.steps)

    def progress(self, step: int) -> float:
        """How much of the run is behind it before a step, 0 to 1; exactly 1 after the last one of a whole run."""
        return self._at(self._span(step), step)

    def middle(self, step: int) -> float:
        """Progress in the middle of a step: what its rate follows from."""
        return self._at(self._span(step), step + 0.5)

    def stretch(self, step: int) -> float:
        """How many planned steps' progress a step makes; exactly 1 before the first new fit."""
        span = self._span(step)
        if span is self.spans[0]:
            return 1.0
        return (1 - span.progress) / span.steps * self.spans[0].steps

    def images_at(self, step: int) -> int:
        """Images that were trained on before a step."""
        seen = 0
        for stage, steps in zip(self.stages, self.steps, strict=True):
            seen += max(0, min(step, steps)) * stage.batch
            step -= steps
        return seen

    def stage_at(self, step: int) -> Stage:
        """The stage that a step belongs to."""
        for stage, steps in zip(self.stages, self.steps, strict=True):
            if step < steps:
                return stage
            step -= steps
        return self.stages[-1]

    def to_come(self, done: int) -> tuple[int, ...]:
        """Steps of each stage that are left after `done` steps."""
        left, before = [], 0
        for steps in self.steps:
            left.append(max(0, steps - max(0, done - before)))
            before += steps
        return tuple(left)

    def as_run(self, done: int) -> tuple[Stage, ...]:
        """The stages of the first `done` steps."""
        made = [steps - left for steps, left in zip(self.steps, self.to_come(done), strict=True)]
        pairs = zip(self.stages, made, strict=True)
        return tuple(stage.model_copy(update={"images": steps * stage.batch}) for stage, steps in pairs if steps)

    def _span(self, step: int) -> Span:
        return next((span for span in reversed(self.spans) if span.step <= step), self.spans[0])

    def _at(self, span: Span, place: float) -> float:
        part = min(1.0, (place - span.step) / span.steps)
        return 1.0 if part == 1.0 else span.progress + (1 - span.progress) * part


def rate_factor(recipe: TrainingRecipe, step: int, images_per_epoch: int, schedule: Schedule | None = None) -> float:
    """What the rates are multiplied by at a step: the paper's staircase by epochs, or a cosine after a linear rise.

    The cosine follows the progress of the schedule (that of the recipe by default), the staircase the images seen.
    """
    course = schedule or Schedule.planned(recipe)
    if recipe.schedule == "one-cycle":
        part = course.middle(step)
        if part < recipe.warmup:
            return part / recipe.warmup
        return 0.5 * (1 + math.cos(math.pi * (part - recipe.warmup) / (1 - recipe.warmup)))
    seen = course.images_at(step)
    return float(recipe.decay_rate ** (seen / images_per_epoch // recipe.decay_epochs))


TOLERANCE: Final = 0.05
"""Part of the time that is left by which the rest may miss it without a new fit: a pace is not known more exactly."""

EARLY_TOLERANCE: Final = 0.1
"""Of that more at the beginning, falling to 0: what is cut does not come back, and the pace may."""


def tolerated(progress: float) -> float:
    """Times the time that is left that the rest may take without a new fit."""
    return 1 + TOLERANCE + EARLY_TOLERANCE * (1 - progress)


def fitted(schedule: Schedule, done: int, step_seconds: Sequence[float], left_seconds: float) -> Schedule:
    """The schedule cut to what fits into the time that is left; itself where all of it does.

    Stages that are to come lose the same part of their steps; what is left over by rounding goes to the last ones.
    While any time is left one step is still made.

    Args:
        done: steps behind; step_seconds: what a step of each stage takes now.
    """
    left = schedule.to_come(done)
    needed = sum(count * each for count, each in zip(left, step_seconds, strict=True))
    if sum(left) == 0 or needed <= left_seconds * tolerated(schedule.progress(done)):
        return schedule
    part = max(0.0, left_seconds / needed)
    kept = [int(count * part) for count in left]
    spare = left_seconds - sum(count * each for count, each in zip(kept, step_seconds, strict=True))
    for place in reversed(range(len(kept))):
        if kept[place] < left[place] and step_seconds[place] <= spare:
            kept[place] += 1
            spare -= step_seconds[place]
    if sum(kept) == 0 and left_seconds > 0:
        kept[max(place for place, count in enumerate(left) if count)] = 1
    if sum(kept) == sum(left):
        return schedule
    steps = tuple(whole - count + stay for whole, count, stay in zip(schedule.steps, left, kept, strict=True))
    spans = schedule.spans
    if sum(kept):
        spans = (*spans, Span(step=done, progress=schedule.progress(done), steps=sum(kept)))
    return replace(schedule, steps=steps, spans=spans)
