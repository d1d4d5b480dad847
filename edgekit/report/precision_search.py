"""The section of the report on the mix of precisions: what was tried, what came of it, and why it ended."""

from __future__ import annotations

from typing import Final

from edgekit.report.model_pruning import PrecisionSearch

HEADING: Final = "The budget loop"
TITLES: Final = ("tried", "points lost", "won", "KL divergence", "seconds", "then")


def sentence(search: PrecisionSearch) -> str:
    """What was found, by what images, and why the loop ended."""
    what = "points of top-1 lost" if search.labelled else "% of the answers changed"
    return (
        f"Best of {len(search.trials)} networks: {search.way}, with {search.drop:.2f} {what} on"
        f" {search.images:,} images that were held back to choose by (budget {search.budget:g}). It ended after"
        f" {search.seconds:.0f} of {search.budget_seconds:.0f} seconds, with {search.peak_bytes / 1e9:.2f} of"
        f" {search.memory_bytes / 1e9:.2f} GB of memory: {search.ended}."
    )


def rows(search: PrecisionSearch) -> list[tuple[str, ...]]:
    """A row for each network that was tried, in order."""
    return [
        (
            each.name,
            f"{each.drop:.2f}",
            "" if before is None else f"{before - each.drop:+.2f}",
            f"{each.kl:.4f}",
            f"{each.seconds:.1f}",
            "best so far" if each.best else "",
        )
        for each, before in zip(search.trials, _best_before(search), strict=True)
    ]


def moves(search: PrecisionSearch) -> str:
    """What was kept, one after another, and what each won on the tuning images."""
    what = "points lost" if search.labelled else "% of the answers changed"
    kept = [
        f"{each.name} {each.drop:.2f}" + ("" if before is None else f" (won {before - each.drop:.2f})")
        for each, before in zip(search.trials, _best_before(search), strict=True)
        if each.best
    ]
    return f"{what} on {search.images:,} tuning images: {'; '.join(kept)}"


def _best_before(search: PrecisionSearch) -> list[float | None]:
    """For each network that was tried, what the best before it lost."""
    found, best = list[float | None](), None
    for each in search.trials:
        found.append(best)
        best = each.drop if each.best else best
    return found


def floats(search: PrecisionSearch) -> str:
    """The operators that are in 16 bits; empty where there are none."""
    return f"In 16 bits: {', '.join(search.floats)}." if search.floats else ""
