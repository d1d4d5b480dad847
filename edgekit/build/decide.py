"""From what was measured to a decision: variants as contenders, and the rule that keeps or takes back each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from edgekit.build.variant import Variant
from edgekit.size import shown
from edgekit.validate.accuracy import Agreement
from edgekit.validate.decision import Budgets, Contender, Decision, decide, settled

if TYPE_CHECKING:
    from edgekit.build.compile import CompiledForm
    from edgekit.build.elect import Home
    from edgekit.build.export import Exported
    from edgekit.build.plan import Plan
    from edgekit.build.prune import Pruned
    from edgekit.build.search_precision import Searched
    from edgekit.build.sizes import Sizes
    from edgekit.validate.arithmetic import Arithmetic
    from edgekit.validate.evaluation import Evaluated
    from edgekit.validate.latency import Measured


STEPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fp32": "another runtime",
        "bf16": "a narrower format",
        "fp16": "a narrower format",
        "int8": "quantization",
    }
)
"""Precision: what makes it of FP32, or FP32 of the baseline."""

ORDER: Final = tuple(STEPS)
"""Of precisions, the simplest first."""


def variants_of(
    homes: Sequence[Home], exported: Exported, sizes: Sizes, pruned: Pruned, mixed: Searched | None
) -> tuple[Variant, ...]:
    """All forms of the network in the order of their simplicity: each must beat those before it. What was asked for is
    the last one, on one runtime or on several.

    Args:
        homes: the runtimes that variants are made for, the usual one first.
        sizes: other input sizes, and the one that was pruned or mixed, on the runtime that this was done for.
    """
    base = sizes.base
    size = "" if base.exported == exported else f"-{shown(base.size)}"
    made = [*_dense(homes, exported), *sizes.variants()]
    made += _pruned(homes, pruned, size, {each.name for each in made})
    if mixed is not None:
        form, facts = f"mixed{size}", base.exported.facts
        if pruned.recovered is not None:
            form, facts = f"pruned-{form}", pruned.recovered.exported.facts
        name, step, suffix = form + base.plan.suffix, "the mix of precisions", base.plan.suffix
        made.append(Variant(name, "mixed", base.plan.backend, mixed.graph, facts, step, f"fp32{suffix}"))
    names = [each.name for each in made]
    return tuple(replace(each, simpler=tuple(names[:place])) for place, each in enumerate(made))


def _dense(homes: Sequence[Home], exported: Exported) -> Iterator[Variant]:
    """The network as it came, in each precision on each runtime that has it; the very first is the baseline."""
    for precision in ORDER:
        for home in homes:
            plan = home.plan
            if precision not in plan.precisions:
                continue
            step, parent = STEPS[precision], None if precision == "fp32" else f"fp32{plan.suffix}"
            if precision == "fp32" and home is not homes[0]:
                parent = homes[0].plan.precisions[0]
            graph, beside = home.dense.of(precision), home.dense.dla if precision == "int8" else ()
            name = precision + plan.suffix
            yield Variant(name, precision, plan.backend, graph, exported.facts, step, parent, beside=beside)


def _pruned(homes: Sequence[Home], pruned: Pruned, size: str, there: Collection[str]) -> Iterator[Variant]:
    for home in homes:
        plan, graphs = home.plan, home.narrow
        base = plan.base_precision
        if pruned.recovered is not None and graphs is not None and base in plan.precisions:
            facts, beside = pruned.recovered.exported.facts, graphs.dla if base == "int8" else ()
            name, dense = f"pruned-{base}{size}{plan.suffix}", f"{base}{size}{plan.suffix}"
            parent = dense if dense in there else base + plan.suffix  # other runtimes have no variant of that size
            yield Variant(name, base, plan.backend, graphs.of(base), facts, "pruning", parent, beside=beside)


def decided(
    plan: Plan,
    variants: Sequence[Variant],
    forms: Mapping[str, CompiledForm],
    evaluated: Evaluated,
    measured: Measured,
    computed: Mapping[str, Arithmetic],
) -> Decision:
    """Which variant goes into the bundle: the last one, which was asked for, if it pays; or the locked one.

    Args:
        computed: how INT8 variants compare with exact integer arithmetic, of those that were asked.
    """
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
            computed[each.name].refusal if each.name in computed else None,
            evaluated.variants[each.name].decided(plan.recipe.max_drop),
        )
        for each in variants
    ]
    asked = plan.recipe
    bound = asked.decide == "bound"
    budgets = Budgets(asked.max_drop, asked.latency_budget_ms, asked.min_agreement, bound, asked.strict)
    if plan.lock is not None and any(each.name == plan.lock.chosen for each in variants):
        return settled(contenders, measured, plan.lock.chosen, budgets)
    by_name = plan.wanted == "mixed" or isinstance(plan.recipe.prune, float)
    last = variants[-1]
    same = [each.name for each in reversed(variants) if (each.step, each.precision) == (last.step, last.precision)]
    return decide(contenders, measured, same, budgets, by_name)


def agreement_of(plan: Plan, evaluated: Evaluated, name: str) -> Agreement | None:
    """How often a variant answers as FP32, where that is its budget: there are no labels, and the weights mean
    something.
    """
    if evaluated.labelled or plan.source.random:
        return None
    share = evaluated.variants[name].fidelity.agreement
    return Agreement(round(share * evaluated.images / 100), evaluated.images)
