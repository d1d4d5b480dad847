"""Whether a runtime computes an INT8 graph as the graph says: its outputs beside those of exact integer arithmetic.

Processors without VNNI add products in 16 bits, which can saturate; other runtimes run INT8 graphs on kernels for
half precision. Both give outputs that are near, and wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.validate.fidelity import cosines
from edgekit.validate.referee import agreement

LEAST_SAME: Final = 99.0
"""Percent of the pictures that must have the same answer; one picture may differ however few there are: two classes of
nearly the same output change places by rounding alone.
"""

LEAST_COSINE: Final = 0.999
"""That outputs must have on average: right INT8 runtimes reach 0.9999, saturating ones 0.99 and less."""


@dataclass(frozen=True)
class Arithmetic:
    """How outputs of a runtime compare with exact integer arithmetic on the same graph.

    Attributes:
        runtime: that was asked; exact: that computed exactly.
        same: percent of the pictures with the same answer, ties among them; cosine: of outputs, on average;
            least_cosine: of one picture.
    """

    runtime: str
    exact: str
    images: int
    same: float
    cosine: float
    least_cosine: float

    @property
    def ok(self) -> bool:
        """Whether the runtime computes what the graph says."""
        differing = round(self.images * (100 - self.same) / 100)
        return (self.same >= LEAST_SAME or differing <= 1) and self.cosine >= LEAST_COSINE

    def __str__(self) -> str:
        return (
            f"{self.same:.1f} % of {self.images} images have the answer of exact integer arithmetic, mean cosine"
            f" {self.cosine:.4f}"
        )

    @property
    def refusal(self) -> str | None:
        """Why the variant is no INT8 that can be relied on; None where it is one."""
        if self.ok:
            return None
        return f"{self.runtime} computes it otherwise than its graph says ({self})"


def arithmetic(runtime: str, exact: str, made: NDArray[np.float32], wanted: NDArray[np.float32]) -> Arithmetic:
    """Compares outputs (n, classes) of a runtime with the exact ones, n at least 1."""
    near, same = cosines(wanted, made), agreement(wanted, made).agreement
    return Arithmetic(runtime, exact, len(wanted), same, float(near.mean()), float(near.min()))
