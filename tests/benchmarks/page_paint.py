"""How soon the report page of many variants is painted and drawn, in Chromium, and how large it is.

.venv/bin/python tests/benchmarks/page_paint.py                      # 200 fabricated variants, 5 times
.venv/bin/python tests/benchmarks/page_paint.py build/net-cpu        # the report of a build
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from browser import chromium, opened
from reports import many_variants

from edgekit.report import html, read, validate

TIMES, VARIANTS = 5, 200
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
READY = "performance.timing.domContentLoadedEventEnd - performance.timing.navigationStart"


def main() -> None:
    """Prints the medians."""
    report = read(Path(sys.argv[1])) if len(sys.argv) > 1 else validate(many_variants(VARIANTS))
    painted, ready = [], []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        file = Path(folder) / "report.html"
        file.write_text(html(report), encoding="utf-8")
        for _ in range(TIMES):
            with opened(browser, file) as (page, _):
                page.wait_for_function(f"{PAINT} !== undefined".replace("[0].startTime", "[0]"))
                painted.append(page.evaluate(PAINT))
                ready.append(page.evaluate(READY))
        size = file.stat().st_size
    print(f"{len(report.variants)} variants, {size / 1e3:,.0f} kB; medians of {TIMES} visits, new each time:")
    print(f"first paint {statistics.median(painted):.0f} ms; all drawn {statistics.median(ready):.0f} ms")


if __name__ == "__main__":
    main()
