"""What pages in Markdown (GitHub flavour) are made of: escaped text, and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from edgekit.report.escaping import printable


def text(told: object) -> str:
    """Text that Markdown shows as it is, on one line and in one cell."""
    line = escape(" ".join(printable(told).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~#])", r"\\\1", line)


def table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], is_text: Sequence[bool], bold: int | None = None
) -> str:
    """A table with escaped cells.

    Args:
        is_text: of each column, which is aligned to the left then; bold: the row whose first cell stands out.
    """
    lines = ["| " + " | ".join(text(each) for each in titles) + " |"]
    lines.append("|" + "|".join(" --- " if left else " ---: " for left in is_text) + "|")
    for index, row in enumerate(rows):
        cells = [text(cell) for cell in row]
        if index == bold:
            cells[0] = f"**{cells[0]}**"
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
