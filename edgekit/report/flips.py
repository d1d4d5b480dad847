"""Which images compression changed, in words and cells for every format."""

from __future__ import annotations

from typing import Final

from edgekit.report import summary
from edgekit.report.model import Report
from edgekit.report.model_variants import Flips, Variant

HEADING: Final = "Which images changed"
CLASS_TITLES: Final = ("class", "images", "right before", "right after", "lost", "won")
NO_ANSWER: Final = "no answer"


def changed(report: Report) -> tuple[Variant, Flips] | None:
    """The variant whose changes are told, and they: the chosen one, or where FP32 was kept the last tried; if any."""
    known = [(each, each.flips) for each in report.variants if each.flips is not None]
    chosen = [(each, flips) for each, flips in known if each.name == report.chosen]
    return next(iter(chosen or reversed(known)), None)


def sentence(variant: Variant, flips: Flips) -> str:
    """How many first answers changed, and for better or worse."""
    images, name = variant.accuracy.images, summary.display_name(variant.name)
    many = f"all {summary.number(images, 0)} images" if images else "every image"
    if not flips.changed:
        return f"{name} gives the same first answer as FP32 to {many}."
    of = f" of {summary.number(images, 0)} images" if images else " images"
    text = f"{name} gives another first answer than FP32 to {flips.changed:,}{of}"
    if flips.lost is None or flips.won is None:
        return f"{text}; without labels nobody knows which of the two is right."
    other = flips.changed - flips.lost - flips.won
    wrong = f", {other:,} {'was' if other == 1 else 'were'} wrong before and after" if other else ""
    return f"{text}: {flips.lost:,} right before and wrong after (lost), {flips.won:,} the other way about{wrong}."


def class_rows(variant: Variant) -> list[tuple[str, ...]]:
    """Cells of the classes that changed, as CLASS_TITLES has them."""
    return [
        (
            each.label,
            *(summary.number(n, 0) for n in (each.images, each.right_before, each.right_after, each.lost, each.won)),
        )
        for each in (variant.classes.shown if variant.classes else ())
    ]


def left_out(variant: Variant) -> str:
    """What is said of classes that changed and are not shown; empty where all are."""
    count = variant.classes.left_out if variant.classes else 0
    if not count:
        return ""
    return f"{count:,} more {'class' if count == 1 else 'classes'} changed, none with a greater net loss."


def flip_titles(variant: Variant) -> tuple[str, ...]:
    """Titles of `flip_rows`."""
    return ("image", "class", "FP32", summary.display_name(variant.name), "outcome")


def flip_rows(flips: Flips) -> list[tuple[str, ...]]:
    """Cells of the images shown: name, class, both answers, and what became of it."""
    return [
        (
            each.image,
            summary.MISSING if each.label is None else each.label,
            answer(each.before, each.before_probability),
            answer(each.after, each.after_probability),
            each.outcome,
        )
        for each in flips.shown
    ]


def choice(flips: Flips) -> str:
    """Which of the changed images are shown."""
    few = f"{len(flips.shown)} of the {flips.changed:,}" if len(flips.shown) < flips.changed else "All of them"
    first = "" if flips.lost is None else "the lost ones first, then "
    return f"{few}: {first}by how sure FP32 was."


def answer(name: str | None, probability: float | None) -> str:
    """A first answer and how sure the network was."""
    if name is None:
        return NO_ANSWER
    return name if probability is None else f"{name}, {summary.number(100 * probability)} %"
