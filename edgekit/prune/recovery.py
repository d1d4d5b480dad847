"""What was done to win back accuracy, as it is kept and told; light, so that a cached build reads it without torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from edgekit.training.record import TrainingRecord


@dataclass(frozen=True)
class Tuned:
    """Top-1 percent on the tuning images: before, just pruned, with new statistics, recovered.

    Attributes:
        first_images: of how many of the images the second and the third are, which decide nothing.
    """

    images: int
    dense_top1: float
    pruned_top1: float
    reestimated_top1: float | None
    recovered_top1: float | None
    first_images: int | None = None


@dataclass(frozen=True)
class Recovery:
    """What was done to win back accuracy, and what came of it.

    Attributes:
        method: for people.
        images, steps: trained on; seconds: that all of it took, before a kill too.
        batch_norm_images: that the statistics were taken anew with.
        refit_images: that weights were refit on when channels were removed; 0: they were not.
        why: said where nothing, or less than usual, was done.
        cut: what of the plan was left out, and why; None: nothing.
        run: the training, to do it again; None where nothing was trained.
    """

    method: str
    images: int
    steps: int
    seconds: float
    batch_norm_images: int
    tuning: Tuned | None
    why: str | None
    cut: str | None = None
    run: TrainingRecord | None = None
    refit_images: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the training record."""
        return {key: value for key, value in asdict(replace(self, run=None)).items() if key != "run"}


NOTHING: Final = Recovery("none", 0, 0, 0.0, 0, None, "there are no images to train or to take statistics with")
