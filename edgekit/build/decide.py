"""From what was measured to a decision: variants as contenders, and the rule that keeps or takes back each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from edgekit.validate.accuracy import Agreement
from edgekit.validate.decision import Budgets, Contender, Decision, decide, settled

if TYPE_CHECKING:
    from edgekit.build.compile import CompiledForm
    from edgekit.build.export import Exported
    from edgekit.build.plan import Plan
    from edgekit.build.prune import Pruned
    from edgekit.build.quantize import Quantized
    from edgekit.build.search_precision import Searched
    from edgekit.build.variant import Variant
    from edgekit.validate.evaluation import Evaluated
    from edgekit.validate.latency import Measured


def variants_of(
    plan: Plan, dense: tuple[Exported, Quantized], pruned: tuple[Pruned, Quantized | None], mixed: Searched | None
) -> tuple[Variant, ...]:
    """All forms of the network in the order of their simplicity: each must beat those before it. What was asked for is
    the last one.
    """
    from edgekit.build.variant import Variant

    made: list[Variant] = []
    exported, quantized = dense
    for precision in plan.precisions:
        step = "quantization" if precision == "int8" else "a narrower format"
        parent = None if precision == "fp32" else "fp32"
        beside = quantized.dla if precision == "int8" else ()
        simpler = tuple(each.name for each in made)
        made.append(
            Variant(precision, precision, quantized.of(precision), exported.facts, step, parent, simpler, beside)
        )
    found, graphs = pruned
    is_pruned = found.recovered is not None and graphs is not None
    if found.recovered is not None and graphs is not None:
        base, simpler = plan.base_precision, tuple(each.name for each in made)
        facts, beside = found.recovered.exported.facts, graphs.dla if base == "int8" else ()
        made.append(Variant(f"pruned-{base}", base, graphs.of(base), facts, "pruning", base, simpler, beside))
    if mixed is not None:
        name = "pruned-mixed" if is_pruned else "mixed"
        simpler = tuple(each.name for each in made)
        made.append(Variant(name, "mixed", mixed.graph, made[-1].facts, "the mix of precisions", "fp32", simpler))
    return tuple(made)


def decided(
    plan: Plan,
    variants: Sequence[Variant],
    forms: Mapping[str, CompiledForm],
    evaluated: Evaluated,
    measured: Measured,
) -> Decision:
    """Which variant goes into the bundle: the last one, which was asked for, if it pays; or the locked one."""
    contenders = [
        Contender(
            each.name,
            each.precision,
            each.parent,
            each.simpler,
            each.step,
            forms[each.name].compiled.size_bytes,
            evaluated.variants[each.name].drop,
            agreement_of(plan, evaluated, each.name),
        )
        for each in variants
    ]
    budgets = Budgets(plan.recipe.max_drop, plan.recipe.latency_budget_ms, plan.recipe.min_agreement)
    if plan.lock is not None and any(each.name == plan.lock.chosen for each in variants):
        return settled(contenders, measured, plan.lock.chosen, budgets)
    by_name = plan.wanted == "mixed" or isinstance(plan.recipe.prune, float)
    return decide(contenders, measured, variants[-1].name, budgets, by_name)


def agreement_of(plan: Plan, evaluated: Evaluated, name: str) -> Agreement | None:
    """How often a variant answers as FP32, where that is its budget: there are no labels, and the weights mean
    something.
    """
    if evaluated.labelled or plan.source.random:
        return None
    share = evaluated.variants[name].fidelity.agreement
    return Agreement(round(share * evaluated.images / 100), evaluated.images)
