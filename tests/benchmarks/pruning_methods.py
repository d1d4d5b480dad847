"""Accuracy at an equal INT8 latency: latency-constrained pruning against uniform magnitude pruning.

    python tests/benchmarks/pruning_methods.py --out docs/pruning-methods.md
    python tests/benchmarks/pruning_methods.py --weights half/weights.safetensors --width 0.5 --out half.md

For each budget, a part of the dense INT8 latency, both methods get the same network, images, minutes of recovery and
seed. Uniform pruning removes the same share of every layer, rounded to the target's granularity, the smallest share
that meets the budget as measured. Both are quantized with the same calibration set, judged on the same 2,400 validation
pictures, and timed side by side in one fresh process.
"""

from __future__ import annotations

import argparse
import tempfile
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgekit.backends import backend
from edgekit.build.calibrate import calibration_data
from edgekit.build.choose_widths import ChooseWidthsInput, WholeNetwork
from edgekit.build.export import EXPORT, ExportInput
from edgekit.build.plan import Plan, planned
from edgekit.build.prune import Origin, pruned_network
from edgekit.build.quantize import QUANTIZE, quantize_input
from edgekit.build.runner import Event, Runner
from edgekit.build.stage import File
from edgekit.data.folder import open_images
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.source import make_network
from edgekit.prune.channels import ChannelGraph
from edgekit.prune.choice import Want
from edgekit.prune.importance import magnitude
from edgekit.prune.select import Chosen, ratio_widths
from edgekit.prune.tracing import trace
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.temporary import temporary_folder
from edgekit.validate.accuracy import accuracy, paired_drop
from edgekit.validate.evaluation import predict
from edgekit.validate.latency import Candidate, measure

RATIOS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)
METHODS = ("latency-constrained", "uniform magnitude")


def main() -> None:
    """Runs the comparison and writes the table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--weights", help="of another network; the shipped one by default")
    asked.add_argument("--width", type=float, default=0.5, help="of that network")
    asked.add_argument("--budgets", type=float, nargs="+", default=[0.65, 0.5], help="parts of the dense INT8 latency")
    asked.add_argument("--minutes", type=float, default=2.5, help="of recovery, for each")
    asked.add_argument("--images", type=int, default=2_400)
    asked.add_argument("--out", type=Path, default=Path("docs/pruning-methods.md"))
    given = asked.parse_args()
    base: dict[str, Any] = {"pruning": {"minutes": given.minutes, "sensitivity": False}}
    if given.weights:
        base |= {"weights": given.weights, "width": given.width, "num_classes": 24, "data": "signs"}
        base["pruning"]["train_data"] = "signs"
    rows: list[list[str]] = []
    for part in given.budgets:
        rows += compared(base, part, given.images)
        given.out.write_text(page(rows, given), encoding="utf-8")
    print(given.out.read_text(encoding="utf-8"))


def compared(base: dict[str, Any], part: float, count: int) -> list[list[str]]:
    """Two rows: both methods at one budget."""
    plan, run = started(base)
    exported = run(EXPORT, ExportInput(plan.source, plan.source.preprocessing.size))
    calibration = calibration_data(plan, run, exported, None, None)
    dense = run(QUANTIZE, quantize_input(plan, exported, calibration, ("fp32", "int8")))
    with temporary_folder() as work:
        whole = watched(plan, dense.of("int8"), work)
        budget = part * whole.dense_ms
        ratio = RATIOS[bisect_left(RATIOS, -budget, key=lambda each: -whole.measure(alike(whole.graph, each)))]
    recipes: tuple[dict[str, Any], ...] = ({"prune": "auto", "latency_budget_ms": budget}, {"prune": ratio})
    graphs, facts = {"fp32": dense.of("fp32").path, "int8": dense.of("int8").path}, {}
    for method, extra in zip(METHODS, recipes, strict=True):
        importance = "fisher" if method == METHODS[0] else "magnitude"
        pruning = {**base["pruning"], "importance": importance}
        ours, run = started({**base, **extra, "pruning": pruning})
        made = pruned_network(ours, run, Origin(exported, dense, calibration, None))
        assert made.recovered is not None, made.reason
        narrow = run(QUANTIZE, quantize_input(ours, made.recovered.exported, calibration, ("int8",)))
        graphs[method], facts[method] = narrow.of("int8").path, made.recovered.exported.facts
    return judged(plan, graphs, facts, budget, ratio, count)


def alike(graph: ChannelGraph, ratio: float) -> Chosen:
    """The same share of every layer removed."""
    return Chosen(ratio_widths(graph, ratio, 16), 0.0, 0.0)


def started(settings: dict[str, Any]) -> tuple[Plan, Runner]:
    run = Runner(Store(), say)
    return planned(Recipe.model_validate(settings), run.store), run


def say(event: Event) -> None:
    if event.finished:
        print(f"{event.stage}: done", flush=True)


def watched(plan: Plan, dense: File, work: Path) -> WholeNetwork:
    """What times the INT8 network at other widths, whose graphs lie in `work`."""
    network, how = make_network(plan.source), plan.source.preprocessing
    graph = trace(network, how.size)
    choosing = ChooseWidthsInput(
        plan.source,
        dense,
        "int8",
        Want("knee"),
        dense,
        "magnitude",
        16,
        how,
        False,
        0,
        plan.executor,
        None,
    )
    return WholeNetwork(choosing, graph, magnitude(network, graph, ()), None, lambda done, total, what: None, work)


def judged(
    plan: Plan, graphs: Mapping[str, Path], facts: Mapping[str, GraphFacts], budget: float, ratio: float, count: int
) -> list[list[str]]:
    """Accuracy of all on the same pictures, and latency side by side, as the table's rows."""
    images, how = open_images("signs", limit=count), plan.source.preprocessing
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        forms = {}
        for place, (label, graph) in enumerate(graphs.items()):
            folder = Path(name) / str(place)
            folder.mkdir()
            precision = "fp32" if label == "fp32" else "int8"
            forms[label] = plan.compiler.compile(graph, folder, precision, plan.settings)
        sessions = {
            label: stack.enter_context(backend(form.backend).load(form, "throughput")) for label, form in forms.items()
        }
        logits = predict(sessions, images, how, range(count))
        timed = measure([Candidate(*each) for each in forms.items()], (1, *how.size, 3), 200, 60.0)
    labels = images.labels
    assert labels is not None
    between = paired_drop(logits[METHODS[0]], logits[METHODS[1]], labels)
    rows = []
    for method in METHODS:
        drop = paired_drop(logits["fp32"], logits[method], labels)
        network, label = facts[method], method if method == METHODS[0] else f"{method}, {100 * ratio:.0f} %"
        rows.append(
            [
                f"{budget:.2f}",
                label,
                f"{timed.latency[method].p50:.2f}",
                f"{network.macs / 1e9:.3f}",
                f"{network.params / 1e6:.2f}",
                f"{accuracy(logits[method], labels).top1:.2f}",
                f"{drop.drop:.2f} ({drop.ci95[0]:.2f} to {drop.ci95[1]:.2f})",
                f"{between.drop:+.2f} ({between.ci95[0]:.2f} to {between.ci95[1]:.2f})" if method == METHODS[0] else "",
            ]
        )
    return rows


def page(rows: Sequence[Sequence[str]], given: argparse.Namespace) -> str:
    head = ("budget, ms", "method", "p50, ms", "GMACs", "params, M", "top-1, %", "drop from FP32, points",
            "first against second, points")  # fmt: skip
    name = (
        f"{given.width:g} of the full width, {given.weights}" if given.weights else "the shipped quarter-width network"
    )
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---:", "---", *["---:"] * 6], *rows)]
    return (
        "# Latency-constrained against uniform magnitude pruning\n\n"
        f"Inception-v4 on the rendered signs ({name}), INT8 on OpenVINO, {given.images} validation pictures,\n"
        f"{given.minutes:g} minutes of recovery each; intervals are 95 %, paired on the same pictures. Made by\n"
        "`python tests/benchmarks/pruning_methods.py`, whose first lines say how.\n\n" + "\n".join(lines) + "\n"
    )


if __name__ == "__main__":
    main()
