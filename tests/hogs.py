"""Programs that only compute, to disturb a machine for real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def busy_processes(count: int, seconds: float = 120.0) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many of them; each is over after some seconds, or at the end of the block."""
    work = f"import time; until = time.monotonic() + {seconds}\nwhile time.monotonic() < until: pass"
    hogs = [subprocess.Popen([sys.executable, "-c", work]) for _ in range(count)]
    try:
        yield hogs
    finally:
        for each in hogs:
            each.kill()
            each.wait()
