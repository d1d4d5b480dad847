"""What a cold build takes beyond the bare library calls it makes: export, quantize, compile, each in a fresh process.

    python tests/benchmarks/build_overhead.py [ROUNDS]

Runs both in turn and prints the ratio of the medians of their stages' wall-clock seconds; measurement itself is aside.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import io, os, sys, warnings
os.environ["NNCF_CI"] = "1"
warnings.simplefilter("ignore")
from pathlib import Path
import numpy as np
import torch, onnx, openvino, nncf
from safetensors.torch import load_file
from edgekit.data.signs import draw
from edgekit.models import create
from edgekit.models.registry import WEIGHTS_DIR
into = Path(sys.argv[1])
network = create("inception_v4", 24, 0.25)
state = load_file(WEIGHTS_DIR / "inception_v4.signs.safetensors")
network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
torch.onnx.export(network.eval(), (torch.zeros(1, 3, 299, 299),), str(into / "m.onnx"), dynamo=True, opset_version=20,
                  external_data=False, verbose=False)
model = onnx.load(str(into / "m.onnx"))
name = model.graph.input[0].name
pictures = (draw("calibration", index, 299) for index in range(300))
data = ({name: ((p[None].transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).astype(np.float32)} for p in pictures)
onnx.save(nncf.quantize(model, nncf.Dataset(list(data)), subset_size=300), str(into / "int8.onnx"))
for name in ("m.onnx", "m.onnx", "int8.onnx"):
    openvino.save_model(openvino.Core().read_model(str(into / name)), str(into / "m.xml"), compress_to_fp16=False)
"""


def bare(folder: Path) -> float:
    """Seconds of the bare calls."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", BARE, str(folder)], capture_output=True, check=True)
    return time.perf_counter() - began


def ours(folder: Path) -> float:
    """Seconds of a cold build's export, calibrate, quantize and compile stages, and of starting the command."""
    recipe = folder / "quick.yaml"
    recipe.write_text("prune: none\nlatency: {runs: 10, max_seconds: 1}\nimages: 24\n")
    began = time.perf_counter()
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "edgekit",
            "build",
            "--recipe",
            str(recipe),
            "--out",
            str(folder / "out"),
            "--json",
            "-q",
        ],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"EDGEKIT_CACHE": str(folder / "store")},
    )
    whole = time.perf_counter() - began
    stages = {stage["name"]: stage["seconds"] for stage in json.loads(answer.stdout)["stages"]}
    return float(whole - stages["validate"] - stages["measure"] - stages["profile"])


def main() -> None:
    """Prints both medians and their ratio."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("rounds", type=int, nargs="?", default=3)
    rounds = asked.parse_args().rounds
    seconds: dict[str, list[float]] = {"bare": [], "edgekit": []}
    for _ in range(rounds):
        for name, run in (("bare", bare), ("edgekit", ours)):
            with tempfile.TemporaryDirectory() as folder:
                seconds[name].append(run(Path(folder)))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    ratio = medians["edgekit"] / medians["bare"]
    print(
        f"bare calls {medians['bare']:.1f} s, edgekit {medians['edgekit']:.1f} s, ratio {ratio:.2f} ({rounds} rounds)"
    )


if __name__ == "__main__":
    main()
