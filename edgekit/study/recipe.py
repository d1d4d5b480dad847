"""What is trained against what, as typed data."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgekit.input_recipe import Seed, Width
from edgekit.training.recipe import Stage, TrainingRecipe


class Contestant(BaseModel):
    """A network of a comparison: its registry name, what people call it, and how its residuals are scaled."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    label: str
    model: str
    scale: float | None = Field(default=None, gt=0, description="of residuals; None: the network's own")


class Contest(BaseModel):
    """Networks that see the same pictures in the same order.

    An epoch is `epoch_images` pictures of the rendered signs, drawn once at `size`; the error is that of the running
    average of the weights on `validation_images` others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    title: str
    networks: tuple[Contestant, ...] = Field(min_length=2)
    seeds: tuple[Seed, ...] = (1, 2, 3)
    width: Width = 0.25
    size: int = Field(default=107, ge=75, le=1024, description="pixels")
    epochs: int = Field(default=30, gt=0)
    epoch_images: int = Field(default=2400, gt=0)
    validation_images: int = Field(default=1200, gt=0)
    batch: int = Field(default=32, gt=1, le=1_000_000)
    levels: tuple[float, ...] = Field(default=(), description="top-1 errors, percent, to be reached")

    @property
    def steps_per_epoch(self) -> int:
        return self.epoch_images // self.batch

    @model_validator(mode="after")
    def _is_logged_every_epoch(self) -> Contest:
        if self.steps_per_epoch < 10:
            raise ValueError("an epoch must have ten steps or more: the training log has a line every ten")
        return self


class StudyRecipe(BaseModel):
    """Contests and the training protocol that they share; the protocol's model, width, seed and stages are set here."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    training: TrainingRecipe = TrainingRecipe()
    contests: tuple[Contest, ...] = Field(min_length=1)

    def training_of(self, contest: Contest, network: Contestant, seed: int) -> TrainingRecipe:
        """The training recipe of one run."""
        images = contest.epochs * contest.steps_per_epoch * contest.batch
        stage = Stage(size=contest.size, images=images, batch=contest.batch)
        told = {"model": network.model, "width": contest.width, "seed": seed, "stages": (stage,)}
        return self.training.model_copy(update=told)
