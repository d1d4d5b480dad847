"""Whether `edgekit compare --remeasure` finds a network that takes 5 % longer, and leaves a copy of it alone.

    python tests/benchmarks/compare_slowdown.py [REPEATS]

A chain of 40 equal convolutions on OpenVINO in FP32, beside a copy of itself, and beside one of 42: 5 % more work. Each
pair is timed as the verb does, with the gate --max-latency 2%: the copy should not miss it, the longer chain should.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgekit.backends import openvino
from edgekit.validate.latency import Candidate
from edgekit.validate.side_by_side import side_by_side

SIDE, CHANNELS, DEPTH = 32, 64, 40
LIMIT = 1.02


def chain(path: Path, depth: int) -> Path:
    """Writes a network of so many convolutions that takes pixels."""
    dice = np.random.Generator(np.random.PCG64(0))
    weights = [numpy_helper.from_array(dice.normal(0, 0.2, (CHANNELS, 3, 3, 3)).astype(np.float32), "w")]
    nodes = [
        helper.make_node("Cast", ["image"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["f"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["x0"], pads=[1, 1, 1, 1]),
    ]
    for place in range(depth):
        values = dice.normal(0, 0.04, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"w{place}"))
        nodes.append(helper.make_node("Conv", [f"x{place}", f"w{place}"], [f"c{place}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{place}"], [f"x{place + 1}"]))
    nodes.append(helper.make_node("GlobalAveragePool", [f"x{depth}"], ["p"]))
    nodes.append(helper.make_node("Flatten", ["p"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CHANNELS])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), str(path))
    return path


def main(repeats: int) -> None:
    """Prints a row for each comparison."""
    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for name, depth in (("first", DEPTH), ("copy", DEPTH), ("longer", DEPTH * 21 // 20)):
            place = Path(folder) / name
            place.mkdir()
            made[name] = Candidate(name, openvino.compile(chain(place / "net.onnx", depth), place, "fp32"))
        found: dict[str, list[str]] = {"copy": [], "longer": []}
        for _ in range(repeats):
            for name, outcomes in found.items():
                told = side_by_side([made["first"], made[name]], (1, SIDE, SIDE, 3))
                slower = told.slower[name]
                outcomes.append(slower.outcome(LIMIT))
                low, high = slower.ci95
                p50 = told.timed["first"].p50
                print(f"{name:>7}: {slower.times:.3f} ({low:.3f} to {high:.3f}) of {p50:.2f} ms, {outcomes[-1]}")
        for name, outcomes in found.items():
            print(f"{name}: missed {LIMIT:g}x in {outcomes.count('missed')} of {repeats}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
