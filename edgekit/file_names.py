"""File names as people read them: a name is bytes, and need not be text."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_BYTE: Final = range(0xDC80, 0xDD00)
"""Where Python puts bytes of a file name that are no UTF-8 (PEP 383)."""

_IN_JSON: Final = re.compile("[\ud800-\udfff]")


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


def readable_json(text: str) -> str:
    """JSON whose texts may hold bytes of file names, with those escaped as `readable` does."""
    return _IN_JSON.sub(lambda found: "\\" + _escaped(found.group()), text)
