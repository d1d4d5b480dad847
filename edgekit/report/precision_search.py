"""The section of the report on the mix of precisions: what was tried, what came of it, and why it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgekit.report.escaping import html_text
from edgekit.report.schema import Report

HEADING: Final = "The budget loop"
TITLES: Final = ("tried", "points lost", "KL divergence", "seconds", "")


def of(report: Report) -> Mapping[str, Any] | None:
    """What a report tells of the loop; None where there was none."""
    return report.get("tuning")


def sentence(told: Mapping[str, Any]) -> str:
    """What was found, by what images, and why the loop ended."""
    what = "points of top-1 lost" if told["labelled"] else "% of the answers changed"
    return (
        f"Best of {len(told['trials'])} networks: {told['way']}, with {told['drop']:.2f} {what} on"
        f" {told['images']:,} images that were held back to choose by (budget {told['budget']:g}). It ended after"
        f" {told['seconds']:.0f} of {told['budget_seconds']:.0f} seconds, with {told['peak_bytes'] / 1e9:.2f} of"
        f" {told['memory_bytes'] / 1e9:.2f} GB of memory: {told['ended']}."
    )


def rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row for each network that was tried, in order."""
    return [
        (
            each["name"],
            f"{each['drop']:.2f}",
            f"{each['kl']:.4f}",
            f"{each['seconds']:.1f}",
            "best so far" if each["best"] else "",
        )
        for each in told["trials"]
    ]


def floats(told: Mapping[str, Any]) -> str:
    """The operators that are in 16 bits; empty where there are none."""
    return f"In 16 bits: {', '.join(told['floats'])}." if told["floats"] else ""


def section(report: Report) -> str:
    """The section as HTML; empty where there was no loop."""
    told = of(report)
    if told is None:
        return ""
    head = "".join(f'<th scope="col"{" class=text" * (i == 0)}>{html_text(t)}</th>' for i, t in enumerate(TITLES))
    body = "\n".join(_row(row) for row in rows(told))
    note = f'<p class="soft">{html_text(floats(told))}</p>' if told["floats"] else ""
    return (
        f'<section class="tuning" aria-labelledby="tuning">\n<h2 id="tuning">{HEADING}</h2>\n'
        f"<p>{html_text(sentence(told))}</p>\n"
        f'<div class="scroll narrow"><table id="trials"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>'
        f"</table></div>\n{note}\n</section>"
    )


def _row(cells: Sequence[str]) -> str:
    rest = "".join(f"<td>{html_text(cell)}</td>" for cell in cells[1:])
    return f'<tr><th scope="row">{html_text(cells[0])}</th>{rest}</tr>'
