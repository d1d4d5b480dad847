"""The distribution of latencies in cells."""

from __future__ import annotations

from typing import Final

from edgekit.report.model import Report
from edgekit.report.summary import milliseconds

SHOWN: Final = (("fastest", 0.0), ("5 %", 5.0), ("25 %", 25.0), ("50 %", 50.0), ("75 %", 75.0), ("95 %", 95.0),
                ("99 %", 99.0), ("slowest", 100.0))  # fmt: skip
TITLES: Final = ("variant", *(f"{title}, ms" for title, _ in SHOWN), "runs")


def rows(report: Report) -> list[tuple[str, ...]]:
    """Cells of the variants whose quantiles are told, as TITLES has them."""
    found = []
    for variant in report.variants:
        told = variant.latency.quantiles
        if told is not None:
            known = dict(zip(told.percent, told.ms, strict=True))
            cells = (milliseconds(known.get(percent)) for _, percent in SHOWN)
            found.append((variant.name, *cells, f"{variant.latency.runs or 0:,}"))
    return found
