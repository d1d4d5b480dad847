"""Real control groups, where this user and this kernel can make them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from edgekit.runtime.cgroup import _groups


@contextmanager
def group_with_quota(processors: float) -> Iterator[Path]:
    """A control group that may use so many processors; the test is skipped where none can be made."""
    folder = next(
        (made for each in dict.fromkeys(_groups("cpu", "/")) if (made := _made(Path(each), processors))), None
    )
    if folder is None:
        pytest.skip("no control group with a quota can be made here")
    try:
        yield folder
    finally:
        folder.rmdir()


def _made(parent: Path, processors: float) -> Path | None:
    folder = parent / f"edgekit-test-{os.getpid()}"
    period_us = 100_000
    try:
        folder.mkdir()
        if (folder / "cpu.max").exists():
            (folder / "cpu.max").write_text(f"{round(processors * period_us)} {period_us}")
        else:
            (folder / "cpu.cfs_period_us").write_text(str(period_us))
            (folder / "cpu.cfs_quota_us").write_text(str(round(processors * period_us)))
    except OSError:
        with suppress(OSError):
            folder.rmdir()
        return None
    return folder
