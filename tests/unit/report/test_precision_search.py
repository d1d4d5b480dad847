"""What the report tells of the search for a mix of precisions: each network's loss, and what each move won."""

from __future__ import annotations

from edgekit.report.model_pruning import PrecisionSearch, Trial
from edgekit.report.precision_search import TITLES, moves, rows


def search(*drops: float, labelled: bool = True) -> PrecisionSearch:
    """A search whose networks lost so many points, each the best so far if it lost less than all before."""
    names = ("plain", "least-squares ranges", "least-squares ranges, adaptive rounding")
    trials = tuple(
        Trial(name=name, drop=drop, kl=0.01, images=1600, seconds=4.0, best=drop == min(drops[: at + 1]))
        for at, (name, drop) in enumerate(zip(names, drops, strict=True))
    )
    told = {"ended": "within the budget", "way": names[2], "floats": (), "drop": min(drops), "labelled": labelled}
    numbers = {"images": 1600, "budget": 1.0, "seconds": 12.0, "budget_seconds": 300.0}
    return PrecisionSearch(**told, **numbers, peak_bytes=1, memory_bytes=1, trials=trials)


def test_each_move_tells_what_it_won_over_the_best_before() -> None:
    won = [row[TITLES.index("won")] for row in rows(search(4.0, 4.5, 1.5))]
    assert won == ["", "-0.50", "+2.50"]


def test_the_terminal_hears_of_what_was_kept() -> None:
    said = moves(search(4.0, 4.5, 1.5))
    assert said == (
        "points lost on 1,600 tuning images: plain 4.00; least-squares ranges, adaptive rounding 1.50 (won 2.50)"
    )
    assert moves(search(4.0, 3.0, 1.5, labelled=False)).startswith(
        "% of the answers changed on 1,600 tuning images: plain"
    )
