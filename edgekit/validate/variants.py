"""Names of variants: the precision, and before it what was done to the network."""

from __future__ import annotations

from typing import Final

PRUNED: Final = "pruned-"
"""Before the precision in the name of a variant whose network was pruned."""


def is_pruned(variant: str) -> bool:
    """Whether a variant's network was pruned."""
    return variant.startswith(PRUNED)


def precision_of(variant: str) -> str:
    """The arithmetic of a variant, and the name of it unpruned: "pruned-int8" computes in int8."""
    return variant.removeprefix(PRUNED)
