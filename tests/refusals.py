"""What a command that was run came to: done, or refused with a word of why."""

from __future__ import annotations

import subprocess
from typing import TypeAlias

Ran: TypeAlias = "subprocess.CompletedProcess[str]"


def ok(ran: Ran) -> Ran:
    assert ran.returncode == 0, ran.stderr
    return ran


def refused(ran: Ran, code: int, *words: str) -> None:
    assert ran.returncode == code, ran.stderr
    line = ran.stderr.splitlines()[-1]
    assert line.startswith("edgekit: error: ")
    assert [each for each in words if each not in line] == [], line
