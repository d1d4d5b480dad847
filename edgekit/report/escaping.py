"""Text from outside as HTML shows it."""

from __future__ import annotations

from html import escape


def html_text(text: object) -> str:
    """Text that HTML shows as it is; control characters, which HTML has no word for, become U+FFFD."""
    return escape("".join(c if c.isprintable() or c in "\n\t" else "�" for c in str(text)))
