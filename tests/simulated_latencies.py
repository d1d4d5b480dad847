"""Latencies as a shared machine gives them, made by dice: what simulated verdicts are drawn of.

    python tests/simulated_latencies.py [SESSIONS]    # the tables of docs/evaluation.md: false verdicts, and power

A session times two networks turn by turn, ten runs a block. A run takes the network's time, times what the machine's
clock does (slow waves, in three sessions of ten a drift of 8 %), what each network meets by itself from round to round
(a part of which stays into the next round), noise of the run, runs that something interrupts, and rounds that something
else slows. How large each is was taken from sessions of copies of one network on two cores of a virtual machine.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.runtime.timing import BLOCK
from edgekit.validate.faster import ratio

Blocks = NDArray[np.float64]
"""(sessions, rounds, runs a block), ms."""


@dataclass(frozen=True)
class Noise:
    """Parts of a run's time, as logarithms.

    Attributes:
        clock: of the slow waves of the machine; stays: of the network's own, how much of it is there in the next round.
        own: of a round; run: of single runs; interrupted, slowed: shares of runs, and of rounds.
        layout: by which a process makes one of two equal networks faster for as long as it runs.
        drift: of the clock from the first round to the last, in three sessions of ten.
    """

    clock: float = 0.03
    own: float = 0.006
    stays: float = 0.3
    run: float = 0.015
    interrupted: float = 0.03
    slowed: float = 0.03
    layout: float = 0.0
    drift: float = 0.08


def waves(dice: np.random.Generator, shape: tuple[int, int], size: float, stays: float) -> NDArray[np.float64]:
    """(sessions, rounds) values of a spread, each of which keeps a part of the one before."""
    steps = dice.normal(0, size * np.sqrt(1 - stays**2), shape)
    made = np.empty(shape)
    made[:, 0] = dice.normal(0, size, shape[0])
    for each in range(1, shape[1]):
        made[:, each] = stays * made[:, each - 1] + steps[:, each]
    return made


def sessions(
    dice: np.random.Generator, count: int, rounds: int, times_faster: float = 1.0, noise: Noise = Noise()
) -> tuple[Blocks, Blocks]:
    """Sessions of two networks, the second so many times faster than the first, which takes 10 ms."""
    clock = waves(dice, (count, rounds), noise.clock, 0.8)
    clock += np.where(dice.random((count, 1)) < 0.3, np.linspace(0, noise.drift, rounds), 0)
    made = []
    for ms in (10.0, 10.0 / times_faster):
        own = clock + waves(dice, (count, rounds), noise.own, noise.stays)
        own += dice.normal(0, noise.layout, (count, 1))
        own += (dice.random((count, rounds)) < noise.slowed) * dice.exponential(0.3, (count, rounds))
        shape = (count, rounds, BLOCK)
        runs = dice.normal(0, noise.run, shape) + (dice.random(shape) < noise.interrupted) * dice.exponential(
            0.6, shape
        )
        made.append(ms * np.exp(own[..., None] + runs))
    return made[0], made[1]


def verdicts(
    count: int, rounds: int, times_faster: float = 1.0, noise: Noise = Noise(), seed: int = 0
) -> tuple[float, float]:
    """Shares of the sessions in which the second is told to be faster, and slower, than the first."""
    base, other = sessions(np.random.Generator(np.random.PCG64(seed)), count, rounds, times_faster, noise)
    ends = [ratio(a, b)[1:] for a, b in zip(base, other, strict=True)]
    return sum(low > 1 for low, _ in ends) / count, sum(high < 1 for _, high in ends) / count


def main(count: int) -> None:
    """Prints the tables."""
    print("| rounds | equal: faster, slower | 2 % faster found | 5 % | 10 % |\n| ---: | --- | ---: | ---: | ---: |")
    for rounds in (3, 5, 10, 20, 80):
        faster, slower = verdicts(count, rounds)
        found = " | ".join(f"{100 * verdicts(count, rounds, each, seed=1)[0]:.0f} %" for each in (1.02, 1.05, 1.1))
        print(f"| {rounds} | {100 * faster:.1f} %, {100 * slower:.1f} % | {found} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
