"""Why a test may be skipped: what a machine lacks. What `.lock/dev.txt` brings is no reason."""

from __future__ import annotations

import re
from typing import Final, TypeVar

import pytest

BROUGHT: Final = re.compile(
    r"could not import|is not installed|TensorRT for RTX is not here|there is no Playwright here"
)
"""What tests say that miss a package of the lock: without it, whole files would be left out and nobody would see."""


def fault_of(reason: str) -> str | None:
    """What is wrong with a reason for which a test is skipped, if anything is."""
    if BROUGHT.search(reason) is None:
        return None
    return f"{reason}. That is no reason to leave a test out: .lock/dev.txt brings it (make .venv/.dev)."


Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def judged(report: Report) -> Report:
    """A report that fails where its test, or its file, was skipped for a reason that is none."""
    if report.skipped and isinstance(report.longrepr, tuple) and (fault := fault_of(report.longrepr[2])) is not None:
        report.outcome, report.longrepr = "failed", fault
    return report
