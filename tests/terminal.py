"""Commands run in a real pseudo-terminal of a given size, and what they write there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Shown:
    """What a command wrote to its terminal, and its exit code."""

    raw: str
    code: int

    @property
    def lines(self) -> list[str]:
        """Without escapes, line ends as a file has them."""
        return ESCAPES.sub("", self.raw).replace("\r\n", "\n").replace("\r", "\n").split("\n")


def set_size(descriptor: int, columns: int, rows: int) -> None:
    """Makes a terminal so large; 0 columns are those of one that does not know."""
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def in_terminal(
    arguments: list[str], columns: int, more: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Shown:
    """`python ARGUMENTS` with its input and outputs in a terminal of so many columns and 24 rows."""
    settings = {key: value for key, value in os.environ.items() if key not in ("CI", "NO_COLOR", "COLUMNS", "LINES")}
    settings |= {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(more or {})}
    ours, theirs = pty.openpty()
    try:
        set_size(theirs, columns, 24)
        running = subprocess.Popen(
            [sys.executable, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=settings, cwd=cwd
        )
        os.close(theirs)
        read = []
        while True:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:  # Linux says so when the last one that writes is gone
                break
            if not piece:
                break
            read.append(piece)
        return Shown(b"".join(read).decode("utf-8", errors="replace"), running.wait(timeout=60))
    finally:
        os.close(ours)
