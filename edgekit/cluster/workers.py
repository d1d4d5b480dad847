"""What a process of Ray does before it works: the settings of the driver, and its own share of the processors."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from edgekit.targets.machine import THREAD_SETTINGS

Settings: TypeAlias = tuple[tuple[str, str], ...]
"""Variables of the environment by name."""


@dataclass(frozen=True)
class Place:
    """Where a worker runs, and with which settings; see `settle`."""

    cores: tuple[int, ...]
    settings: Settings


def thread_settings() -> Settings:
    """What of the environment decides how many threads compute, as it is here. Taken on the driver."""
    return tuple((name, os.environ[name]) for name in THREAD_SETTINGS if name in os.environ)


def settle(place: Place) -> None:
    """Makes this process a worker: call it before a runtime is loaded, which counts processors when it is.

    Ray sets OMP_NUM_THREADS for its workers, which would be in the keys of stages and hold torch to one thread; it is
    put back to what the driver has. Ctrl-C is the driver's affair.
    """
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    take(place.settings)
    pin(place.cores)


def take(settings: Settings) -> None:
    """Makes the settings of threads those of the driver."""
    for name in THREAD_SETTINGS:
        os.environ.pop(name, None)
    os.environ.update(dict(settings))


def pin(cores: Sequence[int]) -> None:
    """Keeps all threads of this process, and those to come, on some processors; where that is not allowed it stays."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):  # the thread has ended meanwhile, or a control group allows none of them
            os.sched_setaffinity(int(thread), cores)


@contextmanager
def pinned(place: Place) -> Iterator[None]:
    """A worker for as long as the block runs, for processes that Ray uses again for other tasks."""
    before = os.sched_getaffinity(0)
    settle(place)
    try:
        yield
    finally:
        pin(sorted(before))
