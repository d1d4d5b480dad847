"""Adaptive rounding: each weight of a layer goes up or down so that the layer's outputs stay near those in float.

The nearest level is best for a weight by itself; for a layer it is the whole sum that counts. To first order the error
is a quadratic form of the weights' roundings, with the second moments of what the layer reads (AdaRound, Nagel et al.
2020, arXiv 2004.10568, section 3). AdaRound relaxes the choices and learns them by gradients. Here they are changed one
by one, each time by the exact change of the quadratic form (coordinate descent): no learning rate, no more error than
nearest rounding at any step, and the same result every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SWEEPS: Final = 12
"""Times that each weight is asked; mostly nothing changes any more before."""

TRUST: Final = 0.01
"""How much of the inputs' mean power is added to that of each: what images that were not seen may bring."""

FEW: Final = 0.1
"""The same for each weight that there is for one row of inputs: a layer that few rows describe stays nearer."""


@dataclass(frozen=True)
class Moments:
    """What a layer's inputs and outputs are on average; G groups of O outputs and K inputs each.

    Attributes:
        rows: how many places of images it was taken over.
        square: (G, K, K) covariance of the quantized inputs; without a bias, their second moments.
        cross: (G, O, K) that of the float outputs with the quantized inputs; power: (G, O) that of the float outputs.
        means: (G, K) of the quantized inputs; wanted: (G, O) of the float outputs.
        centred: whether a bias takes up the means.
    """

    rows: int
    square: Floats
    cross: Floats
    power: Floats
    means: Floats
    wanted: Floats
    centred: bool

    def error(self, weights: Floats) -> Floats:
        """(G, O) mean squared error of the outputs of weights (G, O, K), with the best bias where there is one."""
        quadratic = np.einsum("gok,gkl,gol->go", weights, self.square, weights, optimize=True)
        found = quadratic - 2 * (weights * self.cross).sum(2) + self.power
        return np.asarray(np.maximum(found, 0.0), np.float64)

    def bias(self, weights: Floats) -> Floats:
        """(G, O) the bias with which outputs have the mean of those in float."""
        return np.asarray(self.wanted - np.einsum("gok,gk->go", weights, self.means), np.float64)


def moments(read: NDArray[np.float32], made: NDArray[np.float32], centred: bool) -> Moments:
    """Moments of what a layer reads quantized, (G, N, K), and of what it makes in float, (G, N, O)."""
    rows, inputs, outputs = read.shape[1], read.astype(np.float64), made.astype(np.float64)
    means, wanted = inputs.mean(1), outputs.mean(1)
    if centred:
        inputs -= means[:, None]
        outputs -= wanted[:, None]
    turned = inputs.transpose(0, 2, 1)
    return Moments(
        rows,
        turned @ inputs / rows,
        (turned @ outputs / rows).transpose(0, 2, 1),
        np.square(outputs).mean(1),
        means,
        wanted,
        centred,
    )


def adapted(steps: Floats, nearest: Floats, scale: Floats, seen: Moments, limit: int, smaller: bool = False) -> Floats:
    """Levels (G, O, K) whose outputs are nearer to the float ones, each a neighbour of the float weight.

    Args:
        steps: (G, O, K) float weights in steps of their scale; nearest: whole numbers that they were rounded to.
        scale: (G, O) of each output; limit: the largest level.
        smaller: whether no level may be larger than the nearest one.
    """
    levels = nearest.copy()
    down, up = np.floor(steps), np.ceil(steps)
    other = np.where(levels == down, up, np.where(levels == up, down, levels))
    far = (np.abs(other) > limit) | (smaller & (np.abs(other) > np.abs(nearest)))
    other = np.where(far, nearest, other)
    inputs = steps.shape[2]
    square = seen.square * 1.0
    places = np.arange(inputs)
    mean = square[:, places, places].mean(1)
    square[:, places, places] += ((TRUST + FEW * inputs / seen.rows) * mean)[:, None]
    added = square - seen.square
    # The gradient of error(weights) + distance from the float weights in the added power, halved.
    step = scale[:, :, None]
    slope = (levels * step) @ square - seen.cross - (steps * step) @ added
    for _ in range(SWEEPS):
        if not _sweep(levels, other, scale, square, slope):
            break
    return levels


def _sweep(levels: Floats, other: Floats, scale: Floats, square: Floats, slope: Floats) -> bool:
    """Asks each weight once whether its other level is better, in place; whether any was."""
    changed = False
    for place in range(levels.shape[2]):
        move = (other[:, :, place] - levels[:, :, place]) * scale
        won = move * (2 * slope[:, :, place] + move * square[:, place, place][:, None])
        group, output = np.nonzero(won < -1e-12 * np.abs(move * slope[:, :, place]))
        if not len(group):
            continue
        changed = True
        slope[group, output] += move[group, output][:, None] * square[group, place]
        before = levels[group, output, place]
        levels[group, output, place] = other[group, output, place]
        other[group, output, place] = before
    return changed
