"""What a training run did, exactly enough to do it again: the same weights on the same kind of machine."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.training.recipe import TrainingRecipe
from edgekit.training.schedule import Schedule, Span

NumberFormat = Literal["bf16", "fp32"]


class TrainingRecord(BaseModel):
    """A run as it was, in plain values.

    Attributes:
        recipe: seed, optimiser, rates, decay, clipping, running average, and the stages as they were run.
        spans: how far the run was at each step: see edgekit.training.schedule. More than one: it was cut on its way.
        rates: what the learning rates were multiplied by at each step.
        threads: that torch computed with; number_format: of convolutions and linear layers.
        parts: of a batch that went through side by side, each with so many threads.
        teacher: what ran the network whose answers were learned: "torch" or "openvino".
        labelled: whether labels were learned from, beside the answers of another network if there was one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: TrainingRecipe
    spans: tuple[Span, ...] = Field(min_length=1)
    rates: tuple[float, ...] = Field(min_length=1)
    threads: int = Field(gt=0)
    number_format: NumberFormat
    parts: int = Field(default=1, gt=0)
    teacher: Literal["torch", "openvino"] = "torch"
    labelled: bool

    @model_validator(mode="after")
    def _has_a_rate_for_each_step(self) -> TrainingRecord:
        if len(self.rates) != self.recipe.steps:
            raise ValueError(f"{len(self.rates)} rates for {self.recipe.steps} steps")
        if self.spans[0].step != 0:
            raise ValueError("the first span does not begin at step 0")
        return self

    @property
    def schedule(self) -> Schedule:
        """The steps of the run."""
        return Schedule(self.recipe.stages, tuple(stage.steps for stage in self.recipe.stages), self.spans)

    @property
    def images(self) -> int:
        """Images that were trained on."""
        return self.recipe.images_at(self.recipe.steps)
