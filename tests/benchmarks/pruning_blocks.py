"""Accuracy at an equal INT8 latency: whole residual blocks beside channels, against channels alone.

    python tests/benchmarks/pruning_blocks.py
    python tests/benchmarks/pruning_blocks.py --model inception_resnet_v1 --share 0.5 --minutes 3

Both ways get the same network, images, minutes of recovery and seed, and the same part of the dense INT8 latency to
reach, as measured; where one of them cannot, that is said, and a larger share is to be given. Both are quantized with
the same calibration set, judged on the same validation pictures (the drop between them is paired), and timed side by
side in one process. What is finished stays in the store: a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.backends import backend
from edgekit.build.calibrate import calibration_data
from edgekit.build.export import EXPORT, ExportInput
from edgekit.build.plan import Plan, planned
from edgekit.build.prune import Origin, Pruned, pruned_network
from edgekit.build.quantize import QUANTIZE, Quantized, quantize_input
from edgekit.build.runner import Event, Runner
from edgekit.data.folder import open_images
from edgekit.recipe import Recipe
from edgekit.store import Store
from edgekit.validate.accuracy import accuracy, paired_drop
from edgekit.validate.evaluation import predict
from edgekit.validate.latency import Candidate, measure

WAYS = {"blocks and channels": True, "channels alone": False}


@dataclass(frozen=True)
class Made:
    """A network that was pruned in one way, and its INT8 graph."""

    pruned: Pruned
    graph: Path


def main() -> None:
    """Runs the comparison and prints it."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--model", default="inception_resnet_v2")
    asked.add_argument("--share", type=float, default=0.4, help="of the dense INT8 latency, to be reached")
    asked.add_argument("--minutes", type=float, default=1.5, help="of recovery, for each")
    asked.add_argument("--images", type=int, default=2_400)
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    pruning = {"minutes": given.minutes, "sensitivity": False, "latency_share": given.share}
    base = {"model": given.model, "prune": "auto", "seed": given.seed, "pruning": pruning}
    plan, run = started(base)
    exported = run(EXPORT, ExportInput(plan.source, plan.source.preprocessing.size))
    calibration = calibration_data(plan, run, exported, None, None)
    dense = run(QUANTIZE, quantize_input(plan, exported, calibration, ("fp32", "int8")))
    origin = Origin(exported, dense, calibration, None)
    made = {name: pruned(base, blocks, origin) for name, blocks in WAYS.items()}
    for line in judged(plan, dense, made, given.images):
        print(line)


def started(settings: Mapping[str, Any]) -> tuple[Plan, Runner]:
    run = Runner(Store(), say)
    return planned(Recipe.model_validate(settings), run.store), run


def say(event: Event) -> None:
    if event.finished:
        print(f"{event.stage}: done", flush=True)


def pruned(base: Mapping[str, Any], blocks: bool, origin: Origin) -> Made:
    """Pruned to the latency, recovered and quantized."""
    plan, run = started({**base, "pruning": {**base["pruning"], "blocks": blocks}})
    made = pruned_network(plan, run, origin)
    if made.recovered is None:
        raise SystemExit(f"{'with' if blocks else 'without'} blocks: {made.reason}")
    narrow: Quantized = run(QUANTIZE, quantize_input(plan, made.recovered.exported, origin.calibration, ("int8",)))
    return Made(made, narrow.of("int8").path)


def judged(plan: Plan, dense: Quantized, made: Mapping[str, Made], count: int) -> list[str]:
    """What was made, its accuracy on the same pictures, and its latency side by side."""
    images, how = open_images("signs", limit=count), plan.source.preprocessing
    graphs = {"fp32": dense.of("fp32").path, "int8": dense.of("int8").path} | {n: m.graph for n, m in made.items()}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        forms = {}
        for place, (label, graph) in enumerate(graphs.items()):
            (Path(name) / str(place)).mkdir()
            precision = "fp32" if label == "fp32" else "int8"
            forms[label] = plan.compiler.compile(graph, Path(name) / str(place), precision, plan.settings)
        sessions = {
            label: stack.enter_context(backend(form.backend).load(form, "throughput")) for label, form in forms.items()
        }
        logits = predict(sessions, images, how, range(count))
        timed = measure([Candidate(*each) for each in forms.items()], (1, *how.size, 3), 200, 60.0)
    labels = images.labels
    assert labels is not None
    lines = []
    for label in graphs:
        drop, found = paired_drop(logits["fp32"], logits[label], labels), made.get(label)
        lines.append(
            f"{label}: p50 {timed.latency[label].p50:.2f} ms, top-1 {accuracy(logits[label], labels).top1:.2f} %,"
            f" drop {drop.drop:.2f} ({drop.ci95[0]:.2f} to {drop.ci95[1]:.2f})"
        )
        lines += [] if found is None else [f"  {line}" for line in told(found.pruned)]
    between = paired_drop(logits["blocks and channels"], logits["channels alone"], labels)
    gain = f"{between.drop:+.2f} points ({between.ci95[0]:+.2f} to {between.ci95[1]:+.2f}, paired)"
    return [*lines, f"blocks and channels against channels alone: {gain} of {count} pictures"]


def told(pruned: Pruned) -> list[str]:
    """How large it is, what is gone, what was predicted, and what recovery did."""
    chosen, recovered = pruned.chosen, pruned.recovered
    assert chosen is not None
    assert recovered is not None
    facts, recovery, fit = recovered.exported.facts, recovered.recovery, chosen.latency
    lines = [f"{facts.macs / 1e9:.3f} GMACs, {facts.params / 1e6:.2f} M parameters"]
    if chosen.blocks is not None:
        lines.append(f"{len(chosen.blocks.removed)} of {chosen.blocks.there} blocks removed: {chosen.blocks.removed}")
    if fit is not None:
        steps = "; ".join(f"{step.predicted_ms:.2f} -> {step.measured_ms:.2f}" for step in fit.steps)
        lines.append(f"predicted -> measured, ms: {steps} (dense {fit.dense_ms:.2f}, budget {fit.budget_ms or 0:.2f})")
    lines.append(f"recovery: {recovery.images} images, {recovery.steps} steps, {recovery.seconds:.0f} s")
    return [*lines, f"tuning: {recovery.tuning}"]


if __name__ == "__main__":
    main()
