"""The stage that times variants side by side, and eager torch beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import TypeAdapter

from edgekit.backends import Compiled
from edgekit.backends.torch_eager import EagerNetwork
from edgekit.build.evaluate import Executed, Others, networks
from edgekit.build.executor import Executor, Shape, Timing
from edgekit.build.stage import File, Progress, Stage
from edgekit.validate.latency import Measured

if TYPE_CHECKING:
    from edgekit.build.plan import Plan
    from edgekit.build.runner import Runner
    from edgekit.models.graph_facts import GraphFacts

EAGER: Final = "torch-eager"
LATENCY: Final = "latency.json"
LONGER: Final = 2
"""How often latencies are taken again, with four times the runs, where their budget is not decided."""


@dataclass(frozen=True)
class Eager:
    """The network that eager torch runs: its sizes, and its weights where they are narrower than its own."""

    name: str
    num_classes: int
    width: float
    weights: File | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class MeasureInput:
    """Variants, where they run, and how long they are timed; eager torch beside them, where it can run the network."""

    variants: tuple[Executed, ...]
    executor: Executor
    timing: Timing
    eager: Eager | None


def _make(given: MeasureInput, folder: Path, progress: Progress) -> Sequence[str]:
    timed = dict(networks(given.variants))
    if given.eager is not None:
        timed[EAGER] = _eager(given.eager, folder / f"{EAGER}.json")
    measured = given.executor.timed(timed, given.timing, progress)
    (folder / LATENCY).write_bytes(TypeAdapter(Measured).dump_json(measured))
    return ()


def _eager(told: Eager, path: Path) -> Compiled:
    weights = None if told.weights is None else str(told.weights.path)
    network = EagerNetwork(
        name=told.name,
        num_classes=told.num_classes,
        width=told.width,
        weights=weights,
        mean=told.mean,
        std=told.std,
    )
    path.write_text(network.model_dump_json(), encoding="utf-8")
    return Compiled("torch", str(path), "fp32", 0)


def _read(folder: Path) -> Measured:
    return TypeAdapter(Measured).validate_json((folder / LATENCY).read_bytes())


MEASURE: Final = Stage("measure", ("numpy", "openvino", "onnxruntime", "torch"), _make, _read)


def measure_input(plan: Plan, variants: tuple[Executed, ...], facts: GraphFacts, others: Others = ()) -> MeasureInput:
    """What is timed, and how long.

    Args:
        others: how images are prepared for variants that take another size, by name.
    """
    asked = plan.recipe.latency
    timing = Timing(asked.runs, asked.max_seconds, (1, *facts.size, 3), shapes_of(others))
    return MeasureInput(variants, plan.executor, timing, _eager_of(plan, facts))


def shapes_of(others: Others) -> tuple[tuple[str, Shape], ...]:
    """Shapes of the inputs of those variants."""
    return tuple((name, (1, *how.size, 3)) for name, how in others)


def measured_variants(
    plan: Plan, run: Runner, variants: tuple[Executed, ...], facts: GraphFacts, others: Others = ()
) -> Measured:
    """Latencies side by side; taken again and longer while the bounds of a median hold the budget; see
    `measure_input`.
    """
    told = plan.untimed()
    if told is not None:
        return told
    given, budget_ms = measure_input(plan, variants, facts, others), plan.recipe.latency_budget_ms
    measured = run(MEASURE, given)
    for _ in range(LONGER if budget_ms is not None else 0):
        assert budget_ms is not None
        if all(measured.latency[each.name].within(budget_ms) is not None for each in variants):
            break
        timing = given.timing
        longer = replace(timing, runs=4 * timing.runs, max_seconds=2 * timing.max_seconds)
        given = replace(given, timing=longer)
        measured = run(MEASURE, given)
    return measured


def _eager_of(plan: Plan, facts: GraphFacts) -> Eager | None:
    """Eager torch is timed where variants run on this machine, of networks that the registry can make."""
    source = plan.source
    if source.kind != "registry" or not plan.target.can.here or plan.device is not None:
        return None
    weights = None
    if source.weights is not None and source.weights_sha256 is not None:
        from edgekit.models.weights import is_pruned

        if is_pruned(source.weights):
            weights = File(source.weights, source.weights_sha256)
    how = source.preprocessing
    return Eager(source.name, source.classes or facts.classes or 1000, source.width or 1.0, weights, how.mean, how.std)
