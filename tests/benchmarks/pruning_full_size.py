"""Full-size Inception-v4 at 299x299, random weights: is a latency budget met, and does it beat uniform rounding?

    python tests/benchmarks/pruning_full_size.py [PART] [--width 1.0]

Chooses widths for PART (0.5) of the dense INT8 latency by the measured table, then finds the uniform ratio, rounded
to 16, whose network has most nearly the same multiply-accumulates, and times the dense and both pruned networks side by
side in one fresh process. Prints the ratios.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from edgekit.build.calibrate import calibration_data
from edgekit.build.choose_widths import ChooseWidthsInput, WholeNetwork
from edgekit.build.export import EXPORT, ExportInput
from edgekit.build.plan import Plan, planned
from edgekit.build.quantize import QUANTIZE, quantize_input
from edgekit.build.runner import Runner
from edgekit.models.source import make_network
from edgekit.prune import fit, onnx_slice
from edgekit.prune.channels import ChannelGraph, Keep, widths
from edgekit.prune.choice import Want
from edgekit.prune.importance import magnitude
from edgekit.prune.select import Knapsack, keep_best, ratio_widths
from edgekit.prune.table import measured, probes_for
from edgekit.prune.timing import layer_timer
from edgekit.prune.tracing import trace
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.temporary import temporary_folder
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
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("part", type=float, nargs="?", default=0.5, help="of the dense INT8 latency")
    asked.add_argument("--width", type=float, default=1.0, help="of the network")
    given = asked.parse_args()
    recipe = Recipe.model_validate({"weights": "random", "width": given.width, "calibration": {"images": 8}})
    run = Runner(Store())
    plan = planned(recipe, run.store)
    how = plan.source.preprocessing
    exported = run(EXPORT, ExportInput(plan.source, how.size))
    calibration = calibration_data(plan, run, exported, None, None)
    dense = run(QUANTIZE, quantize_input(plan, exported, calibration, ("int8",))).of("int8")
    network = make_network(plan.source)
    graph = trace(network, how.size)
    scores = magnitude(network, graph, ())
    choosing = ChooseWidthsInput(
        plan.source,
        dense,
        "int8",
        Want("knee"),
        dense,
        "magnitude",
        GRANULARITY,
        how,
        False,
        0,
        plan.executor,
        None,
    )
    with temporary_folder() as folder:
        whole = WholeNetwork(choosing, graph, scores, None, lambda done, total, what: None, folder)
        probes, timer = probes_for(graph, GRANULARITY), layer_timer(plan.backend, "int8")
        table = measured(folder / "layers.json", probes, timer, GRANULARITY)
        knapsack = Knapsack(graph, scores, table, GRANULARITY)
        budget = given.part * whole.dense_ms
        found = fit.within(knapsack, budget, whole.dense_ms, whole.measure)
    for step in found.steps:
        print(f"predicted {step.predicted_ms:.2f} ms, measured {step.measured_ms:.2f} ms, budget {budget:.2f} ms")
    ours = keep_best(graph, found.chosen.widths, scores)
    grid = [each / 200 for each in range(10, 160)]
    alike = [keep_best(graph, ratio_widths(graph, each, GRANULARITY), scores) for each in grid]
    uniform = min(alike, key=lambda keep: abs(macs(graph, keep) - macs(graph, ours)))
    side_by_side(plan, dense.path, graph, {"latency-constrained": ours, "uniform": uniform}, budget)


def side_by_side(plan: Plan, dense: Path, graph: ChannelGraph, keeps: dict[str, Keep], budget_ms: float) -> None:
    """Times the dense graph and its cuts in turn, and prints latencies and ratios."""
    with tempfile.TemporaryDirectory() as name:
        candidates = []
        for place, (label, keep) in enumerate({"dense": graph.everything(), **keeps}.items()):
            folder = Path(name) / str(place)
            folder.mkdir()
            onnx_slice.cut(dense, folder / "cut.onnx", graph, keep)
            made = plan.compiler.compile(folder / "cut.onnx", folder, "int8", plan.settings)
            candidates.append(Candidate(label, made))
        timed = measure(candidates, (1, 299, 299, 3), 200, 90.0).latency
    for label, keep in {"dense": graph.everything(), **keeps}.items():
        print(f"{label}: {macs(graph, keep) / 1e9:.2f} GMACs, p50 {timed[label].p50:.2f} ms")
    print(f"budget {budget_ms:.2f} ms: off by {100 * (timed['latency-constrained'].p50 / budget_ms - 1):+.1f} %")
    print(f"uniform / latency-constrained: {timed['uniform'].p50 / timed['latency-constrained'].p50:.2f}x")


if __name__ == "__main__":
    main()
