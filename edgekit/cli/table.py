"""Tables as text: columns as wide as what is in them, and on several lines where a terminal is too narrow for that."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

GAP: Final = 2
"""Columns between two columns."""

COMFORTABLE: Final = 24
"""Columns in which a text of several words can be read; shorter texts are not broken at all unless they must be."""

_PIECES: Final = re.compile(r"\S*?[-@/,.;:_](?=[^\W\d])|\S+")
"""Where a word may be broken: after one of these marks, before a letter."""


def without(
    headers: Sequence[str], rows: Sequence[Sequence[str]], spare: Sequence[str], width: int
) -> tuple[list[str], list[list[str]]]:
    """A table without those columns that there is no room for: of `spare`, the first one first."""
    kept = list(range(len(headers)))
    for title in spare:
        if _whole([_least(headers[place], [row[place] for row in rows], _comfortable) for place in kept]) <= width:
            break
        kept = [place for place in kept if headers[place] != title]
    return [headers[place] for place in kept], [[row[place] for place in kept] for row in rows]


def laid_out(headers: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> tuple[list[str], list[str]]:
    """The lines of the head and of the body, none longer than `width`; None: as wide as they come.

    Where there is too little room the widest columns give way first: heads and long texts go on several lines, then
    words are broken where they have a mark, and at last anywhere.
    """
    columns = [(header, [row[place] for row in rows]) for place, header in enumerate(headers)]
    widths = [max(len(text) for text in (header, *cells)) for header, cells in columns]
    for parts in (_comfortable, _words, _pieces, _letters):
        if width is not None and _whole(widths) > width:
            widths = _narrowed(widths, [_least(header, cells, parts) for header, cells in columns], width)
    return _lines([headers], widths), _lines(rows, widths)


def _whole(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _least(header: str, cells: Sequence[str], parts: Callable[[str], list[int]]) -> int:
    """The narrowest that a column may be, by the widths of the parts that its texts are taken apart into."""
    heads = parts(header) if parts is _letters else [len(word) for word in header.split()]
    return max((*heads, *(part for cell in cells for part in parts(cell))), default=0)


def _comfortable(cell: str) -> list[int]:
    return [min(len(cell), max([COMFORTABLE, *_words(cell)]))]


def _words(cell: str) -> list[int]:
    return (
        [len(_start(cell) + word) for word in cell[len(_start(cell)) :].split()]
        if len(cell) > COMFORTABLE // 2
        else [len(cell)]
    )


def _pieces(cell: str) -> list[int]:
    return [len(_start(cell) + piece) for piece in _PIECES.findall(cell[len(_start(cell)) :])]


def _letters(cell: str) -> list[int]:
    return [1]


def _narrowed(widths: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Widths of which the largest are made smaller, one column at a time, until the whole fits or none can give."""
    found = list(widths)
    while _whole(found) > width:
        able = [place for place in range(len(found)) if found[place] > least[place]]
        if not able:
            break
        found[max(able, key=lambda place: found[place])] -= 1
    return found


def _start(cell: str) -> str:
    """The blanks that a cell begins with, and the star among them that marks its row."""
    return cell[: len(cell) - len(cell.lstrip("* "))]


def _lines(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    lines = []
    for row in rows:
        cells = [_broken(cell, width) for cell, width in zip(row, widths, strict=True)]
        for place in range(max(len(each) for each in cells)):
            parts = [each[place] if place < len(each) else "" for each in cells]
            line = "  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True))
            lines.append(line.rstrip())
    return lines


def _broken(cell: str, width: int) -> list[str]:
    """A cell on lines of at most `width`: between words, else after marks in them, else anywhere."""
    if len(cell) <= width:
        return [cell]
    start = _start(cell)
    lines: list[str] = []
    line = ""
    for word in cell[len(start) :].split():
        pieces = [word] if len(start) + len(word) <= width else _PIECES.findall(word)
        for number, piece in enumerate(pieces):
            glue = " " if line.strip() and number == 0 else ""
            if len(line) + len(glue) + len(piece) <= width and line:
                line += glue + piece
                continue
            if line.strip():
                lines.append(line)
            line = (" " * len(start) if lines else start) + piece
            while len(line) > width:
                lines.append(line[:width])
                line = line[width:]
    return [*lines, line]
