"""What each way to make a network faster costs and wins: INT8, narrower widths, whole blocks, smaller pictures.

    python tests/benchmarks/deeper_cuts.py inception_resnet_v1
    python tests/benchmarks/deeper_cuts.py inception_v4 --sizes 224,176 --minutes 3 --store DIR

Up to three builds of each network by the command line: `--prune auto`, the same with `--prune-blocks` where it has
residual blocks, and the same with `--sizes`. Each build times its variants interleaved, so a ratio is of one run;
accuracies are of the same validation pictures, drops paired with FP32. Every variant is printed, also one that was
taken back. Stages stay in the store: a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgekit.report.summary import interval
from edgekit.targets import processor

WITH_BLOCKS = ("inception_resnet_v1", "inception_resnet_v2")
HEAD = "| build | variant | top-1, % | against FP32, points | p50, ms | FP32 takes as long, times |"


def main() -> None:
    """Builds, and prints a table for each network."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("models", nargs="+")
    asked.add_argument("--sizes", default="224,176")
    asked.add_argument("--minutes", type=float, help="ceiling of recovery in each build; the build's own by default")
    asked.add_argument("--store", type=Path, default=Path(tempfile.gettempdir()) / "edgekit-deeper-cuts")
    given = asked.parse_args()
    print(f"{processor()[0]}, {os.cpu_count()} cores\n")
    for model in given.models:
        print(f"{model}\n\n{HEAD}\n| --- | --- | ---: | ---: | ---: | ---: |")
        blocks = {"widths and blocks": ("--prune-blocks",)} if model in WITH_BLOCKS else {}
        for way, flags in {"widths": (), **blocks, "widths and sizes": ("--sizes", given.sizes)}.items():
            report = built(model, flags, given)
            for row in rows(way, report):
                print(row)
            print(f"| {way} | in the bundle: {report['chosen']} | | | | |", flush=True)
        print()


def built(model: str, flags: Sequence[str], given: argparse.Namespace) -> Mapping[str, Any]:
    """The report of a build."""
    minutes = () if given.minutes is None else ("--recovery-minutes", str(given.minutes))
    with tempfile.TemporaryDirectory() as folder:
        words = ("build", "--model", model, *flags, *minutes, "--out", f"{folder}/bundle", "--json")
        ran = subprocess.run(
            [sys.executable, "-m", "edgekit", *words],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"EDGEKIT_CACHE": str(given.store)},
        )
    if ran.returncode not in (0, 3):
        raise SystemExit(f"edgekit {' '.join(words)} ended with {ran.returncode}")
    told: Mapping[str, Any] = json.loads(ran.stdout)
    return told


def rows(way: str, report: Mapping[str, Any]) -> Iterator[str]:
    """A line for each variant that was evaluated."""
    base = next(each for each in report["variants"] if each["name"] == "fp32")
    for each in report["variants"]:
        top1, p50 = each["accuracy"]["top1"], each["latency"]["p50"]
        if top1 is None:
            continue
        low, high = each["accuracy"]["ci95"]
        drop = "" if each is base else drop_of(report, each, base)
        accurate = f"{top1:.2f} ({low:.1f} to {high:.1f})"
        yield f"| {way} | {each['name']} | {accurate} | {drop} | {p50:.2f} | {base['latency']['p50'] / p50:.2f} |"


def drop_of(report: Mapping[str, Any], variant: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """The drop with its paired interval, where the report has one: of the variant in the bundle."""
    told = report["verdict"]["accuracy"]
    if variant["name"] == report["chosen"]:
        return f"{told['drop']:.2f}{interval(told['ci95'], 2)}"
    return f"{base['accuracy']['top1'] - variant['accuracy']['top1']:.2f}"


if __name__ == "__main__":
    main()
