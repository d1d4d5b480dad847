"""Puts what the stages found together as the report of a build."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import datetime, timezone
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from edgekit import __version__
from edgekit.build.assemble_evidence import coverage, locked_decisions, measuring_conditions
from edgekit.build.assemble_variants import variant_parts, why_no_accuracy
from edgekit.build.decide import agreement_of
from edgekit.build.locking import locked
from edgekit.quantize.widened import read_widened
from edgekit.report import model as told
from edgekit.report import model_pruning as pruning
from edgekit.validate.accuracy import images_needed

if TYPE_CHECKING:
    from edgekit.build.findings import Findings
    from edgekit.build.lock import Lock
    from edgekit.build.plan import Plan
    from edgekit.build.provenance import Provenance
    from edgekit.build.prune import Pruned
    from edgekit.build.runner import Runner
    from edgekit.build.search_precision import Searched, SearchInput
    from edgekit.data.image_set import ImageSet
    from edgekit.models.graph_facts import GraphFacts
    from edgekit.prune.choice import LatencyFit
    from edgekit.size import Size


def assembled(plan: Plan, run: Runner, found: Findings, provenance: Provenance) -> told.Report:
    """The report, schema 1.

    Args:
        plan: on the runtime and at the input size of the chosen variant.
    """
    source, facts = plan.source, _facts_at(plan.source.preprocessing.size, found)
    return told.Report(
        schema=1,
        edgekit=__version__,
        task=plan.task,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=told.ModelFacts(
            name=source.name,
            tag=source.tag,
            weights_sha256=source.weights_sha256,
            params=facts.params,
            macs=facts.macs,
            input=(1, source.preprocessing.channels, *facts.size),
            classes=facts.classes,
        ),
        target=provenance.target,
        data=_data(found.images),
        calibration=_calibration(plan, found) if plan.has_int8 else None,
        variants=variant_parts(plan, found),
        chosen=found.decision.chosen,
        verdict=_verdict(plan, found),
        referee=told.Referee(
            reference=found.referee.reference,
            runtime=found.referee.runtime,
            images=found.referee.images,
            agreement=found.referee.agreement,
            max_logit_difference=found.referee.max_logit_difference,
            tolerance=found.referee.tolerance,
            operator=found.referee.operator,
        ),
        sizes=tuple(told.InputSize(**asdict(each)) for each in found.sizes.tried),
        pruning=_pruning(found),
        tuning=None if found.search is None else _search(*found.search),
        locked=locked_decisions(_lock(plan, found), found.pruned),
        stages=tuple(told.StageRun(name=each.name, seconds=each.seconds, cached=each.cached) for each in run.ran),
        warnings=(*run.warnings, *found.decision.warnings, *_of_kernels(found)),
        environment={
            "python": platform.python_version(),
            "system": platform.platform(),
            **provenance.environment,
        },
        conditions=measuring_conditions(found.before, found.measured),
    ).leaving_out("conditions", "sizes")


def _facts_at(size: Size, found: Findings) -> GraphFacts:
    """Facts of the network as it came, at one of the sizes that were tried."""
    others = (each.exported.facts for each in found.sizes.others)
    return next((each for each in others if each.size == size), found.exported.facts)


def _of_kernels(found: Findings) -> list[str]:
    """What is warned of: variants whose layers run otherwise than their precision promises."""
    return [f"{name}: {told.sentence()}" for name, told in found.kernels.items() if told.wrong]


def _data(images: ImageSet | None) -> told.Data:
    if images is None:
        return told.Data(name=None, images=None, digest=None, why="no evaluation images were given (--data)")
    left_out = {reason: told.LeftOut(count=count, first=first) for reason, (count, first) in images.left_out.items()}
    data = told.Data(name=images.name, images=len(images), digest=images.digest, left_out=left_out)
    return data.leaving_out("left_out")


def _calibration(plan: Plan, found: Findings) -> told.Calibration:
    chosen, variance = found.calibration.chosen, found.variance
    spread = None
    if variance is not None:
        drops = variance.drops
        spread = told.CalibrationVariance(
            seeds=len(drops), drops=drops, min=min(drops), max=max(drops), mean=fmean(drops), std=stdev(drops)
        )
    return told.Calibration(
        images=len(chosen.items), strategy=chosen.strategy, digest=chosen.digest, seed=chosen.seed, spread=spread,
        coverage=coverage(chosen), int8_sums=_int8_sums(plan, found),
    ).leaving_out("spread", "coverage")  # fmt: skip


def _lock(plan: Plan, found: Findings) -> Lock:
    mixed = None if found.search is None else found.search[0]
    return locked(plan, found.calibration, found.sizes, found.pruned, mixed, found.decision)


def _int8_sums(plan: Plan, found: Findings) -> told.Int8Sums:
    """Of the chosen network, or of the first in INT8."""
    if plan.sums == "exact":
        return told.Int8Sums(how="exact")
    made = [each for each in found.variants if each.precision in ("int8", "mixed") and each.backend == plan.backend]
    shown = next((each for each in made if each.name == found.decision.chosen), made[0] if made else None)
    widened = None if shown is None else read_widened(shown.graph.path)
    return told.Int8Sums(how=plan.sums, **asdict(widened) if widened is not None else {})


def _verdict(plan: Plan, found: Findings) -> told.Verdict:
    return told.Verdict(
        ok=found.decision.ok, accuracy=_accuracy_verdict(plan, found), latency=_latency_verdict(plan, found)
    )


def _accuracy_verdict(plan: Plan, found: Findings) -> told.AccuracyVerdict:
    chosen, budget = found.decision.chosen, plan.recipe.max_drop
    drop = found.evaluated.variants[chosen].drop
    if drop is None:
        return _fidelity_verdict(plan, found)
    is_baseline = next(each for each in found.variants if each.name == chosen).parent is None
    return told.AccuracyVerdict(
        drop=drop.drop,
        ci95=drop.ci95,
        p_value=drop.p_value,
        budget=budget,
        ok=drop.drop <= budget if found.doubt is None else None,
        # fp32 is its own baseline: it cannot drop, however few the images
        decided=is_baseline or found.evaluated.variants[chosen].decided(budget),
        images_needed=None if is_baseline else images_needed(drop, budget),
        why=found.doubt,
    ).leaving_out("why")


def _fidelity_verdict(plan: Plan, found: Findings) -> told.AccuracyVerdict:
    """Without labels, how often FP32's answer is kept is the budget."""
    why, least, chosen = why_no_accuracy(plan, found), plan.recipe.min_agreement, found.decision.chosen
    agreement = agreement_of(plan, found.evaluated, chosen)
    is_baseline = next(each for each in found.variants if each.name == chosen).parent is None
    return told.AccuracyVerdict(
        drop=None,
        ci95=None,
        p_value=None,
        budget=plan.recipe.max_drop,
        ok=None if agreement is None else agreement.percent >= least,
        decided=None if agreement is None else is_baseline or agreement.decided(least),
        agreement=None if agreement is None else agreement.percent,
        min_agreement=None if agreement is None else least,
        why=why,
    )


def _latency_verdict(plan: Plan, found: Findings) -> told.LatencyVerdict:
    chosen, budget, measured = found.decision.chosen, plan.recipe.latency_budget_ms, found.measured
    if not measured.latency:
        why = measured.why or "nothing was timed"
        return told.LatencyVerdict(speedup_vs_fp32=None, p50=None, budget=budget, ok=None, why=why)
    p50 = measured.latency[chosen].p50
    runtime = next(each.backend for each in found.variants if each.name == chosen)
    base = next(each.name for each in found.variants if (each.precision, each.backend) == ("fp32", runtime))
    ratio = measured.ratio(base, chosen)
    speedup, ends = (1.0, (1.0, 1.0)) if ratio is None else (ratio.times_faster, (ratio.low, ratio.high))
    ok = None if budget is None else p50 <= budget
    decided = None if budget is None else measured.latency[chosen].within(budget) is not None
    return told.LatencyVerdict(speedup_vs_fp32=speedup, ci95=ends, p50=p50, budget=budget, ok=ok, decided=decided)


def _pruning(found: Findings) -> pruning.Pruning:
    """What was pruned; the last variant with the pruned network's numbers is the one that it is judged by."""
    pruned, dense = found.pruned, found.sizes.base.exported.facts
    if pruned.recovered is None:
        return pruning_part(pruned, dense, False, pruned.reason or "nothing was pruned")
    facts = pruned.recovered.exported.facts
    variant = next(each for each in reversed(found.variants) if each.facts == facts)
    kept, reason = variant.name == found.decision.chosen, found.decision.reasons[variant.name]
    return pruning_part(pruned, dense, kept, reason)


def pruning_part(pruned: Pruned, dense: GraphFacts, kept: bool, reason: str) -> pruning.Pruning:
    """The report's `pruning`.

    Args:
        dense: facts of the unpruned network; kept, reason: whether the pruned one stays, and why.
    """
    if pruned.chosen is None or pruned.recovered is None:
        return pruning.Pruning(
            asked=pruned.asked, kept=False, reason=reason, importance=None,
            channels=None, params=None, macs=None, latency=None, recovery=None, widths=(), sensitivity=None,
        )  # fmt: skip
    facts, chosen = pruned.recovered.exported.facts, pruned.chosen
    return pruning.Pruning(
        asked=pruned.asked,
        kept=kept,
        reason=reason,
        importance=pruned.importance,  # type: ignore[arg-type]  # one of the names that the model lists
        channels=pruning.Counts(before=chosen.channels[0], after=chosen.channels[1]),
        params=pruning.Counts(before=dense.params, after=facts.params),
        macs=pruning.Counts(before=dense.macs, after=facts.macs),
        latency=None if chosen.latency is None else _latency_fit(chosen.latency),
        recovery=pruning.Recovery(**pruned.recovered.recovery.as_dict(), attempts=pruned.attempts),
        widths=tuple(pruning.Width(**asdict(each)) for each in chosen.widths),
        sensitivity=None if pruned.sensitivity is None else pruning.Sensitivity(**asdict(pruned.sensitivity)),
        blocks=None if chosen.blocks is None else pruning.Blocks(**asdict(chosen.blocks)),
    )


def _latency_fit(fit: LatencyFit) -> pruning.LatencyFit:
    return pruning.LatencyFit(**asdict(fit), predicted_ms=fit.predicted_ms, measured_ms=fit.measured_ms)


def _search(found: Searched, given: SearchInput) -> pruning.PrecisionSearch:
    result = found.result
    return pruning.PrecisionSearch(
        ended=result.ended,
        way=result.config.name,
        floats=result.config.float_ops,
        drop=result.drop,
        labelled=given.tuning.labelled,
        images=len(given.tuning.indices),
        budget=given.limits.max_drop,
        seconds=result.seconds,
        budget_seconds=given.limits.seconds,
        peak_bytes=result.peak_bytes,
        memory_bytes=result.memory_bytes,
        trials=tuple(pruning.Trial(**asdict(each)) for each in result.trials),
    )
