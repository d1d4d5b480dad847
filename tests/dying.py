"""What workers of a cluster are given that die of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def die_once(marker: str) -> int:
    """What the first process that is asked dies of; the next one gives its number."""
    if not os.path.exists(marker):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def die() -> None:
    """What every process that is asked dies of."""
    os.kill(os.getpid(), signal.SIGKILL)
