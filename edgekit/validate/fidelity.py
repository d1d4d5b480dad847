"""How near a network's outputs are to another's, without labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.divergence import divergence
from edgekit.validate.blocks import blocks
from edgekit.validate.chance import first_answers

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Fidelity:
    """How near a network's outputs are to another's.

    Attributes:
        agreement: percent of images with the same first answer; outputs that are not finite are none.
        cosine: mean cosine similarity of the logits; 0 of an image where one of the two points nowhere.
        kl: mean Kullback-Leibler divergence of the class probabilities, nats, over the images whose outputs are finite;
            None where there are no probabilities, or no such images.
        not_finite: images for which either gives outputs that are not finite.
    """

    agreement: float
    cosine: float
    kl: float | None
    not_finite: int = 0

    def why(self, images: int) -> str | None:
        """What is not in the figures of so many images; None where all is."""
        if not self.not_finite:
            return None
        rest = "there is no KL" if self.kl is None else "KL is of the others"
        return f"{self.not_finite:,} of {images:,} images have outputs that are not finite: their cosine is 0, {rest}"


def fidelity(base: Logits, other: Logits, activation: str = "softmax") -> Fidelity:
    """How near `other` is to `base`, both (N, C), N at least 1; `activation` makes probabilities of them."""
    images, finite, diverging = len(base), 0, 0.0
    for part in blocks(base.shape):
        a, b = base[part], other[part]
        both = np.isfinite(a).all(1) & np.isfinite(b).all(1)
        finite += int(both.sum())
        if activation != "none" and both.any():
            diverging += float(divergence(a[both], b[both], activation).sum())
    kl = max(0.0, diverging / finite) if finite and activation != "none" else None
    same = 100 * float(np.mean(first_answers(base) == first_answers(other)))
    return Fidelity(same, float(cosines(base, other).mean()), kl, images - finite)


def cosines(base: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """(N,) of the rows of two arrays (N, C); 0 where one of the two has no direction: zeros, or not finite."""
    found = np.zeros(len(base))
    for part in blocks(base.shape):
        a, b = base[part].astype(np.float64), other[part].astype(np.float64)
        sound = np.isfinite(a).all(1) & np.isfinite(b).all(1)
        a, b = a[sound], b[sound]
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        near = np.divide(np.einsum("ij,ij->i", a, b), lengths, out=np.zeros(len(a)), where=lengths > 0)
        found[part.start + np.flatnonzero(sound)] = near.clip(-1, 1)
    return found
