"""What the pruning stages do when they are not in the store: trace, weigh, time, choose, recover, export."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgekit.backends.for_target import compile_for
from edgekit.build.prove import compile_settings, is_executed, time_forms
from edgekit.build.run import Event, Graphs, Run, machine_identity, write
from edgekit.models.export import export_network
from edgekit.models.source import make_network
from edgekit.models.weights import write_weights
from edgekit.prune import fit, onnx_slice
from edgekit.prune.channels import ChannelGraph, Keep, widths
from edgekit.prune.images import training_batches, tuning_of
from edgekit.prune.importance import DATA_DRIVEN, IMPORTANCES
from edgekit.prune.recover import NOTHING, PrunedNetwork, RecoveryImages, RecoverySettings, recover
from edgekit.prune.select import Chosen, Importance, Knapsack, keep_best, ratio_widths
from edgekit.prune.sensitivity import sensitivity
from edgekit.prune.sources import PruningImages
from edgekit.prune.surgery import check, slimmed
from edgekit.prune.table import LatencyTable, measured, probes_for
from edgekit.prune.timing import openvino_timer
from edgekit.prune.tracing import trace
from edgekit.store import Entry

if TYPE_CHECKING:
    from torch import nn

    from edgekit.training.loop import Tick

IMPORTANCE_IMAGES: Final = 256
MEASURING: Final = (60, 12.0)
"""Runs and seconds that a choice of widths is measured with."""


def choose(
    run: Run,
    quantized: Entry,
    images: PruningImages | None,
    wanted: str,
    importance: str,
    want: Mapping[str, Any],
) -> tuple[dict[str, Any], Keep]:
    """Which channels stay, and what is told of the choice.

    Args:
        want: {"kind": "ratio", "ratio"}, {"kind": "budget", "budget_ms"} or {"kind": "knee"}.
    Raises:
        InputError: the network cannot be traced.
        BudgetError: the budget cannot be reached.
    """
    network = make_network(run.source)
    graph = trace(network, run.source.preprocessing.size)
    check(network, graph, run.source.preprocessing.size)
    scores = _importance(run, network, graph, images, importance)
    whole = Whole(run, quantized, wanted, graph, scores, getattr(network, "constant_names", None))
    granularity = run.target.channel_granularity
    latency = None
    if want["kind"] == "ratio":
        chosen = Chosen(ratio_widths(graph, want["ratio"], granularity), 0.0, 0.0)
        if is_executed(run):
            ms = whole.measure(chosen)
            latency = _latency(wanted, whole.dense_ms, None, [fit.Step(ms, ms)], "not used: a ratio was given", 0)
    else:
        table = layer_table(run, graph, wanted, granularity)
        knapsack = Knapsack(graph, scores, table, granularity)
        chosen, latency = _fitted(knapsack, whole, want, table, run, wanted)
    keep = keep_best(graph, chosen.widths, scores)
    told = {
        "channels": {"before": graph.units, "after": int(keep.sum())},
        "latency": latency,
        "widths": _changed(graph, keep),
        "sensitivity": _sensitivity(run, network, graph, scores, images),
    }
    return told, keep


def _fitted(
    knapsack: Knapsack, whole: Whole, want: Mapping[str, Any], table: LatencyTable, run: Run, wanted: str
) -> tuple[Chosen, dict[str, Any]]:
    if want["kind"] == "knee":
        chosen = knapsack.keeping(fit.KNEE)
        ms = whole.measure(chosen)
        predicted = whole.dense_ms * chosen.cost / knapsack.dense_cost
        budget, steps = None, [fit.Step(predicted, ms)]
    else:
        budget = float(want["budget_ms"])
        found = fit.within(knapsack, budget, whole.dense(), whole.measure)
        chosen, steps = found.chosen, list(found.steps)
    place = "on this machine" if run.device is None else "on this machine, and the whole network on the device"
    how = f"each layer's median of 15 runs in {wanted}, {place}"
    return chosen, _latency(wanted, whole.dense_ms, budget, steps, how, len(table.times))


def _latency(
    precision: str, dense_ms: float, budget_ms: float | None, steps: list[fit.Step], how: str, points: int
) -> dict[str, Any]:
    return {
        "precision": precision,
        "dense_ms": dense_ms,
        "budget_ms": budget_ms,
        "predicted_ms": steps[-1].predicted_ms,
        "measured_ms": steps[-1].measured_ms,
        "steps": [{"predicted_ms": step.predicted_ms, "measured_ms": step.measured_ms} for step in steps],
        "table": how,
        "table_points": points,
    }


def _importance(
    run: Run, network: nn.Module, graph: ChannelGraph, images: PruningImages | None, name: str
) -> Importance:
    run.on_event(Event("prune", detail=f"importance: {name}"))
    if name not in DATA_DRIVEN or images is None:
        return IMPORTANCES["magnitude"](network, graph, ())
    batches = training_batches(images, run.source.preprocessing, IMPORTANCE_IMAGES, run.recipe.seed)
    return IMPORTANCES[name](network, graph, batches)


def layer_table(run: Run, graph: ChannelGraph, wanted: str, granularity: int) -> LatencyTable:
    """The table of layers on this machine, kept in the store beside the entries for all models."""
    who = hashlib.sha256(json.dumps(machine_identity(), sort_keys=True).encode()).hexdigest()[:16]
    path = run.store.root / "latency" / f"{who}-{wanted}.json"

    def tell(done: int, total: int) -> None:
        run.on_event(Event("prune", done, total, detail="timing layers"))

    return measured(path, probes_for(graph, granularity), openvino_timer(wanted), granularity, tell)


class Whole:
    """Measures the whole network at some widths: its graph in the precision that will run, cut, compiled and timed."""

    def __init__(
        self,
        run: Run,
        quantized: Entry,
        wanted: str,
        graph: ChannelGraph,
        scores: Importance,
        constants_of: Mapping[str, str] | None = None,
    ) -> None:
        self._run, self._wanted, self._graph, self._scores = run, wanted, graph, scores
        self._constants_of = constants_of
        self._graph_file = Graphs(quantized).of(wanted)
        self.dense_ms = 0.0

    def dense(self) -> float:
        """Median milliseconds of the network as it came."""
        with tempfile.TemporaryDirectory(prefix="edgekit-dense-") as folder:
            self.dense_ms = self._timed({"dense": self._graph_file}, Path(folder))["dense"]
        return self.dense_ms

    def measure(self, chosen: Chosen) -> float:
        """Median milliseconds at these widths; `dense_ms` is measured beside it."""
        keep = keep_best(self._graph, chosen.widths, self._scores)
        with tempfile.TemporaryDirectory(prefix="edgekit-cut-") as folder:
            cut = Path(folder) / "cut.onnx"
            onnx_slice.cut(self._graph_file, cut, self._graph, keep, self._constants_of)
            took = self._timed({"dense": self._graph_file, "pruned": cut}, Path(folder))
        self.dense_ms = took["dense"]
        return took["pruned"]

    def _timed(self, graphs: Mapping[str, Path], folder: Path) -> dict[str, float]:
        run, forms = self._run, {}
        for name, graph in graphs.items():
            (folder / name).mkdir()
            forms[name] = compile_for(run.target.family, graph, folder / name, self._wanted, compile_settings(run))
        size = run.source.preprocessing.size
        made = time_forms(run, forms, (1, size, size, 3), *MEASURING, "prune")
        return {name: each.p50 for name, each in made.latency.items()}


def _changed(graph: ChannelGraph, keep: Keep) -> list[dict[str, Any]]:
    before, after = widths(graph, graph.everything()), widths(graph, keep)
    return [{"layer": name, "before": list(before[name]), "after": list(after[name])} for name in before]


def _sensitivity(
    run: Run, network: nn.Module, graph: ChannelGraph, scores: Importance, images: PruningImages | None
) -> dict[str, Any] | None:
    tuning = tuning_of(images, run.source.preprocessing) if run.recipe.pruning.sensitivity else None
    if tuning is None:
        return None

    def tell(done: int, total: int) -> None:
        run.on_event(Event("prune", done, total, detail="sensitivity of blocks"))

    made = sensitivity(network, graph, scores, tuning, run.source.preprocessing, tell)
    blocks = [{"name": name, "points": [list(point) for point in points]} for name, points in made.blocks]
    return {"images": made.images, "dense_top1": made.dense_top1, "blocks": blocks}


def recovered(run: Run, selected: Entry, images: PruningImages | None, unfinished: Path, into: Path) -> None:
    """Writes the pruned network, its training over: weights.safetensors, model.onnx, facts.json, recovery.json."""
    network = make_network(run.source)
    graph = trace(network, run.source.preprocessing.size)
    keep: Keep = np.load(selected.path / "keep.npy")
    made, told = slimmed(network, graph, keep), NOTHING
    if images is not None:
        settings = run.recipe.pruning
        made, told = recover(
            PrunedNetwork(made, network, graph, keep),
            RecoveryImages(images, tuning_of(images, run.source.preprocessing), run.source.preprocessing),
            RecoverySettings(60 * settings.minutes, settings.learning_rate, run.recipe.seed),
            unfinished,
            _telling(run),
        )
        if (unfinished / "log.jsonl").exists():
            (into / "log.jsonl").write_bytes((unfinished / "log.jsonl").read_bytes())
    run.on_event(Event("recover", detail="exporting"))
    write_weights(made, into / "weights.safetensors", pruned=True)
    write(into / "facts.json", json.dumps(export_network(made, run.source.preprocessing.size, into / "model.onnx")))
    write(into / "recovery.json", json.dumps(told.as_dict()))


def _telling(run: Run) -> Callable[[Tick, float], None]:
    began = time.monotonic()

    def tell(tick: Tick, left: float) -> None:
        spent = time.monotonic() - began
        detail = f"{tick.size} px, loss {tick.loss:.2f}, {int(left) // 60}:{int(left) % 60:02d} left"
        run.on_event(Event("recover", round(spent), round(spent + left), detail=detail))

    return tell
