"""Accuracy and its statistics: intervals for one network, paired ones for the drop between two."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Accuracy:
    """Percent right with the first and with the first five answers; ci95 is Wilson's interval of top-1."""

    top1: float
    top5: float
    images: int
    ci95: tuple[float, float]


@dataclass(frozen=True)
class PairedDrop:
    """Points of top-1 lost from one network to another on the same images (negative: gained).

    Attributes:
        ci95: Bonett and Price's adjusted interval of a difference of paired proportions (2012).
        p_value: McNemar's test, exact and two-sided.
        lost, won: images that only the first, only the second had right.
    """

    drop: float
    ci95: tuple[float, float]
    p_value: float
    lost: int
    won: int


@dataclass(frozen=True)
class Fidelity:
    """How near a network's outputs are to another's, without labels.

    Attributes:
        agreement: percent of images with the same first answer.
        cosine: mean cosine similarity of the logits.
        kl: mean Kullback-Leibler divergence of the class probabilities, nats.
    """

    agreement: float
    cosine: float
    kl: float


def first_right(logits: Logits, labels: Labels) -> NDArray[np.bool_]:
    """(N,) whether the first answer is the label. Outputs that are not finite are never right."""
    right: NDArray[np.bool_] = (logits.argmax(1) == labels) & np.isfinite(logits).all(1)
    return right


def accuracy(logits: Logits, labels: Labels) -> Accuracy:
    """Top-1 and top-5 of (N, C) logits; with fewer than five classes top-5 takes as many as there are."""
    top = np.argsort(-logits, axis=1, kind="stable")[:, : min(5, logits.shape[1])]
    finite = np.isfinite(logits).all(1)
    among = (top == labels[:, None]).any(1) & finite
    right, count = int(first_right(logits, labels).sum()), len(labels)
    return Accuracy(100 * right / count, 100 * float(among.mean()), count, wilson(right, count))


def wilson(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion, in percent."""
    share, spread = right / count, Z95 * Z95 / count
    middle = (share + spread / 2) / (1 + spread)
    half = math.sqrt(share * (1 - share) * spread + spread * spread / 4) / (1 + spread)
    return 100 * max(0.0, middle - half), 100 * min(1.0, middle + half)


def paired_drop(base: Logits, other: Logits, labels: Labels) -> PairedDrop:
    """The drop of top-1 from `base` to `other`, both (N, C) on the same images."""
    before, after = first_right(base, labels), first_right(other, labels)
    lost, won, count = int((before & ~after).sum()), int((~before & after).sum()), len(labels)
    share_lost, share_won = (lost + 1) / (count + 2), (won + 1) / (count + 2)
    middle = share_lost - share_won
    half = Z95 * math.sqrt((share_lost + share_won - middle * middle) / (count + 2))
    interval = (100 * max(-1.0, middle - half), 100 * min(1.0, middle + half))
    return PairedDrop(100 * (lost - won) / count, interval, mcnemar(lost, won), lost, won)


def mcnemar(lost: int, won: int) -> float:
    """Exact two-sided p-value that as many are lost as won, of a fair coin thrown lost + won times."""
    thrown = lost + won
    tail = sum(math.comb(thrown, k) for k in range(min(lost, won) + 1))
    return min(1.0, 2 * tail / 2**thrown) if thrown else 1.0


def fidelity(base: Logits, other: Logits) -> Fidelity:
    """How near `other` is to `base`, both (N, C)."""
    a, b = base.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = float(np.mean((a * b).sum(1) / np.maximum(lengths, 1e-30)))
    log_a, log_b = _log_softmax(a), _log_softmax(b)
    kl = float(np.mean((np.exp(log_a) * (log_a - log_b)).sum(1)))
    return Fidelity(100 * float(np.mean(a.argmax(1) == b.argmax(1))), cosine, max(0.0, kl))


def _log_softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = values - values.max(1, keepdims=True)
    out: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return out
