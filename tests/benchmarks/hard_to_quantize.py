"""What plain INT8 costs a depthwise network with hard-swish and squeeze-excite, and what the search wins back.

    python tests/benchmarks/hard_to_quantize.py [FOLDER [SEED [MINUTES]]]

Trains MobileNetV3-small at half its width on the signs (mobile_network.py and .yaml; some minutes on two cores; it is
gone on with in FOLDER, and done once), then builds it with `--precision mixed` and MINUTES (5) to look. Plain INT8
and what was found are judged on 2,400 validation signs; the search chooses by others. To win back: 80 % of what plain
INT8 loses, where that is 3 points or more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgekit.validate.accuracy import drop_interval

HERE = Path(__file__).resolve().parent
RECIPE = "prune: none\nlatency: {runs: 50, max_seconds: 5}\n"


def edgekit(*words: str) -> None:
    """Runs the command with the network's module at hand."""
    paths = [str(HERE), str(HERE.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "edgekit", *words], env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)}, check=False
    )
    assert done.returncode in (0, 3), done.returncode


def drop(variant: dict[str, Any]) -> str:
    """Points lost from FP32, with the paired interval."""
    flips, images = variant["flips"], variant["accuracy"]["images"]
    low, high = drop_interval(flips["lost"], flips["won"], images)
    return f"{100 * (flips['lost'] - flips['won']) / images:5.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Prints what was tried, and the drops on the evaluation images."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, usual in (("folder", "build/hard-to-quantize"), ("seed", "1"), ("minutes", "5")):
        asked.add_argument(name, nargs="?", default=usual)
    given = asked.parse_args()
    folder = Path(given.folder) / given.seed
    folder.mkdir(parents=True, exist_ok=True)
    weights, out = folder / "train" / "weights.safetensors", folder / "bundle"
    if not weights.exists():
        recipe = str(HERE / "mobile_network.yaml")
        edgekit("train", "--recipe", recipe, "--seed", given.seed, "--out", str(folder / "train"))
    (folder / "quick.yaml").write_text(RECIPE)
    network = ["--model", "mobile_network:uneven", "--weights", str(weights), "--size", "96", "--data", "signs"]
    looking = ["--precision", "mixed", "--max-drop", "1", "--time-budget", given.minutes, "--images", "2400"]
    edgekit("build", *network, *looking, "--recipe", str(folder / "quick.yaml"), "--out", str(out))
    report = json.loads((out / "report.json").read_text())
    search, variants = report["tuning"], {each["name"]: each for each in report["variants"]}
    for trial in search["trials"]:
        print(f"{trial['seconds']:7.1f} s  {trial['drop']:6.2f}  {trial['name']}")
    print(f"{search['seconds']:.0f} s; {search['ended']}; {len(search['floats'])} operators in 16 bits")
    lost = {name: each["flips"]["lost"] - each["flips"]["won"] for name, each in variants.items() if each.get("flips")}
    for name in lost:
        top1, latency_ms = variants[name]["accuracy"]["top1"], variants[name]["latency"]["p50"]
        print(f"{name:8} top-1 {top1:.2f} %, drop {drop(variants[name])}, p50 {latency_ms:.2f} ms")
    print(f"won back: {100 * (1 - lost['mixed'] / max(1, lost['int8'])):.0f} %")


if __name__ == "__main__":
    main()
