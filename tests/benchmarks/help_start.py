"""How long `edgekit --help` takes, against importing click alone; the two are run in turn.

Run:  .venv/bin/python tests/benchmarks/help_start.py [ROUNDS]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

BASELINE = (sys.executable, "-c", "import click")
EDGEKIT = (str(Path(sys.executable).parent / "edgekit"), "--help")


def elapsed_ms(command: tuple[str, ...]) -> float:
    """Wall time of one run of a command, in milliseconds."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - began) * 1000


def main() -> None:
    """Print the medians and the median of the pairwise ratios."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("rounds", type=int, nargs="?", default=20)
    rounds = asked.parse_args().rounds
    for command in (BASELINE, EDGEKIT):  # fills the file cache and writes the bytecode
        elapsed_ms(command)
    pairs = [(elapsed_ms(BASELINE), elapsed_ms(EDGEKIT)) for _ in range(rounds)]
    baseline_ms = statistics.median(pair[0] for pair in pairs)
    edgekit_ms = statistics.median(pair[1] for pair in pairs)
    ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
    print(f"import click {baseline_ms:.0f} ms, edgekit --help {edgekit_ms:.0f} ms, ratio {ratio:.2f} ({rounds} rounds)")


if __name__ == "__main__":
    main()
