"""Text from files as a terminal may get it: names in a bundle come from anyone, and terminals obey what they read."""

import unicodedata

LONGEST = 2000
"""Characters of a message: names in a bundle may have millions."""


def shown(text: str) -> str:
    """Text without control characters and marks that turn its direction: they become \\x1b or \\u202e."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or unicodedata.category(each) == "Zs" else _escape(each) for each in text)


def line(text: str) -> str:
    """The same on one line of at most LONGEST characters: of a longer text the beginning and the end."""
    if len(text) > LONGEST:
        half = LONGEST // 2 - 3
        text = "%s ... %s" % (text[:half], text[-half:])
    return shown(" ".join(text.split()))


def _escape(each: str) -> str:
    code = ord(each)
    if 0xDC80 <= code < 0xDD00:  # where Python puts bytes of a file name that are no UTF-8
        return "\\x%02x" % (code - 0xDC00)
    return each.encode("unicode_escape").decode("ascii")


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its kind where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
