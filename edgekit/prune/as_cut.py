"""A pruned network as it was cut, before anything is trained: where it lost little, training has little to win back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from torch import Tensor, nn

from edgekit.data.preprocessing import Preprocessing
from edgekit.prune.images import Tuning, share_right, top1
from edgekit.prune.recovery import Recovery, Tuned

FIRST_IMAGES: Final = 200
"""Tuning images that are looked at before training; what they say of a network is off by a point or two. Fewer decide
nothing.
"""

UNTRAINED: Final = "new statistics"
"""What is told as the way in which accuracy was won back."""

NOT_TRAINED: Final = "nothing was trained"
WORSE: Final = "training made the network worse"

NEAR: Final = 3.0
"""Points: a network that the first images show further off than this is not looked at with all of them."""


@dataclass(frozen=True)
class AsCut:
    """A pruned network before training, and its top-1 percent of the tuning images, looked at when it is asked for.

    Attributes:
        network: as it was cut; renewed: the same with statistics of its own, taken anew.
        dense: gives the logits (N, classes) of the unpruned one, for normalised pictures.
    """

    network: nn.Module
    renewed: nn.Module
    dense: Callable[[Tensor], Tensor]
    tuning: Tuning
    preprocessing: Preprocessing

    @cached_property
    def dense_top1(self) -> float:
        """Of the unpruned network."""
        return share_right(self.dense, self.tuning, self.preprocessing)

    @cached_property
    def first_top1(self) -> float:
        """Of the first images, as it was cut."""
        return top1(self.network, self.tuning.few(FIRST_IMAGES), self.preprocessing)

    @property
    def first_renewed_top1(self) -> float:
        """Of the first images, with new statistics."""
        return self._first_look[0]

    @property
    def look_seconds(self) -> float:
        """What a look with all images takes, by how long that of the first ones took."""
        return self._first_look[1] * len(self.tuning) / min(FIRST_IMAGES, len(self.tuning))

    @property
    def _tells(self) -> bool:
        return len(self.tuning) >= FIRST_IMAGES

    @cached_property
    def _first_look(self) -> tuple[float, float]:
        began = time.monotonic()
        return top1(self.renewed, self.tuning.few(FIRST_IMAGES), self.preprocessing), time.monotonic() - began

    @cached_property
    def renewed_top1(self) -> float:
        """Of all images, with new statistics."""
        return top1(self.renewed, self.tuning, self.preprocessing)

    def reaches(self, wanted: float) -> bool:
        """Whether it has this percentage of all images right, with new statistics, and these are enough to tell."""
        return self._tells and self.first_renewed_top1 >= wanted - NEAR and self.renewed_top1 >= wanted

    def is_better_than(self, recovered: float) -> bool:
        """Whether training made it worse, as far as the images can tell."""
        return self._tells and self.first_renewed_top1 > recovered - NEAR and self.renewed_top1 > recovered

    def left(self, trained: Recovery | None, norm_images: int, seconds: float) -> Recovery:
        """What was done, where the network stays as it was before training.

        Args:
            trained: a training that is taken back; norm_images: that the statistics were taken with.
        """
        top1s = (self.dense_top1, self.first_top1, self.first_renewed_top1, self.renewed_top1)
        tuned = Tuned(len(self.tuning), *top1s, min(FIRST_IMAGES, len(self.tuning)))
        lost = f"{self.dense_top1 - self.renewed_top1:.2f} points of the tuning images"
        if trained is None:
            return Recovery(UNTRAINED, 0, 0, seconds, norm_images, tuned, f"{NOT_TRAINED}: it loses {lost}")
        why = f"{WORSE}: it stays as it was before, where it lost {lost}"
        return replace(trained, batch_norm_images=norm_images, tuning=tuned, why=why, run=None)
