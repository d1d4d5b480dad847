"""The builds of a matrix, one after another: one that fails does not stop the others, what is done is noted at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from edgekit.build.matrix_file import Member, model_of
from edgekit.build.pipeline import build
from edgekit.build.runner import Listener
from edgekit.report.matrix import Outcome
from edgekit.store import Store

OUT: Final = Path("build")

Judge: TypeAlias = Callable[[Exception], tuple[int, str]]
"""The exit code of what a build raised, and the line that says it."""

Noted: TypeAlias = Callable[[Sequence[Outcome]], None]
"""Told all outcomes whenever one of them has changed."""


def awaited(members: Sequence[Member]) -> list[Outcome]:
    """Outcomes of builds that have not begun."""
    return [Outcome(each.name, model_of(each.recipe), each.recipe.target, each.variant) for each in members]


def built(member: Member, out: Path, store: Store, listener: Listener, judge: Judge) -> Outcome:
    """What comes of one build.

    Args:
        out: the folder that the bundles' folders are in.
    """
    began, awaiting = time.monotonic(), awaited([member])[0]
    try:
        made = build(member.recipe, out / member.name, store, listener)
    except Exception as error:  # whatever it is, the other builds go on
        return awaiting.failed(*judge(error), time.monotonic() - began)
    return awaiting.built(made.report, made.directory, time.monotonic() - began)


def build_matrix(members: Sequence[Member], one: Callable[[int, Member], Outcome], noted: Noted) -> None:
    """Builds all of them, in their order.

    Args:
        one: builds the member at a place.
        noted: is told after every build; an interrupt passes through, and leaves what was noted last.
    """
    outcomes = awaited(members)
    noted(outcomes)
    for place, member in enumerate(members):
        outcomes[place] = one(place, member)
        noted(outcomes)
