"""The choice of a runtime where it is left to edgekit: the unpruned network is timed on each that computes it right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from edgekit.build.check_arithmetic import checked_arithmetic
from edgekit.build.compile import COMPILE, compile_input
from edgekit.build.evaluate import evaluate_input, executed
from edgekit.build.executor import Shape, Timing
from edgekit.build.measure import MEASURE, MeasureInput
from edgekit.build.quantize import QUANTIZE, quantize_input
from edgekit.build.variant import Variant

if TYPE_CHECKING:
    from edgekit.build.export import Exported
    from edgekit.build.plan import Plan
    from edgekit.build.quantize import Quantized
    from edgekit.build.runner import Runner
    from edgekit.data.calibration import CalibrationData
    from edgekit.data.image_set import ImageSet
    from edgekit.validate.arithmetic import Arithmetic
    from edgekit.validate.latency import Measured

RUNS: Final = 60
SECONDS: Final = 15.0
"""What runtimes and input sizes are timed with, no longer than the recipe allows: they are timed again at the end, with
all variants.
"""


@dataclass(frozen=True)
class Home:
    """A runtime that variants are made for: the plan on it, and graphs in the format that it wants.

    Attributes:
        dense: of the network as it came; narrow: of the pruned one, None where nothing was pruned.
    """

    plan: Plan
    dense: Quantized
    narrow: Quantized | None = None


def elected(
    plan: Plan, run: Runner, exported: Exported, calibration: CalibrationData, evaluation: ImageSet | None
) -> tuple[Plan, Quantized]:
    """The plan on the runtime that pruning, layer times and the search go by, and the graphs for it.

    With one runtime there is nothing to choose. Of several the fastest is taken, by the interval of the paired ratio
    and in the precision that is wanted, of those that compute INT8 as the graph says.
    """
    dense = run(QUANTIZE, quantize_input(plan, exported, calibration, plan.precisions))
    if not plan.beside:
        return plan, dense
    if plan.lock is not None:
        chosen = plan.on(plan.lock.backend) if plan.lock.backend in plan.beside else plan
        return chosen, _graphs(chosen, run, exported, calibration, (plan, dense), chosen.precisions)
    homes = {plan.backend: Home(plan, dense)}
    for name in plan.beside:
        other = plan.on(name)
        homes[name] = Home(other, _graphs(other, run, exported, calibration, (plan, dense), other.precisions))
    precision = plan.base_precision
    variants = tuple(
        Variant(precision + home.plan.suffix, precision, name, home.dense.of(precision), exported.facts, "", None)
        for name, home in homes.items()
        if precision in home.plan.precisions
    )
    ready = executed(plan, variants, run(COMPILE, compile_input(plan, variants)))
    shown = evaluate_input(plan, ready, evaluation, calibration, exported.facts)
    computed = checked_arithmetic(plan, run, variants, ready, shown)
    timing = first_look(plan, (1, exported.facts.height, exported.facts.width, 3))
    measured = run(MEASURE, MeasureInput(ready, plan.executor, timing, None))
    best = _fastest(variants, measured, computed)
    return homes[best].plan, homes[best].dense


def first_look(plan: Plan, shape: Shape, others: tuple[tuple[str, Shape], ...] = ()) -> Timing:
    """How networks are timed that are chosen among before other steps; shape, others: see edgekit.build.executor."""
    return Timing(RUNS, min(SECONDS, plan.recipe.latency.max_seconds), shape, others)


def _fastest(variants: Sequence[Variant], measured: Measured, computed: Mapping[str, Arithmetic]) -> str:
    """The backend of the variant that is plainly faster than those before it; the first where none is."""
    right = [each for each in variants if each.name not in computed or computed[each.name].ok] or list(variants[:1])
    best = right[0]
    for each in right[1:]:
        ratio = measured.ratio(best.name, each.name)
        if ratio is not None and ratio.low > 1.0:
            best = each
    return best.backend


def homes_of(
    plan: Plan,
    run: Runner,
    networks: tuple[Exported, Exported],
    calibration: CalibrationData,
    graphs: tuple[Quantized, Quantized | None],
) -> tuple[Home, ...]:
    """All runtimes that variants are made for, the usual one first.

    Args:
        networks: as it came, and as it is built; graphs: of both for the plan's own runtime, None where it was not
            pruned.
    """
    (dense, narrow), (exported, core) = graphs, networks
    size = core.facts.size
    homes = [Home(plan, dense, narrow)]
    for name in plan.beside:
        other = plan.on(name)
        made = _graphs(other, run, exported, calibration, (plan, dense), other.precisions)
        small = None
        if narrow is not None:
            small = _graphs(other.at(size), run, core, calibration, (plan, narrow), other.narrow_precisions)
        homes.append(Home(other, made, small))
    return tuple(sorted(homes, key=lambda home: home.plan.backend != plan.usual))


def _graphs(
    plan: Plan,
    run: Runner,
    network: Exported,
    calibration: CalibrationData,
    known: tuple[Plan, Quantized],
    precisions: Sequence[str],
) -> Quantized:
    """The graphs for a plan: those that are known, where it wants the same format; NNCF runs once where it can."""
    wanted, there = plan.graph_format, known[0].graph_format
    if wanted == there:
        return known[1]
    given = quantize_input(plan, network, calibration, precisions)
    if given.calibration is not None and wanted.quantized_as(there):
        given = replace(given, quantized=known[1].quantized)
    return run(QUANTIZE, given)
