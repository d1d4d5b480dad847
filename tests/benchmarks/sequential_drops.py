"""How often a build decides wrongly of a drop, and how many images that takes: 10,000 simulated evaluations each.

    python tests/benchmarks/sequential_drops.py [SIMULATIONS]

For several shares of images that just one of two networks has right: with the true drop at the budget, how many are
taken for within it (at most 5 %); without a drop and with a budget of one point, how many are found within it, and on
how many images on average, beside a fixed test of 95 % power (Wald's limit is 49 % of that).
"""

from __future__ import annotations

import sys

import numpy as np

from edgekit.validate.sequential import boundaries, looks, one_sided, outcome

BUDGET = 1.0
MORE = 1.12
"""Images, beside those of the fixed test, that give the sequential one the same power."""


def simulated(total: int, apart: float, drop: float, count: int, seed: int) -> tuple[float, float, float, float]:
    """Shares that are found within the budget and beyond it; mean and median of the images.

    Args:
        apart: share of images that just one of both has right; drop: true one, as a share.
    """
    dice = np.random.Generator(np.random.PCG64(seed))
    places = looks(total)
    critical = boundaries(places)
    only_first, only_second = (apart + drop) / 2, (apart - drop) / 2
    met = missed = 0
    used = np.empty(count)
    for run in range(count):
        lost = won = before = 0
        for place, bound in zip(places, critical, strict=True):
            more = dice.multinomial(place - before, [only_first, only_second, 1 - only_first - only_second])
            lost, won, before = lost + int(more[0]), won + int(more[1]), place
            told = outcome(lost, won, place, BUDGET, bound)
            if told != "undecided":
                break
        met, missed, used[run] = met + (told == "met"), missed + (told == "missed"), before
    return met / count, missed / count, float(used.mean()), float(np.median(used))


def main(count: int) -> None:
    """Prints a row for each share."""
    print(f"{'apart':>6} {'fixed':>7} {'most':>7} {'wrongly met':>12} {'power':>7} {'mean':>12} {'median':>12}")
    for seed, apart in enumerate((0.015, 0.02, 0.04, 0.08)):
        fixed = round((2 * one_sided()) ** 2 * apart / (BUDGET / 100) ** 2)
        total = round(MORE * fixed)
        wrong, *_ = simulated(total, max(apart, 0.0101), BUDGET / 100, count, 2 * seed)
        power, _, mean, median = simulated(total, apart, 0.0, count, 2 * seed + 1)
        print(
            f"{apart:6.1%} {fixed:7,} {total:7,} {wrong:12.2%} {power:7.1%} {mean:6,.0f} {mean / fixed:4.0%}"
            f" {median:7,.0f} {median / fixed:4.0%}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
