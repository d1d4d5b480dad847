"""What the mixed-precision search tries: how a network is quantized, what it scored, and what the search came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgekit.quantize.ptq import PLAIN, PtqSettings

Ended = Literal["within the budget", "everything was tried", "the time was over", "it was interrupted"]


@dataclass(frozen=True)
class QuantConfig:
    """How a network is quantized.

    Attributes:
        ptq: NNCF's settings; equalised: whether channels are equalised before.
        least_squares: whether ranges of activations are then those of least squared error (see least_squares.py).
        rounded: whether weights are then rounded for their layer's outputs (see refit.py).
        float_ops: names of the operators that stay in 16 bits; trained: whether it is trained with its quantizers.
    """

    ptq: PtqSettings = PLAIN
    equalised: bool = False
    float_ops: tuple[str, ...] = ()
    trained: bool = False
    least_squares: bool = False
    rounded: bool = False

    @property
    def made_by_nncf(self) -> QuantConfig:
        """What NNCF makes of it, before anything of edgekit's own."""
        return QuantConfig(self.ptq, self.equalised)

    @property
    def name(self) -> str:
        """In words."""
        words = [
            *(["equalised channels"] if self.equalised else []),
            *([f"{self.ptq.ranges} ranges"] if self.ptq.ranges != "usual" else []),
            *(["asymmetric activations"] if self.ptq.preset == "mixed" else []),
            *(["full bias correction"] if self.ptq.biases == "full" else []),
            *(["least-squares ranges"] if self.least_squares else []),
            *(["adaptive rounding"] if self.rounded else []),
            *([f"{len(self.float_ops)} operators in 16 bits"] if self.float_ops else []),
            *(["trained"] if self.trained else []),
        ]
        return ", ".join(words) or "plain"


@dataclass(frozen=True)
class Score:
    """On the tuning images: points of top-1 lost from FP32 (without labels: % of answers that changed), the
    mean Kullback-Leibler divergence of the outputs in nats, and how many images.
    """

    drop: float
    kl: float
    images: int


@dataclass(frozen=True)
class Trial:
    """One network that was tried."""

    config: QuantConfig
    score: Score
    seconds: float
    best: bool


@dataclass(frozen=True)
class Outcome:
    """What the loop came to: the best network, how it was made, why it ended, all that was tried, and what could not be
    made, and why.
    """

    graph: Path
    config: QuantConfig
    ended: Ended
    trials: tuple[Trial, ...]
    failed: tuple[tuple[QuantConfig, str], ...] = ()
