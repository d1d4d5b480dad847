"""The variants of a build as its report tells them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from edgekit.backends import backend
from edgekit.build.assemble_evidence import layer_times
from edgekit.build.measure import EAGER
from edgekit.report import model_variants as variants
from edgekit.report.metrics import METRICS

if TYPE_CHECKING:
    from edgekit.build.findings import Findings
    from edgekit.build.plan import Plan
    from edgekit.build.variant import Variant
    from edgekit.validate.embedding import EmbeddingScore
    from edgekit.validate.flips import ClassChanges, Flip
    from edgekit.validate.latency import Measured
    from edgekit.validate.tasks import VariantResult

NO_LABELS: Final = "the images have no labels"


def variant_parts(plan: Plan, found: Findings) -> tuple[variants.Variant, ...]:
    """The report's `variants`, and eager torch beside them where it was timed."""
    made = [_variant(plan, found, each) for each in found.variants]
    return (*made, *([_eager(plan, found)] if EAGER in found.measured.latency else []))


def _variant(plan: Plan, found: Findings, one: Variant) -> variants.Variant:
    decision, form, result = found.decision, found.forms[one.name], found.evaluated.variants[one.name]
    ruling = decision.rulings[one.name]
    is_chosen = one.name == decision.chosen
    return variants.Variant(
        name=one.name,
        kind="chosen" if is_chosen else "baseline" if one.parent is None else "step",
        runtime=backend(one.backend).RUNTIME,
        precision=one.precision,  # type: ignore[arg-type]  # one of the names that the model lists
        params=one.facts.params,
        macs=one.facts.macs,
        size_bytes=form.compiled.size_bytes,
        accuracy=_accuracy(plan, found, result),
        latency=_latency(found.measured, one.name),
        energy_j=found.measured.energy_j.get(one.name),
        fidelity=_fidelity(found, result),
        kept=is_chosen,
        taken_back=ruling.refusal is not None,
        reason=decision.reasons[one.name] + ("" if form.compiled.backend == one.backend else ", on the processor"),
        layers=tuple(variants.Layer(**asdict(each)) for each in form.compiled.layers),
        layer_times=layer_times(found.profiles.get(one.name)),
        flips=_flips(found, result),
        classes=None if result.classes is None else _classes(found, result.classes),
        parent=one.parent,
        beaten_by=ruling.beaten_by,
        ratios=tuple(
            variants.LatencyRatio(base=each.base, ratio=each.times_faster, ci95=(each.low, each.high))
            for each in ruling.ratios
        ),
        arithmetic=_arithmetic(found, one.name),
        kernels=_kernels(found, one.name),
    ).leaving_out("layers", "layer_times", "flips", "classes", "arithmetic", "kernels")


def _fidelity(found: Findings, result: VariantResult) -> variants.Fidelity:
    told, shown = result.fidelity, found.evaluated.images if result.accuracy is None else result.accuracy.images
    given = {"agreement": told.agreement, "cosine": told.cosine, "kl": told.kl, "why": told.why(shown)}
    if given["why"] is None:  # what is null has a reason; where there is none, the task has no such figure
        given = {key: each for key, each in given.items() if each is not None}
    return variants.Fidelity.model_validate(given)


def why_no_accuracy(plan: Plan, found: Findings) -> str:
    """What is said where accuracy was not measured."""
    if plan.source.random:
        return "the weights are random"
    return NO_LABELS if found.images is not None else "no labelled images were given (--data)"


def _accuracy(plan: Plan, found: Findings, result: VariantResult) -> variants.Accuracy:
    agreement, images = result.fidelity.agreement, found.evaluated.images
    if result.accuracy is not None:
        of = result.accuracy
        return variants.Accuracy(top1=of.top1, top5=of.top5, agreement=agreement, images=images, ci95=of.ci95)
    if result.embedding is not None:
        return _embedding(result.embedding, agreement)
    if result.multilabel is not None:
        score = result.multilabel
        return variants.Accuracy(
            map=score.map, f1=score.f1, f1_micro=score.f1_micro, threshold=score.threshold, agreement=agreement,
            images=score.images, ci95=score.ci95,
        )  # fmt: skip
    return _not_measured(plan, why_no_accuracy(plan, found), agreement, images)


def _not_measured(plan: Plan, why: str, agreement: float | None = None, images: int | None = None) -> variants.Accuracy:
    """The keys that the task has, without values."""
    nothing = dict.fromkeys(METRICS[plan.task].required)
    return variants.Accuracy.model_validate({**nothing, "agreement": agreement, "images": images, "why": why})


def _embedding(score: EmbeddingScore, agreement: float) -> variants.Accuracy:
    pairs = score.pairs
    return variants.Accuracy(
        top1=score.top1,
        agreement=agreement,
        images=score.images,
        ci95=score.ci95,
        cosine=variants.CosineToFp32(mean=score.cosine.mean, p1=score.cosine.p1),
        pairs=variants.PairsOfImages(
            threshold=pairs.threshold,
            roc_auc=pairs.roc_auc,
            false_accept=pairs.false_accept,
            false_reject=pairs.false_reject,
            compared=pairs.same + pairs.different,
            of=pairs.of,
        ),
    )


def _latency(measured: Measured, name: str) -> variants.Latency:
    if name not in measured.latency:
        return variants.Latency(
            p50=None, p90=None, p99=None, mean=None, ci95=None, throughput_ips=None, runs=None, warmup=None,
            why=measured.why or "it was not timed",
        )  # fmt: skip
    figures = asdict(measured.latency[name])
    del figures["steady"]
    return variants.Latency(**figures).leaving_out("by_batch", "p50_bounds", "p99_bounds", "quantiles")


def _arithmetic(found: Findings, name: str) -> variants.Arithmetic | None:
    if name not in found.computed:
        return None
    told = found.computed[name]
    return variants.Arithmetic(
        exact=told.exact, images=told.images, same=told.same, cosine=told.cosine, least_cosine=told.least_cosine,
        ok=told.ok,
    )  # fmt: skip


def _kernels(found: Findings, name: str) -> variants.Kernels | None:
    if name not in found.kernels:
        return None
    told = found.kernels[name]
    return variants.Kernels(
        layers=told.layers,
        as_built=told.as_built,
        reference=len(told.reference),
        floating=len(told.floating),
        ok=not told.wrong,
        sentence=told.sentence(),
        primitives=tuple(variants.KernelCount(kernel=each, layers=count) for each, count in told.primitives),
    )


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


def _eager(plan: Plan, found: Findings) -> variants.Variant:
    facts, why = found.exported.facts, "a latency reference: its network and weights are those of fp32"
    return variants.Variant(
        name=EAGER,
        kind="baseline",
        runtime="torch",
        precision="fp32",
        params=facts.params,
        macs=facts.macs,
        size_bytes=None,
        accuracy=_not_measured(plan, why),
        latency=_latency(found.measured, EAGER),
        kept=False,
        reason="what the network takes without compilation",
    )
