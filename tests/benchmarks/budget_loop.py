"""What the budget loop takes: memory against plain quantization, and time against its budget.

    python tests/benchmarks/budget_loop.py [MODEL [WIDTH [MINUTES [IMAGES]]]]

Builds MODEL twice, plain and with a budget that cannot be kept, so that the loop tries all it has time for, and trains.
Memory is the proportional set size of the command and its children, looked at five times a second (Linux). A WIDTH has
random weights, and nothing is trained then.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

RECIPE = "prune: none\nlatency: {runs: 10, max_seconds: 2}\n"


def held_bytes(root: int) -> int:
    """What a process and its children hold now, shared memory shared out."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            children[int(stat.read_text().rpartition(")")[2].split()[1])].append(int(stat.parent.name))
        except OSError:
            continue
    total, left = 0, [root]
    while left:
        one = left.pop()
        left += children[one]
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def built(folder: Path, name: str, *flags: str) -> tuple[int, dict[str, Any]]:
    """The most memory that a build held, and its report."""
    (folder / "quick.yaml").write_text(RECIPE)
    out = folder / name
    command = [sys.executable, "-m", "edgekit", "build", "--recipe", str(folder / "quick.yaml"), "--out", str(out)]
    most = 0
    with subprocess.Popen(
        [*command, "-q", *flags], env=os.environ | {"EDGEKIT_CACHE": str(folder / f"store-{name}")}
    ) as build:
        while build.poll() is None:
            most = max(most, held_bytes(build.pid))
            time.sleep(0.2)
    assert build.returncode in (0, 3)
    return most, json.loads((out / "report.json").read_text())


def main() -> None:
    """Prints both peaks, their ratio, and the loop's time."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("model", "inception_resnet_v2"), ("width", ""), ("minutes", "5"), ("images", "480")):
        asked.add_argument(name, nargs="?", default=usual)
    given = asked.parse_args()
    same = ["--model", given.model, "--images", given.images]
    same += ["--width", given.width, "--weights", "random"] if given.width else []
    with tempfile.TemporaryDirectory() as folder:
        plain, _ = built(Path(folder), "plain", *same)
        tried, report = built(
            Path(folder), "mixed", *same, "--precision", "mixed", "--max-drop", "0", "--time-budget", given.minutes
        )
    tuning = report["tuning"]
    for trial in tuning["trials"]:
        print(f"{trial['seconds']:7.1f} s  {trial['drop']:6.2f}  {trial['name']}")
    print(f"{tuning['seconds']:.1f} of {tuning['budget_seconds']:.1f} s, {tuning['ended']}")
    print(f"plain {plain / 1e9:.2f} GB, loop {tried / 1e9:.2f} GB: {tried / plain:.2f}x")


if __name__ == "__main__":
    main()
