"""The errors that edgekit expects: each says what is wrong and what to do about it, and carries its exit code."""

from __future__ import annotations

from typing import Final

from edgekit.file_names import readable, shortened

LONGEST: Final = 2000
"""Characters of what is said of a failure, and of its hint: names in files may have millions."""


def install_hint(*extras: str) -> str:
    """How to get what extras of this project bring (none: its base), as a sentence.

    It is on no package index, so that only a checkout or a wheel of it can be named: see README.md.
    """
    told = f"[{','.join(extras)}]" if extras else ""
    return f"Get it with: pip install '.{told}' in a checkout of edgekit, or pip install 'WHEEL{told}' with its wheel."


class EdgekitError(Exception):
    """A failure that the user can do something about.

    Args:
        what: what is wrong, one line, no full stop needed.
        hint: what to do about it, one line.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = _said(what).rstrip(".")
        self.hint = _said(hint)

    def line(self) -> str:
        """The failure as the one line that the command prints."""
        return f"edgekit: error: {self.what}." + (f" {self.hint}" if self.hint else "")


def _said(words: str) -> str:
    """Words on one line that every terminal can show."""
    return shortened(readable(" ".join(shortened(words, 2 * LONGEST).split())), LONGEST)


class InputError(EdgekitError):
    """Bad input or usage: exit code 2."""

    exit_code = 2


class BudgetError(EdgekitError):
    """A budget was not met; the best found is still written: exit code 3."""

    exit_code = 3


class UnavailableError(EdgekitError):
    """The target, the device or a package cannot be reached or cannot run this: exit code 4."""

    exit_code = 4
