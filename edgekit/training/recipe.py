"""The training recipe: optimiser, schedule and the stages of growing resolution, as typed data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edgekit.input_recipe import ImageSize, Seed, Width
from edgekit.size import Size


class Stage(BaseModel):
    """A stretch of training at one resolution: `images` pictures of `size` (height, width), `batch` a step.

    `at_once` go through the network together, all of a step if it is not told: less memory, and the same gradients
    unless batch norms take statistics. Each picture that is drawn is trained on `echo` times (edgekit.training.echo).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    size: ImageSize
    images: int = Field(gt=0)
    batch: int = Field(gt=1, le=1_000_000)
    at_once: int | None = Field(default=None, gt=0)
    echo: int = Field(default=1, gt=0)

    @field_validator("size")
    @classmethod
    def _is_large_enough(cls, size: Size) -> Size:
        if min(size) < 8:
            raise ValueError("a side has 8 pixels or more")
        return size

    @model_validator(mode="after")
    def _draws_pictures(self) -> Stage:
        if self.echo > self.batch:
            raise ValueError(f"each picture {self.echo} times: a step has {self.batch} only")
        return self

    @property
    def steps(self) -> int:
        return max(1, self.images // self.batch)

    @property
    def pixels(self) -> int:
        """Of one picture."""
        return self.size[0] * self.size[1]


class TrainingRecipe(BaseModel):
    """How a network is trained; the defaults are the paper's (section 4 of arXiv 1602.07261)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = "inception_v4"
    width: Width = 1.0
    data: str = "signs"
    crops: float = Field(default=0.0, ge=0, le=1, description="signs: part of the pictures that are random crops")
    seed: Seed = 0
    optimizer: Literal["rmsprop", "adamw", "muon"] = "rmsprop"
    learning_rate: float = Field(default=0.045, gt=0, description="muon: of the convolutions")
    plain_learning_rate: float = Field(
        default=0.002, gt=0, description="muon: AdamW's, for everything but convolutions"
    )
    schedule: Literal["exponential", "one-cycle"] = "exponential"
    decay_rate: float = Field(default=0.94, gt=0, le=1, description="exponential: factor every `decay_epochs`")
    decay_epochs: float = Field(default=2.0, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1, description="one-cycle: share of the steps that warm up")
    weight_decay: float = Field(default=4e-5, ge=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: float | None = Field(default=None, gt=0, description="of all gradients together")
    clip_tensor_norm: float | None = Field(default=None, gt=0, description="of each tensor's gradient, as slim clips")
    dropout: float = Field(default=0.2, ge=0, lt=1)
    ema: float = Field(default=0.9999, ge=0, lt=1, description="decay of the running average of the weights, a step")
    auxiliary: tuple[str, ...] = Field(default=(), description="modules that get a classifier of their own in training")
    auxiliary_weight: float = Field(default=0.3, ge=0, description="of those losses, falling to 0 over the run")
    bf16: bool = Field(default=True, description="where the hardware has it; elsewhere float32 is faster")
    stages: tuple[Stage, ...] = (Stage(size=(299, 299), images=9_600_000, batch=32),)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return sum(stage.steps for stage in self.stages)

    def images_at(self, step: int) -> int:
        """Images that were trained on before a step."""
        seen = 0
        for stage in self.stages:
            seen += min(step, stage.steps) * stage.batch
            step = max(0, step - stage.steps)
        return seen


def imitating(model: str, data: str, seed: int, stages: tuple[Stage, ...], **optimizer: Any) -> TrainingRecipe:
    """The recipe of a short run towards the answers of another network: no dropout, which they do not have either.

    Args:
        optimizer: which one, its rates and its weight decay, as fields of the recipe.
    """
    return TrainingRecipe(
        model=model,
        data=data,
        seed=seed,
        schedule="one-cycle",
        warmup=0.05,
        clip_norm=2.0,
        dropout=0.0,
        ema=0.99,
        stages=stages,
        **optimizer,
    )
