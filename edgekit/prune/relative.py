"""Times as ratios to a reference that was timed in the same rounds: they hold while the machine's clock wanders."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rounds:
    """Microseconds of some layers over several rounds, and of the reference in each of them.

    Attributes:
        reference: (rounds,); layers: (rounds, layers).
    """

    reference: NDArray[np.float64]
    layers: NDArray[np.float64]

    def ratios(self) -> list[float]:
        """How many times the reference each layer takes: the median of what its rounds say.

        Whatever makes a whole round slower or faster is in both, and changes no ratio.

        Raises:
            ValueError: the reference was not timed in any round.
        """
        timed = self.reference > 0
        if not timed.any():
            raise ValueError("the reference was not timed")
        return [float(each) for each in np.median(self.layers[timed] / self.reference[timed, None], 0)]

    @property
    def reference_us(self) -> float:
        """Median of the reference over the rounds in which it was timed."""
        return float(np.median(self.reference[self.reference > 0]))


def scaled(ratios: dict[str, float], references_us: list[float]) -> dict[str, float]:
    """Ratios as microseconds, all by one scale: the median of what the reference took in several sessions."""
    scale = median(references_us) if references_us else 1.0
    return {key: ratio * scale for key, ratio in ratios.items()}
