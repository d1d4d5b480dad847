"""Which images compression changed: in words and cells for every format, and the section of the HTML report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgekit.report import summary
from edgekit.report.escaping import html_text
from edgekit.report.schema import Report

HEADING: Final = "Which images changed"
CLASS_TITLES: Final = ("class", "images", "right before", "right after", "lost", "won")
NO_ANSWER: Final = "no answer"

Flip = Mapping[str, Any]


def variant_of(report: Report) -> summary.Variant | None:
    """The variant whose changes are told: the chosen one, or where FP32 was kept the last that was tried; if any."""
    known = [each for each in report["variants"] if each.get("flips")]
    chosen = [each for each in known if each["name"] == report["chosen"]]
    return next(iter(chosen or reversed(known)), None)


def sentence(variant: summary.Variant) -> str:
    """How many first answers changed, and for better or worse."""
    told, images = variant["flips"], variant["accuracy"]["images"]
    name = summary.display_name(variant["name"])
    many = f"all {summary.number(images, 0)} images" if images else "every image"
    if not told["changed"]:
        return f"{name} gives the same first answer as FP32 to {many}."
    of = f" of {summary.number(images, 0)} images" if images else " images"
    text = f"{name} gives another first answer than FP32 to {told['changed']:,}{of}"
    if told["lost"] is None:
        return f"{text}; without labels nobody knows which of the two is right."
    other = told["changed"] - told["lost"] - told["won"]
    wrong = f", {other:,} {'was' if other == 1 else 'were'} wrong before and after" if other else ""
    return f"{text}: {told['lost']:,} right before and wrong after (lost), {told['won']:,} the other way about{wrong}."


def class_rows(variant: summary.Variant) -> list[tuple[str, ...]]:
    """Cells of the classes that changed, as CLASS_TITLES has them."""
    shown = (variant.get("classes") or {"shown": []})["shown"]
    keys = ("images", "right_before", "right_after", "lost", "won")
    return [(each["label"], *(summary.number(each[key], 0) for key in keys)) for each in shown]


def left_out(variant: summary.Variant) -> str:
    """What is said of classes that changed and are not shown; empty where all are."""
    count = (variant.get("classes") or {"left_out": 0})["left_out"]
    if not count:
        return ""
    return f"{count:,} more {'class' if count == 1 else 'classes'} changed, none with a greater net loss."


def flip_titles(variant: summary.Variant) -> tuple[str, ...]:
    """Titles of `flip_rows`."""
    return ("image", "class", "FP32", summary.display_name(variant["name"]), "outcome")


def flip_rows(variant: summary.Variant) -> list[tuple[str, ...]]:
    """Cells of the images shown: name, class, both answers, and what became of it."""
    return [
        (
            each["image"],
            summary.MISSING if each["label"] is None else each["label"],
            _answer(each["before"], each["before_probability"]),
            _answer(each["after"], each["after_probability"]),
            each["outcome"],
        )
        for each in variant["flips"]["shown"]
    ]


def choice(variant: summary.Variant) -> str:
    """Which of the changed images are shown."""
    shown, changed = len(variant["flips"]["shown"]), variant["flips"]["changed"]
    few = f"{shown} of the {changed:,}" if shown < changed else "All of them"
    first = "" if variant["flips"]["lost"] is None else "the lost ones first, then "
    return f"{few}: {first}by how sure FP32 was."


def _answer(name: str | None, probability: float | None) -> str:
    if name is None:
        return NO_ANSWER
    return name if probability is None else f"{name}, {summary.number(100 * probability)} %"


def section(report: Report) -> str:
    """The section as HTML; empty where a report tells nothing of it."""
    variant = variant_of(report)
    if variant is None:
        return ""
    parts = [f'<h2 id="flips">{HEADING}</h2>', f'<p class="said">{html_text(sentence(variant))}</p>']
    parts += [_classes(variant), _grid(variant)]
    body = "\n".join(part for part in parts if part)
    return f'<section class="changed" aria-labelledby="flips">\n{body}\n</section>'


def _classes(variant: summary.Variant) -> str:
    rows = class_rows(variant)
    if not rows:
        return ""
    head = "".join(f'<th scope="col"{" class=text" * (i == 0)}>{each}</th>' for i, each in enumerate(CLASS_TITLES))
    lines = "\n".join(f'<tr><th scope="row">{html_text(row[0])}</th>{_cells(row[1:])}</tr>' for row in rows)
    note = left_out(variant)
    return (
        f'<h3>By class</h3>\n<div class="scroll narrow"><table id="classes"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table></div>" + (f'<p class="soft">{note}</p>' if note else "")
    )


def _cells(cells: Sequence[str]) -> str:
    return "".join(f'<td class="missing">{each}</td>' if each == "0" else f"<td>{each}</td>" for each in cells)


def _grid(variant: summary.Variant) -> str:
    if not variant["flips"]["shown"]:
        return ""
    name = summary.display_name(variant["name"])
    cards = "\n".join(_card(each, name) for each in variant["flips"]["shown"])
    note = f"{choice(variant)} Pictures are what the networks saw, small."
    return f'<h3>By image</h3>\n<p class="soft">{html_text(note)}</p>\n<ul class="flips">\n{cards}\n</ul>'


def _card(flip: Flip, name: str) -> str:
    label = "" if flip["label"] is None else f"<dt>class</dt><dd>{html_text(flip['label'])}</dd>"
    before = html_text(_answer(flip["before"], flip["before_probability"]))
    after = html_text(_answer(flip["after"], flip["after_probability"]))
    outcome = flip["outcome"]
    tag = f' <span class="tag {outcome}">{outcome}</span>' if outcome != "other" else ""
    image = html_text(flip["image"])
    alt = f"{image}, {html_text(flip['label'])}" if flip["label"] is not None else image
    return (
        f'<li><img src="data:image/jpeg;base64,{html_text(flip["thumbnail"])}" alt="{alt}" width="96" height="96">'
        f'<div><p class="name">{image}{tag}</p>'
        f"<dl>{label}<dt>FP32</dt><dd>{before}</dd><dt>→ {html_text(name)}</dt><dd>{after}</dd></dl></div></li>"
    )
