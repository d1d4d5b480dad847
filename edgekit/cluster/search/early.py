"""Trials that cannot come to anything are stopped: before they are trained, or after a few images.

They are held against networks that were measured before. What is stopped has no value of its own, only the reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgekit.cluster.search.front import Point
from edgekit.validate.accuracy import paired_outcomes

MARGIN: Final = 0.1
"""Part by which a predicted latency may be wrong: it was measured at another time, of weights that were not trained."""

NOISE: Final = 1.0
"""Points: who is known to be no further below FP32 than this cannot be passed by any network made of it."""

Right = NDArray[np.bool_]


def before_recovery(ratio: float, ceiling: Right, told: Iterable[Point]) -> str | None:
    """Why a network need not be trained, since another one is as fast and nearly as accurate as FP32; None if it must.

    Args:
        ratio: predicted latency as a part of the reference's.
        ceiling: bool (N,), which images FP32 of the trial's own network has right, at its own input size.
    """
    for each in told:
        faster = each.ratio_ci95[1] < ratio * (1 - MARGIN)
        if faster and paired_outcomes(ceiling, each.right).ci95[1] <= NOISE:
            return (
                f"predicted at {ratio:.2f} of the reference's latency, where trial {each.number} takes {each.ratio:.2f}"
                f" and is surely no more than {NOISE:g} point below FP32"
            )
    return None


def after_few(ratio: float | None, few: Right, told: Iterable[Point]) -> str | None:
    """Why a network need not be shown all images, since a faster one is surely more accurate; None if it must.

    Args:
        ratio: predicted latency as a part of the reference's; None where nothing was: it is then not stopped.
        few: bool (n,), which of the first images it has right.
    """
    if ratio is None:
        return None
    for each in told:
        if each.ratio_ci95[1] >= ratio * (1 - MARGIN):
            continue
        found = paired_outcomes(each.right[: len(few)], few)
        if found.ci95[0] > 0:
            return (
                f"{100 * float(few.mean()):.1f} % of the first {len(few)} images are right, surely fewer than of trial"
                f" {each.number} ({found.drop:.1f} points, at least {found.ci95[0]:.1f}), which takes"
                f" {each.ratio:.2f} of the reference's latency where {ratio:.2f} was predicted"
            )
    return None
