"""Full-size Inception-v4 at 299x299, random weights: is a latency budget met, and does it beat uniform rounding?

    python tests/benchmarks/pruning_full_size.py [PART]

Chooses widths for PART (0.5) of the dense INT8 latency by the measured table, then finds the uniform ratio, rounded
to 16, whose network has most nearly the same multiply-accumulates, and times the dense and both pruned networks side by
side in one fresh process. Prints the ratios.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from edgekit.backends.for_target import CompileSettings, compile_for
from edgekit.build.stages import Graphs, Run, calibrate, export_graph, quantize_graph
from edgekit.build.widths import Whole, layer_table
from edgekit.models.source import make_network, resolve
from edgekit.prune import fit, onnx_slice
from edgekit.prune.channels import ChannelGraph, Keep, widths
from edgekit.prune.importance import magnitude
from edgekit.prune.select import Knapsack, keep_best, ratio_widths
from edgekit.prune.tracing import trace
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.targets import find
from edgekit.validate.latency import Candidate, measure

GRANULARITY = 16


def macs(graph: ChannelGraph, keep: Keep) -> int:
    """Multiply-accumulates of all convolutions and linear layers."""
    total, counts = 0, widths(graph, keep)
    for layer in graph.layers.values():
        if layer.geometry is not None:
            (inputs, outputs), g = counts[layer.name], layer.geometry
            high = (g.height + 2 * g.padding[0] - g.kernel[0]) // g.stride[0] + 1
            wide = (g.width + 2 * g.padding[1] - g.kernel[1]) // g.stride[1] + 1
            total += high * wide * g.kernel[0] * g.kernel[1] * inputs * outputs
    return total


def main() -> None:
    """Prints what was chosen and what it takes."""
    part = float(sys.argv[1]) if len(sys.argv) > 1 else 0.5
    recipe = Recipe.model_validate({"weights": "random", "width": 1.0, "calibration": {"images": 8}})
    run = Run(recipe, resolve(recipe), Store(), ("fp32", "int8"), target=find("cpu"))
    exported = export_graph(run)
    chosen_images, pool = calibrate(run, None, exported)
    dense = quantize_graph(run, exported, chosen_images, pool, ("fp32", "int8"))
    network = make_network(run.source)
    graph = trace(network, 299)
    scores = magnitude(network, graph, ())
    whole = Whole(run, dense, "int8", graph, scores)
    knapsack = Knapsack(graph, scores, layer_table(run, graph, "int8", GRANULARITY), GRANULARITY)
    budget = part * whole.dense()
    found = fit.within(knapsack, budget, whole.dense_ms, whole.measure)
    for step in found.steps:
        print(f"predicted {step.predicted_ms:.2f} ms, measured {step.measured_ms:.2f} ms, budget {budget:.2f} ms")
    ours = keep_best(graph, found.chosen.widths, scores)
    grid = [each / 200 for each in range(10, 160)]
    alike = [keep_best(graph, ratio_widths(graph, each, GRANULARITY), scores) for each in grid]
    uniform = min(alike, key=lambda keep: abs(macs(graph, keep) - macs(graph, ours)))
    side_by_side(Graphs(dense).of("int8"), graph, {"latency-constrained": ours, "uniform": uniform}, budget)


def side_by_side(dense: Path, graph: ChannelGraph, keeps: dict[str, Keep], budget_ms: float) -> None:
    """Times the dense graph and its cuts in turn, and prints latencies and ratios."""
    with tempfile.TemporaryDirectory() as name:
        candidates = []
        for place, (label, keep) in enumerate({"dense": graph.everything(), **keeps}.items()):
            folder = Path(name) / str(place)
            folder.mkdir()
            onnx_slice.cut(dense, folder / "cut.onnx", graph, keep)
            made = compile_for("cpu", folder / "cut.onnx", folder, "int8", CompileSettings())
            candidates.append(Candidate(label, made.runtime, made.path, made.precision))
        timed = measure(candidates, (1, 299, 299, 3), 200, 90.0).latency
    for label, keep in {"dense": graph.everything(), **keeps}.items():
        print(f"{label}: {macs(graph, keep) / 1e9:.2f} GMACs, p50 {timed[label].p50:.2f} ms")
    print(f"budget {budget_ms:.2f} ms: off by {100 * (timed['latency-constrained'].p50 / budget_ms - 1):+.1f} %")
    print(f"uniform / latency-constrained: {timed['uniform'].p50 / timed['latency-constrained'].p50:.2f}x")


if __name__ == "__main__":
    main()
