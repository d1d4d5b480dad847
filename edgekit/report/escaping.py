"""Text from outside as HTML and SVG show it."""

from __future__ import annotations

from html import escape


def printable(text: object) -> str:
    """Text without control characters, which HTML has no word for: they become U+FFFD."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in str(text))


def html_text(text: object) -> str:
    """Text that HTML shows as it is, also within quotes."""
    return escape(printable(text))
