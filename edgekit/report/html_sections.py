"""What the sections of the HTML report show: changed images, pruning, the search for a mix of precisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.report import flips, precision_search, pruned, sensitivity, summary
from edgekit.report.model import Report
from edgekit.report.model_pruning import Pruning as Facts
from edgekit.report.model_pruning import Width
from edgekit.report.page import markup


@dataclass(frozen=True)
class Card:
    """An image whose first answer changed."""

    image: str
    label: str | None
    outcome: str
    thumbnail: str
    before: str
    after: str


@dataclass(frozen=True)
class Changes:
    """The section on the images whose first answer changed; `name` is the variant's."""

    heading: str
    sentence: str
    class_titles: Sequence[str]
    class_rows: Sequence[Sequence[str]]
    left_out: str
    choice: str
    cards: Sequence[Card]
    name: str


def changes(report: Report) -> Changes | None:
    """None where a report tells nothing of it."""
    found = flips.changed(report)
    if found is None:
        return None
    variant, flipped = found
    cards = [
        Card(
            each.image,
            each.label,
            each.outcome,
            each.thumbnail,
            flips.answer(each.before, each.before_probability),
            flips.answer(each.after, each.after_probability),
        )
        for each in flipped.shown
    ]
    return Changes(
        heading=flips.HEADING,
        sentence=flips.sentence(variant, flipped),
        class_titles=flips.CLASS_TITLES,
        class_rows=flips.class_rows(variant),
        left_out=flips.left_out(variant),
        choice=flips.choice(flipped),
        cards=cards,
        name=summary.display_name(variant.name),
    )


@dataclass(frozen=True)
class WidthCell:
    """Channels of a layer on one side, before and after."""

    text: str
    is_changed: bool


@dataclass(frozen=True)
class WidthRow:
    """A layer in the table of widths: `share` of its output channels stays, percent; `bar` is as wide, at most 100."""

    layer: str
    cells: tuple[WidthCell, ...]
    bar: str
    share: str


@dataclass(frozen=True)
class Pruning:
    """The section on pruning; `curves` are markup."""

    tone: str
    mark: str
    sentence: str
    tables: Sequence[pruned.Table]
    facts: Sequence[tuple[str, str]]
    curves: Sequence[object]
    caption: str
    widths_title: str
    widths: Sequence[WidthRow]


_MARKS = {"kept": ("good", "✓"), "taken back": ("open", "✗"), "not tried": ("none", "–")}


def pruning(report: Report) -> Pruning | None:
    """None where a report tells nothing of it."""
    facts = report.pruning
    if facts is None:
        return None
    tone, mark = _MARKS[pruned.state(facts)]
    return Pruning(
        tone=tone,
        mark=mark,
        sentence=pruned.sentence(facts),
        tables=pruned.tables(facts),
        facts=pruned.facts(facts),
        curves=[markup(each) for each in sensitivity.svgs(facts)],
        caption=_caption(facts),
        widths_title=pruned.widths_title(facts),
        widths=[_width(each) for each in facts.widths],
    )


def _caption(pruning: Facts) -> str:
    """What is said below the curves."""
    measured = pruning.sensitivity
    if measured is None:
        return ""
    said = pruned.sensitivity_title(measured)
    if all(pruned.kept_share(pruning, each.name) is None for each in measured.blocks):
        return said
    cut = "was made" if pruning.kept else "was tried"
    return f"{said} The upright line is the cut that {cut} there, beside the name the share of channels it keeps."


def _width(layer: Width) -> WidthRow:
    share = 100 * layer.after[1] / layer.before[1]
    cells = tuple(
        WidthCell(f"{old:,}" if old == new else f"{old:,} → {new:,}", old != new)
        for old, new in zip(layer.before, layer.after, strict=True)
    )
    return WidthRow(layer.layer, cells, f"{min(share, 100):.1f}", f"{share:.0f}")


@dataclass(frozen=True)
class Search:
    """The section on the search for a mix of precisions."""

    heading: str
    sentence: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    floats: str


def search(report: Report) -> Search | None:
    """None where there was none."""
    made = report.precision_search
    if made is None:
        return None
    return Search(
        heading=precision_search.HEADING,
        sentence=precision_search.sentence(made),
        titles=precision_search.TITLES,
        rows=precision_search.rows(made),
        floats=precision_search.floats(made),
    )
