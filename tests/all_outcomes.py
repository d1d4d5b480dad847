"""Every outcome of an evaluation and how likely it is: what decisions come to is added up, and nothing is simulated.

python tests/all_outcomes.py    # the table of docs/evaluation.md: which drops are found on how many images
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import stats

from edgekit.validate.sequential import one_sided, outcome

UNLIKELY = 1e-9


def outcomes(images: int, lost: float, won: float) -> Iterator[tuple[int, int, float]]:
    """How many of the images are lost and won, and how likely that is, of shares that are."""
    for losses in range(int(stats.binom.ppf(1 - UNLIKELY, images, lost)) + 1):
        first = float(stats.binom.pmf(losses, images, lost))
        if first < UNLIKELY:
            continue
        most = int(stats.binom.ppf(1 - UNLIKELY, images - losses, won / (1 - lost)))
        gains = np.arange(most + 1)
        for gained, second in zip(
            gains.tolist(), stats.binom.pmf(gains, images - losses, won / (1 - lost)).tolist(), strict=True
        ):
            yield losses, gained, first * second


def decided(images: int, drop: float, won: float, budget: float, critical: float) -> dict[str, float]:
    """How likely each outcome is where so many points are lost in truth."""
    found = dict.fromkeys(("met", "missed", "undecided"), 0.0)
    for losses, gained, likely in outcomes(images, drop / 100 + won, won):
        found[outcome(losses, gained, images, budget, critical)] += likely
    return found


def main() -> None:
    """Prints the table: 1 % of the images is won by chance, and as many are lost, beside those of the drop."""
    print("| images | 0.5 points lost | 1 | 2 | no drop, within 0.5 | within 1 | within 2 |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for images in (300, 500, 1_000, 2_400, 5_000, 10_000):
        found = [decided(images, drop, 0.01, 0.0, one_sided())["missed"] for drop in (0.5, 1.0, 2.0)]
        found += [decided(images, 0.0, 0.01, budget, one_sided())["met"] for budget in (0.5, 1.0, 2.0)]
        print(f"| {images:,} | " + " | ".join(f"{100 * each:.0f} %" for each in found) + " |")


if __name__ == "__main__":
    main()
