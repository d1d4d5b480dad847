"""What the runs of a study left, typed as study.json has it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from edgekit.study.recipe import Contest
from edgekit.training.recipe import TrainingRecipe


@dataclass(frozen=True)
class EpochResult:
    """A network after an epoch.

    Attributes:
        error: top-1 error of the running average on the validation pictures, percent.
        loss: mean training loss of the epoch; None when it was not finite.
        dead: percent of the features before the classifier that are zero for every validation picture.
        feature_rms: root mean square of those features; None when it was not finite.
    """

    epoch: int
    error: float
    loss: float | None
    dead: float
    feature_rms: float | None


class RunOutcome(BaseModel):
    """The epochs of one network with one seed, as far as it got."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    label: str
    seed: int
    epochs: tuple[EpochResult, ...]


class ContestOutcome(Contest):
    """A contest and its runs."""

    runs: tuple[RunOutcome, ...]


class StudyOutcome(BaseModel):
    """The protocol of training, and every contest with its runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    training: TrainingRecipe
    contests: tuple[ContestOutcome, ...]
