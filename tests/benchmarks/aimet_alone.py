"""The recipes of aimet-onnx on a float graph, within some seconds; run by beside_aimet.py with aimet's own Python.

    python tests/benchmarks/aimet_alone.py FOLDER SECONDS

FOLDER holds float.onnx and calibration, tuning and judged.npz. Leaves chosen.json, and right.npy: which of the judged
pictures the recipe has right that lost least of the tuning ones.
"""

# mypy: ignore-errors

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import aimet_onnx
import numpy as np
import onnx
from aimet_onnx.cross_layer_equalization import equalize_model

BATCH = 50
RECIPES = (
    # name, ranges, whether channels are equalised, sequential MSE, iterations of adaptive rounding for each layer
    ("min-max", "min_max", False, False, 0),
    ("ranges by SQNR", "tf_enhanced", False, False, 0),
    ("equalised, min-max", "min_max", True, False, 0),
    ("equalised, ranges by SQNR", "tf_enhanced", True, False, 0),
    ("sequential MSE, ranges by SQNR", "tf_enhanced", False, True, 0),
    ("adaptive rounding, ranges by SQNR", "tf_enhanced", False, False, 500),
    ("equalised, adaptive rounding, ranges by SQNR", "tf_enhanced", True, False, 500),
)


def quantized(folder, ranges, equalised, sequential, iterations, inputs):
    """A simulation in INT8: weights a scale a channel, activations one a tensor."""
    model = onnx.load(folder / "float.onnx")
    if equalised:
        equalize_model(model)
    sim = aimet_onnx.QuantizationSimModel(
        model, param_type="int8", activation_type="int8", quant_scheme=ranges, providers=["CPUExecutionProvider"]
    )
    if sequential:
        aimet_onnx.apply_seq_mse(sim, inputs[:2])
    if iterations:
        aimet_onnx.apply_adaround(sim, inputs, num_iterations=iterations)
    with aimet_onnx.compute_encodings(sim):
        for each in inputs:
            sim.session.run(None, each)
    return sim  # its session reads what the simulation holds


def right(session, name, shown):
    """Which pictures a session has right."""
    pictures, labels = shown
    parts = [session.run(None, {name: pictures[at : at + BATCH]})[0] for at in range(0, len(pictures), BATCH)]
    return np.concatenate(parts).argmax(1) == labels


def main(folder, seconds):
    """Prints a line for each recipe that there was time for."""
    sets = {}
    for name in ("calibration", "tuning", "judged"):
        with np.load(folder / f"{name}.npz") as arrays:
            sets[name] = arrays["pictures"], arrays["labels"]
    name = onnx.load(folder / "float.onnx").graph.input[0].name
    pictures = sets["calibration"][0]
    inputs = [{name: pictures[at : at + BATCH]} for at in range(0, len(pictures), BATCH)]
    began, best = time.monotonic(), None
    for recipe, *how in RECIPES:
        if time.monotonic() - began > seconds:
            print(f"   no time for: {recipe}", flush=True)
            continue
        try:
            sim = quantized(folder, *how, inputs)
        except Exception as error:  # one that a version cannot do on this graph is told, and the next one tried
            print(f"   failed: {recipe}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            continue
        score = float(right(sim.session, name, sets["tuning"]).mean())
        spent = time.monotonic() - began
        answers = right(sim.session, name, sets["judged"])
        shares = f"{100 * score:6.2f} % of tuning, {100 * answers.mean():6.2f} % judged"
        print(f"{spent:7.1f} s  {shares}  {recipe}", flush=True)
        if best is None or score > best[0]:
            best = (score, recipe, spent, answers)
    _, recipe, spent, answers = best
    (folder / "chosen.json").write_text(json.dumps({"name": recipe, "seconds": spent}))
    np.save(folder / "right.npy", answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
