"""Puts what the stages found together as the report of a build."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from statistics import fmean, stdev
from typing import TYPE_CHECKING

from edgekit import __version__
from edgekit.build.measure import EAGER
from edgekit.report import model as told
from edgekit.report import model_pruning as pruning
from edgekit.report import model_variants as variants
from edgekit.validate.accuracy import decides, images_needed

if TYPE_CHECKING:
    from edgekit.build.calibration_variance import CalibrationVariance
    from edgekit.build.compile import CompiledForm
    from edgekit.build.export import Exported
    from edgekit.build.plan import Plan
    from edgekit.build.provenance import Provenance
    from edgekit.build.prune import Pruned
    from edgekit.build.runner import Runner
    from edgekit.build.search_precision import Searched, SearchInput
    from edgekit.build.variant import Variant
    from edgekit.data.calibration import CalibrationData
    from edgekit.data.image_set import ImageSet
    from edgekit.models.graph_facts import GraphFacts
    from edgekit.prune.choice import LatencyFit
    from edgekit.validate.decision import Decision
    from edgekit.validate.evaluation import Evaluated, VariantResult
    from edgekit.validate.flips import ClassChanges, Flip
    from edgekit.validate.latency import Measured

NO_LABELS = "the images have no labels"


@dataclass(frozen=True)
class Findings:
    """What the stages of a build found.

    Attributes:
        images: that accuracy was measured on, None where there were none; shown, indices: that variants were shown.
        variance: of the drop over other calibration sets; search: the mix of precisions, and what it was looked for
            with; each None where nothing was asked for.
    """

    exported: Exported
    images: ImageSet | None
    shown: ImageSet
    indices: Sequence[int]
    calibration: CalibrationData
    variance: CalibrationVariance | None
    variants: Sequence[Variant]
    forms: Mapping[str, CompiledForm]
    pruned: Pruned
    search: tuple[Searched, SearchInput] | None
    evaluated: Evaluated
    measured: Measured
    decision: Decision


def assembled(plan: Plan, run: Runner, found: Findings, provenance: Provenance) -> told.Report:
    """The report, schema 1."""
    source, facts = plan.source, found.exported.facts
    return told.Report(
        schema=1,
        edgekit=__version__,
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        model=told.ModelFacts(
            name=source.name,
            tag=source.tag,
            weights_sha256=source.weights_sha256,
            params=facts.params,
            macs=facts.macs,
            input=(1, 3, facts.height, facts.width),
            classes=facts.classes,
        ),
        target=provenance.target,
        data=_data(found.images),
        calibration=_calibration(found) if plan.has_int8 else None,
        variants=_variants(plan, found),
        chosen=found.decision.chosen,
        verdict=_verdict(plan, found),
        pruning=_pruning(found),
        tuning=None if found.search is None else _search(*found.search),
        stages=tuple(told.StageRun(name=each.name, seconds=each.seconds, cached=each.cached) for each in run.ran),
        warnings=(*run.warnings, *found.decision.warnings),
        environment={
            "python": platform.python_version(),
            "system": platform.platform(),
            **provenance.environment,
        },
    )


def _data(images: ImageSet | None) -> told.Data:
    if images is None:
        return told.Data(name=None, images=None, digest=None, why="no evaluation images were given (--data)")
    return told.Data(name=images.name, images=len(images), digest=images.digest)


def _calibration(found: Findings) -> told.Calibration:
    chosen, variance = found.calibration.chosen, found.variance
    spread = None
    if variance is not None:
        drops = variance.drops
        spread = told.CalibrationVariance(
            seeds=len(drops), drops=drops, min=min(drops), max=max(drops), mean=fmean(drops), std=stdev(drops)
        )
    return told.Calibration(
        images=len(chosen.items), strategy=chosen.strategy, digest=chosen.digest, seed=chosen.seed, spread=spread
    ).leaving_out("spread")


def _variants(plan: Plan, found: Findings) -> tuple[variants.Variant, ...]:
    made = [_variant(plan, found, each) for each in found.variants]
    return (*made, *([_eager(found)] if EAGER in found.measured.latency else []))


def _variant(plan: Plan, found: Findings, one: Variant) -> variants.Variant:
    decision, form, result = found.decision, found.forms[one.name], found.evaluated.variants[one.name]
    ruling = decision.rulings[one.name]
    is_chosen = one.name == decision.chosen
    return variants.Variant(
        name=one.name,
        kind="chosen" if is_chosen else "baseline" if one.parent is None else "step",
        runtime=plan.compiler.RUNTIME,
        precision=one.precision,  # type: ignore[arg-type]  # one of the names that the model lists
        params=one.facts.params,
        macs=one.facts.macs,
        size_bytes=form.compiled.size_bytes,
        accuracy=_accuracy(plan, found, result),
        latency=_latency(found.measured, one.name),
        energy_j=found.measured.energy_j.get(one.name),
        fidelity=variants.Fidelity(**asdict(result.fidelity)),
        kept=is_chosen,
        reason=decision.reasons[one.name],
        layers=tuple(variants.Layer(**asdict(each)) for each in form.compiled.layers),
        flips=_flips(found, result),
        classes=None if result.classes is None else _classes(found, result.classes),
        parent=one.parent,
        beaten_by=ruling.beaten_by,
        ratios=tuple(
            variants.LatencyRatio(base=each.base, ratio=each.times_faster, ci95=(each.low, each.high))
            for each in ruling.ratios
        ),
    ).leaving_out("layers", "flips", "classes")


def _why_no_accuracy(plan: Plan, found: Findings) -> str:
    if plan.source.random:
        return "the weights are random"
    return NO_LABELS if found.images is not None else "no labelled images were given (--data)"


def _accuracy(plan: Plan, found: Findings, result: VariantResult) -> variants.Accuracy:
    agreement, images = result.fidelity.agreement, found.evaluated.images
    if result.accuracy is None:
        why = _why_no_accuracy(plan, found)
        return variants.Accuracy(top1=None, top5=None, agreement=agreement, images=images, why=why)
    measured = result.accuracy
    return variants.Accuracy(
        top1=measured.top1, top5=measured.top5, agreement=agreement, images=images, ci95=measured.ci95
    )


def _latency(measured: Measured, name: str) -> variants.Latency:
    if name not in measured.latency:
        return variants.Latency(
            p50=None, p90=None, p99=None, mean=None, ci95=None, throughput_ips=None, runs=None, warmup=None,
            why=measured.why or "it was not timed",
        )  # fmt: skip
    figures = asdict(measured.latency[name])
    del figures["steady"]
    return variants.Latency(**figures)


def _flips(found: Findings, result: VariantResult) -> variants.Flips | None:
    flips = result.flips
    if flips is None:
        return None
    labelled = found.evaluated.labelled
    return variants.Flips(
        changed=flips.changed,
        lost=flips.lost if labelled else None,
        won=flips.won if labelled else None,
        shown=tuple(_flip(found, each) for each in flips.shown),
    )


def _flip(found: Findings, flip: Flip) -> variants.Flip:
    return variants.Flip(
        image=found.shown.identifier(found.indices[flip.index]),
        label=_name(found, flip.label),
        before=_name(found, flip.before),
        after=_name(found, flip.after),
        before_probability=flip.before_probability,
        after_probability=flip.after_probability,
        outcome=flip.outcome,
        thumbnail=found.evaluated.thumbnails[flip.index],
    )


def _classes(found: Findings, classes: ClassChanges) -> variants.ClassChanges:
    rows = tuple(variants.ClassChange(**(asdict(each) | {"label": _name(found, each.label)})) for each in classes.shown)
    return variants.ClassChanges(shown=rows, left_out=classes.left_out)


def _name(found: Findings, label: int | None) -> str | None:
    """The name of a class; its number where the images are of other classes, or of some of them only."""
    if label is None:
        return None
    names = found.shown.classes if found.evaluated.labelled else ()
    return names[label] if len(names) == found.exported.facts.classes else str(label)


def _eager(found: Findings) -> variants.Variant:
    facts, why = found.exported.facts, "a latency reference: its network and weights are those of fp32"
    return variants.Variant(
        name=EAGER,
        kind="baseline",
        runtime="torch",
        precision="fp32",
        params=facts.params,
        macs=facts.macs,
        size_bytes=None,
        accuracy=variants.Accuracy(top1=None, top5=None, agreement=None, images=None, why=why),
        latency=_latency(found.measured, EAGER),
        kept=False,
        reason="what the network takes without compilation",
    )


def _verdict(plan: Plan, found: Findings) -> told.Verdict:
    return told.Verdict(
        ok=found.decision.ok, accuracy=_accuracy_verdict(plan, found), latency=_latency_verdict(plan, found)
    )


def _accuracy_verdict(plan: Plan, found: Findings) -> told.AccuracyVerdict:
    chosen, budget = found.decision.chosen, plan.recipe.max_drop
    drop = found.evaluated.variants[chosen].drop
    if drop is None:
        why = _why_no_accuracy(plan, found)
        return told.AccuracyVerdict(drop=None, ci95=None, p_value=None, budget=budget, ok=None, why=why)
    is_baseline = next(each for each in found.variants if each.name == chosen).parent is None
    return told.AccuracyVerdict(
        drop=drop.drop,
        ci95=drop.ci95,
        p_value=drop.p_value,
        budget=budget,
        ok=drop.drop <= budget,
        # fp32 is its own baseline: it cannot drop, however few the images
        decided=is_baseline or decides(drop.ci95, budget),
        images_needed=None if is_baseline else images_needed(drop, budget),
    )


def _latency_verdict(plan: Plan, found: Findings) -> told.LatencyVerdict:
    chosen, budget, measured = found.decision.chosen, plan.recipe.latency_budget_ms, found.measured
    if not measured.latency:
        why = measured.why or "nothing was timed"
        return told.LatencyVerdict(speedup_vs_fp32=None, p50=None, budget=budget, ok=None, why=why)
    p50 = measured.latency[chosen].p50
    base = found.variants[0].name
    ratio = measured.ratio(base, chosen)
    speedup, ends = (1.0, (1.0, 1.0)) if ratio is None else (ratio.times_faster, (ratio.low, ratio.high))
    ok = None if budget is None else p50 <= budget
    return told.LatencyVerdict(speedup_vs_fp32=speedup, ci95=ends, p50=p50, budget=budget, ok=ok)


def _pruning(found: Findings) -> pruning.Pruning:
    """What was pruned; the last variant with the pruned network's numbers is the one that it is judged by."""
    pruned, dense = found.pruned, found.exported.facts
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
        channels=pruning.Counts(before=chosen.units, after=chosen.kept),
        params=pruning.Counts(before=dense.params, after=facts.params),
        macs=pruning.Counts(before=dense.macs, after=facts.macs),
        latency=None if chosen.latency is None else _latency_fit(chosen.latency),
        recovery=pruning.Recovery(**pruned.recovered.recovery.as_dict(), attempts=pruned.attempts),
        widths=tuple(pruning.Width(**asdict(each)) for each in chosen.widths),
        sensitivity=None if chosen.sensitivity is None else pruning.Sensitivity(**asdict(chosen.sensitivity)),
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
