"""How often `edgekit compare` takes equal builds for worse, and finds a planted drop: simulated evaluations.

    python tests/benchmarks/compare_false_alarms.py [SIMULATIONS]

Two builds of one network, each shown its images as a build shows them: it stops at a look once its own drop from FP32
is known to be within a point, so that the two may have seen different numbers of images. Equal builds each differ from
FP32 on 2 % of the images, as often for the worse as for the better. What is asked: in how many comparisons the second
misses a gate, how many sets of 20 equal builds have more than one false alarm, and how often a drop of two points is
found on 1,000 images.
"""

from __future__ import annotations

import math
import sys
from math import comb

import numpy as np
from numpy.typing import NDArray

from edgekit.validate.accuracy import paired_outcomes
from edgekit.validate.between_builds import Below, Sample, below
from edgekit.validate.sequential import Stopping, boundaries, looks, outcome

RIGHT = 0.96
CHANGED = 0.02
BUDGET = Stopping(1.0)

Bits = NDArray[np.bool_]


def evaluated(dice: np.random.Generator, base: Bits, worse: float = 0.0) -> Bits:
    """Which images a build has right, of those that it is shown; `worse`: share of the images that it loses more."""
    lost = dice.random(len(base)) < (CHANGED / 2 + worse) / RIGHT
    won = dice.random(len(base)) < CHANGED / 2 / (1 - RIGHT)
    right = np.where(base, ~lost, won)
    places = looks(len(base))
    for place, critical in zip(places, boundaries(places), strict=True):
        only_base = int((base[:place] & ~right[:place]).sum())
        only_this = int((right[:place] & ~base[:place]).sum())
        if outcome(only_base, only_this, place, BUDGET.budget, critical) == "met" and place >= BUDGET.least:
            return right[:place]
    return right


def missed(total: int, count: int, gate: float, worse: float, seed: int) -> tuple[float, float]:
    """Share of comparisons in which the second build misses the gate: paired, and of two samples."""
    return missed_of(total, count, gate, worse, seed, 1)


def missed_of(total: int, count: int, gate: float, worse: float, seed: int, builds: int) -> tuple[float, float]:
    """The same where so many builds are compared with the first at once."""
    dice = np.random.Generator(np.random.PCG64(seed))
    paired = unpaired = 0
    for _ in range(count):
        base = dice.random(total) < RIGHT
        one, two = evaluated(dice, base), evaluated(dice, base, worse)
        both = min(len(one), len(two))
        told = paired_outcomes(one[:both], two[:both])
        paired += Below(told.drop, told.ci95, both, paired=told).outcome(gate, builds) == "missed"
        samples = [Sample(100 * float(each.mean()), len(each)) for each in (one, two)]
        unpaired += below(samples[0], samples[1], None).outcome(gate, builds) == "missed"
    return paired / count, unpaired / count


def more_than_one(rate: float, builds: int = 20) -> float:
    """Share of sets of equal builds with more than one false alarm."""
    return 1 - sum(comb(builds, k) * rate**k * (1 - rate) ** (builds - k) for k in (0, 1))


def main(count: int) -> None:
    """Prints a row for each case."""
    print(f"{count:,} comparisons each; standard error of 5 %: {math.sqrt(0.05 * 0.95 / count):.2%}")
    print(f"{'images':>7} {'drop':>5} {'gate':>5} {'missed, paired':>15} {'unpaired':>9} {'of 20, >1 alarm':>16}")
    cases = [(total, 0.0, gate) for total in (1_000, 2_400, 6_000) for gate in (0.0, 0.25, 0.5)]
    cases += [(1_000, 2.0, gate) for gate in (0.0, 0.5, 1.0)]
    for seed, (total, drop, gate) in enumerate(cases):
        paired, unpaired = missed(total, count, gate, drop / 100, seed)
        several = f"{'':>16}"
        if drop == 0:  # 19 builds are compared with the first of 20: their tests err in 5 % together
            several = f"{more_than_one(missed_of(total, count, gate, 0.0, seed, 19)[0], 19):16.2%}"
        print(f"{total:7,} {drop:5.1f} {gate:5.2f} {paired:15.2%} {unpaired:9.2%} {several}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
