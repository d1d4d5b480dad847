"""File names as people read them: a name is bytes, and need not be text."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Final

_BYTE: Final = range(0xDC80, 0xDD00)
"""Where Python puts bytes of a file name that are no UTF-8 (PEP 383)."""

_IN_JSON: Final = re.compile("[^\n -~]")


def readable(name: str) -> str:
    """A name that every encoding and every terminal can show.

    Bytes that are no UTF-8 become \\xfc, and control characters, which could move a terminal's cursor, \\x1b or \\n.
    What can be shown stays as it is, so that a name that is read once more is the same.
    """
    if name.isascii() and name.isprintable():
        return name
    return "".join(each if _can_be_shown(each) else _escaped(each) for each in name)


def _can_be_shown(each: str) -> bool:
    return each.isprintable() or unicodedata.category(each) == "Zs"


def _escaped(each: str) -> str:
    code = ord(each)
    return f"\\x{code - 0xDC00:02x}" if code in _BYTE else each.encode("unicode_escape").decode("ascii")


def shortened(text: str, most: int) -> str:
    """A text of at most `most` characters: of a longer one the beginning and the end, with dots between."""
    if len(text) <= most:
        return text
    head = (most - 5) // 2
    return f"{text[:head]} ... {text[len(text) - (most - 5 - head) :]}"


def briefly(value: object, most: int = 200) -> str:
    """A value as Python writes it, in at most `most` characters."""
    try:
        return shortened(repr(value), most)
    except (ValueError, RecursionError):  # a number of more digits than Python prints, or a list that holds itself
        return f"a value of type {type(value).__name__} that cannot be shown"


def readable_json(text: str) -> str:
    """JSON in which all can be shown: bytes of file names are escaped as `readable` does, all else as JSON does."""
    return _IN_JSON.sub(lambda found: _in_json(found.group()), text)


def _in_json(each: str) -> str:
    if "\ud800" <= each <= "\udfff":
        return "\\" + _escaped(each)
    return each if _can_be_shown(each) else json.dumps(each)[1:-1].replace("\x7f", "\\u007f")
