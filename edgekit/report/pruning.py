"""The section of the HTML report on pruning: verdict, facts, sensitivities, widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit.report import pruned, sensitivity
from edgekit.report.escaping import html_text
from edgekit.report.schema import Report

_MARKS = {"kept": ("good", "✓"), "taken back": ("open", "✗"), "not tried": ("none", "–")}


def section(report: Report) -> str:
    """The section as HTML; empty where a report tells nothing of pruning."""
    told = pruned.of(report)
    if told is None:
        return ""
    parts = [_verdict(told), _tables(told), _facts(told), _sensitivity(told), _widths(told)]
    body = "\n".join(part for part in parts if part)
    return f'<section class="pruning" aria-labelledby="pruning">\n<h2 id="pruning">Pruning</h2>\n{body}\n</section>'


def _verdict(told: pruned.Pruning) -> str:
    tone, mark = _MARKS[pruned.state(told)]
    return f'<p class="said {tone}"><b>{mark}</b> {html_text(pruned.sentence(told))}</p>'


def _tables(told: pruned.Pruning) -> str:
    tables = "".join(_table(table) for table in pruned.tables(told))
    return f'<div class="cards">{tables}</div>' if tables else ""


def _table(table: pruned.Table) -> str:
    head = "".join(f'<th scope="col"{" class=text" * (i == 0)}>{html_text(t)}</th>' for i, t in enumerate(table.titles))
    rows = "\n".join(
        f'<tr><th scope="row">{html_text(row[0])}</th>{"".join(f"<td>{html_text(cell)}</td>" for cell in row[1:])}</tr>'
        for row in table.rows
    )
    body = f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>"
    return f'<div class="card"><table id="pruning-{table.name}">{body}</table></div>'


def _facts(told: pruned.Pruning) -> str:
    items = "".join(f"<dt>{html_text(name)}</dt><dd>{html_text(text)}</dd>" for name, text in pruned.facts(told))
    return f'<dl class="facts">{items}</dl>' if items else ""


def _sensitivity(told: pruned.Pruning) -> str:
    drawn = sensitivity.svgs(told)
    if not drawn:
        return ""
    notes = [pruned.sensitivity_title(told)]
    if any(pruned.kept_share(told, each["name"]) is not None for each in told["sensitivity"]["blocks"]):
        cut = "was made" if told["kept"] else "was tried"
        notes.append(f"The upright line is the cut that {cut} there, beside the name the share of channels it keeps.")
    caption = html_text(" ".join(notes))
    return f"<h3>Sensitivity of the blocks</h3>\n<figure>{''.join(drawn)}<figcaption>{caption}</figcaption></figure>"


def _widths(told: pruned.Pruning) -> str:
    if not told["widths"]:
        return ""
    head = '<th scope="col" class="text">layer</th><th scope="col">channels in</th><th scope="col">channels out</th>'
    rows = "\n".join(_width(each) for each in told["widths"])
    return (
        f"<details><summary>{html_text(pruned.widths_title(told))}</summary>\n"
        f'<div class="scroll narrow"><table id="widths"><thead><tr>{head}'
        f'<th scope="col" class="text">channels out that stay</th></tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div></details>"
    )


def _width(layer: Mapping[str, Any]) -> str:
    before, after = layer["before"], layer["after"]
    cells = "".join(_cell(old, new) for old, new in zip(before, after, strict=True))
    share = 100 * after[1] / before[1]
    bar = f'<span class="share"><i style="width:{min(share, 100):.1f}%"></i></span>'
    return f'<tr><th scope="row">{html_text(layer["layer"])}</th>{cells}<td class="text">{bar} {share:.0f} %</td></tr>'


def _cell(before: int, after: int) -> str:
    if before == after:
        return f'<td class="missing">{before:,}</td>'
    return f"<td>{before:,} → {after:,}</td>"
