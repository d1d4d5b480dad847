"""What the budget loop tries: how a network was made, what it scored, and what all of it came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edgekit.quantize.ptq import PLAIN, PtqSettings

Ended = Literal["within the budget", "everything was tried", "the time was over", "it was interrupted"]


@dataclass(frozen=True)
class QuantConfig:
    """How a quantized network was made: NNCF's settings, whether channels were equalised before, what is in 16 bits,
    and whether it was trained.
    """

    ptq: PtqSettings = PLAIN
    equalised: bool = False
    floats: tuple[str, ...] = ()
    trained: bool = False

    @property
    def name(self) -> str:
        """In words."""
        words = [
            *(["equalised channels"] if self.equalised else []),
            *([f"{self.ptq.ranges} ranges"] if self.ptq.ranges != "usual" else []),
            *(["asymmetric activations"] if self.ptq.preset == "mixed" else []),
            *([f"{len(self.floats)} operators in 16 bits"] if self.floats else []),
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

    way: QuantConfig
    score: Score
    seconds: float
    best: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"name": self.way.name, **asdict(self.score), "seconds": round(self.seconds, 2), "best": self.best}


@dataclass(frozen=True)
class Outcome:
    """What the loop came to: the best network, how it was made, why it ended, all that was tried, and what could not be
    made, and why.
    """

    graph: Path
    way: QuantConfig
    ended: Ended
    trials: tuple[Trial, ...]
    failed: tuple[tuple[QuantConfig, str], ...] = ()
