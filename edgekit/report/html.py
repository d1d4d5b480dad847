"""The report as one HTML file: no script, no font and no picture from outside, light and dark, fit to print."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from edgekit.report import flips, plot, precision_search, pruning, summary
from edgekit.report.escaping import html_text as _text
from edgekit.report.schema import Report

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""What a browser may load for the page: nothing but the style and the pictures inside it."""


def html(report: Report) -> str:
    """Render a valid report as one HTML file that needs nothing else."""
    style = (files("edgekit.report") / "page.css").read_text(encoding="utf-8")
    title = _text(summary.title(report))
    body = [_verdict(report), _warnings(report), _figure(report), _variants(report), _fidelity(report)]
    body += [flips.section(report), pruning.section(report), precision_search.section(report), _stages(report)]
    body.append(_facts("How it was measured", summary.method(report)))
    body.append(_facts("Environment", [(name, str(value)) for name, value in report["environment"].items()]))
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}: edgekit report</title>\n<style>\n{style}</style>\n</head>\n<body>",
            f"<header><h1>{title}</h1></header>\n<main>",
            *(part for part in body if part),
            "</main>",
            f"<footer>edgekit {_text(report['edgekit'])} · {_text(report['created'])} · numbers: report.json</footer>",
            "</body>\n</html>\n",
        ]
    )


def _verdict(report: Report) -> str:
    tone, words = summary.state(report)
    mark = {"good": "✓", "bad": "✗", "open": "?"}[tone]
    return (
        f'<section class="verdict {tone}" aria-label="Verdict"><p class="state">{mark} {words}</p>'
        f'<p class="sentence">{_text(summary.verdict(report))}</p></section>\n{_key_figures(report)}'
    )


def _key_figures(report: Report) -> str:
    """The four numbers that decide, each with what it is compared with."""
    ours, base, verdict = summary.chosen(report), summary.baseline(report), report["verdict"]

    def before(text: str) -> str:
        return "" if base is None or text == summary.MISSING else f"FP32: {text}"

    cells = {column.title: column for column in summary.columns(report)}
    size = cells["size, MB"]
    figures = [
        ("Median latency", _unit(summary.milliseconds(ours["latency"]["p50"]), "ms"), ""),
        (
            "Speed against FP32",
            summary.times(verdict["latency"]["speedup_vs_fp32"]),
            _range(verdict["latency"].get("ci95"), "x"),
        ),
        (
            "Top-1 drop",
            _unit(summary.number(verdict["accuracy"]["drop"]), "points"),
            "; ".join(filter(None, (_range(verdict["accuracy"]["ci95"], ""), summary.undecided(report)))),
        ),
        ("Size", _unit(size.cell(report, ours), "MB"), ""),
    ]
    if base is not None:
        latency = before(_unit(summary.milliseconds(base["latency"]["p50"]), "ms"))
        figures[0] = (*figures[0][:2], latency)
        figures[3] = (*figures[3][:2], before(_unit(size.cell(report, base), "MB")))
    items = "".join(
        f"<div><dt>{name}</dt><dd>{_text(_said(value))}<small>{_text(note)}</small></dd></div>"
        for name, value, note in figures
    )
    return f'<dl class="figures">{items}</dl>'


def _unit(value: str, unit: str) -> str:
    return value if value == summary.MISSING else f"{value} {unit}"


def _said(value: str) -> str:
    return "not measured" if value == summary.MISSING else value


def _range(ends: Sequence[float] | None, unit: str) -> str:
    return f"95 % interval {summary.number(ends[0])}{unit} to {summary.number(ends[1])}{unit}" if ends else ""


def _warnings(report: Report) -> str:
    items = "".join(f"<li>{_text(line)}</li>" for line in report.get("warnings", []))
    return f'<section class="warnings"><h2>Warnings</h2><ul>{items}</ul></section>' if items else ""


def _figure(report: Report) -> str:
    drawn = plot.svg(report)
    if not drawn:
        why = summary.chosen(report)["latency"].get("why") or "no reason given"
        return f'<h2>Accuracy against latency</h2><p class="soft">No latency was measured: {_text(why)}.</p>'
    y_key, found = plot.points(report)
    notes = ["Up and to the left is better. Horizontal bars reach from p50 to p90."]
    if y_key:
        notes.append(
            "Vertical bars are 95 % intervals of each variant alone; the drop in the verdict is paired on the same "
            "images and known more closely."
        )
    else:
        notes[0] = "Left is better; accuracy was not measured. Horizontal bars reach from p50 to p90."
    if y_key and any(point.y is None for point in found):
        notes.append("Variants on the bottom line have a latency, but their accuracy was not measured.")
    if any(point.look == "left" for point in found):
        notes.append("Hollow points were not kept.")
    return (
        f"<h2>{'Accuracy against latency' if y_key else 'Latency'}</h2>\n"
        f"<figure>{drawn}<figcaption>{' '.join(notes)}</figcaption></figure>"
    )


def _variants(report: Report) -> str:
    columns = summary.columns(report)
    head = "".join(
        f'<th scope="col" title="{_text(c.meaning)}"{_class("text" if c.is_text else "")}>{_text(c.title)}</th>'
        for c in columns
    )
    rows = []
    for variant in report["variants"]:
        is_chosen = variant["name"] == report["chosen"]
        mark = ' <span class="tag mark">chosen</span>' if is_chosen else ""
        cells = [f'<th scope="row">{_text(variant["name"])}{mark}</th>']
        for column in columns[1:]:
            text = column.cell(report, variant)
            if column.title == "kept":
                cells.append(f'<td class="text"><span class="tag {text}">{text}</span></td>')
            elif text == summary.MISSING:
                cells.append('<td class="missing" title="not measured">–</td>')
            else:
                kind = " ".join(filter(None, ("text" * column.is_text, "reason" * (column.title == "reason"))))
                cells.append(f"<td{_class(kind)}>{_text(text)}</td>")
        rows.append(f"<tr{_class('chosen' if is_chosen else '')}>{''.join(cells)}</tr>")
    gaps = "".join(f"<li>{_text(line)}</li>" for line in summary.gaps(report))
    return (
        f'<h2>Variants</h2>\n<div class="scroll" tabindex="0" role="region" aria-label="Variants"><table id="variants">'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>"
        + (f'\n<div class="soft"><p>– was not measured:</p><ul>{gaps}</ul></div>' if gaps else "")
    )


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _table(name: str, heading: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A small table: text in the first column, numbers or ready HTML in the others."""
    head = "".join(f'<th scope="col"{_class("" if i else "text")}>{_text(each)}</th>' for i, each in enumerate(titles))
    lines = "\n".join(
        f'<tr><th scope="row">{_text(row[0])}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<h2>{heading}</h2>\n<div class="scroll narrow"><table id="{name}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table></div>"
    )


def _fidelity(report: Report) -> str:
    rows = summary.fidelity(report)
    titles = ("variant", "same first answer, %", "cosine of the outputs", "KL divergence")
    return _table("fidelity", "Fidelity to FP32", titles, rows) if rows else ""


def _stages(report: Report) -> str:
    stages = report["stages"]
    if not stages:
        return ""
    rows = [
        (
            each["name"],
            summary.number(each["seconds"]),
            '<span class="tag yes">cached</span>' if each["cached"] else '<span class="tag off">ran</span>',
        )
        for each in stages
    ]
    total = summary.number(sum(each["seconds"] or 0 for each in stages))
    cached = sum(each["cached"] for each in stages)
    note = f'<p class="soft">{total} s in all; {cached} of {len(stages)} stages came from the store.</p>'
    return _table("stages", "Stages", ("stage", "seconds", "this time"), rows) + note


def _facts(heading: str, facts: Sequence[tuple[str, str]]) -> str:
    if not facts:
        return ""
    items = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in facts)
    return f'<h2>{heading}</h2>\n<dl class="facts">{items}</dl>'
