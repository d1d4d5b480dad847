"""Which variant goes into the bundle: one rule keeps or takes back every step, by what was measured of it.

A step stays if it keeps the accuracy budget and is faster than the variant that it was made from and than every simpler
one that keeps the budget too, each by the lower end of the 95 % interval of the paired ratio. A tie goes to the simpler
one. Where no latency could be measured, the accuracy budget alone decides. Without labels, the budget is how many
images keep the baseline's answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.validate.accuracy import Agreement, PairedDrop, decides, images_needed
from edgekit.validate.latency import Measured, Ratio
from edgekit.validate.rounding import about


@dataclass(frozen=True)
class Contender:
    """A variant as the rule sees it.

    Attributes:
        parent: name of the variant that it was made from; None of the baseline.
        simpler: names of the variants that it must beat beside its parent, the simplest first.
        step: what made it of its parent, as a sentence begins with it, such as "pruning".
        drop: points of top-1 against the baseline; None where there are no labels.
        agreement: how often it answers as the baseline does, where that is what it is judged by.
        decided: whether the drop is known to be within the budget or beyond it; None where there is no drop.
        wrong: why it is no evidence, where its runtime computes otherwise than its graph says.
    """

    name: str
    precision: str
    parent: str | None
    simpler: tuple[str, ...]
    step: str
    size_bytes: int
    drop: PairedDrop | None
    agreement: Agreement | None = None
    wrong: str | None = None
    decided: bool | None = None


@dataclass(frozen=True)
class Ruling:
    """What the rule says of a variant.

    Attributes:
        refusal: why the step is taken back; None if it may stay.
        beaten_by: the simpler variant that it is not faster than, if that is why.
        ratios: against the variants that it must beat, as far as they were timed.
    """

    refusal: str | None
    beaten_by: str | None
    ratios: tuple[Ratio, ...]


@dataclass(frozen=True)
class Budgets:
    """Points of top-1 that may be lost, milliseconds that the median may take (None: any), and the percent of images
    that must keep the baseline's answer where there are no labels.

    Attributes:
        bound: whether a drop must be known to be within its budget, or else is told to be undecided; what stays is
            decided by the drop itself in either case.
        strict: whether what is undecided is missed.
    """

    max_drop: float
    latency_ms: float | None
    min_agreement: float = 0.0
    bound: bool = True
    strict: bool = False


@dataclass(frozen=True)
class Decision:
    """The variant that is chosen, what the rule says of each, whether the budgets are met, and warnings."""

    chosen: str
    rulings: Mapping[str, Ruling]
    reasons: Mapping[str, str]
    ok: bool
    warnings: tuple[str, ...]


def decide(
    contenders: Sequence[Contender],
    measured: Measured,
    asked: str | Sequence[str],
    budgets: Budgets,
    by_name: bool = False,
) -> Decision:
    """Keeps the wanted variant if it pays, else the fastest other one that does.

    Args:
        contenders: the baseline first.
        asked: name of the one that was asked for; or of its forms on several runtimes, the first of which that pays is
            wanted, and the last where none does.
        by_name: whether its step was asked for expressly, so that one that breaks a budget is a budget missed.
    """
    known = {each.name: each for each in contenders}
    rulings = {each.name: _ruled(each, known, measured, budgets) for each in contenders}
    names = (asked,) if isinstance(asked, str) else asked
    wanted = next((name for name in names if rulings[name].refusal is None), names[-1])
    chosen, warnings = wanted, list[str]()
    if rulings[wanted].refusal is not None:
        chosen = _fallback(contenders, rulings, measured)
        warnings.append(f"{wanted} was taken back: {rulings[wanted].refusal}; {chosen} is in the bundle")
    return _decision(contenders, measured, (wanted, chosen, by_name), (budgets, rulings, warnings))


def settled(contenders: Sequence[Contender], measured: Measured, chosen: str, budgets: Budgets) -> Decision:
    """The same where the choice was made before: nothing that is measured now changes it, and what speaks against it
    is said.
    """
    known = {each.name: each for each in contenders}
    rulings = {each.name: _ruled(each, known, measured, budgets) for each in contenders}
    refusal = rulings[chosen].refusal
    warnings = [f"{chosen} was locked, and stays although {refusal}"] if refusal is not None else []
    return _decision(contenders, measured, (chosen, chosen, False), (budgets, rulings, warnings))


def _decision(
    contenders: Sequence[Contender],
    measured: Measured,
    names: tuple[str, str, bool],
    found: tuple[Budgets, Mapping[str, Ruling], Sequence[str]],
) -> Decision:
    (wanted, chosen, by_name), (budgets, rulings, warnings) = names, found
    known = {each.name: each for each in contenders}
    doubtful = [chosen] if chosen == wanted or not _over(known[wanted], budgets) else [chosen, wanted]
    doubts = [line for name in doubtful if (line := undecided(known[name], budgets)) is not None]
    # Who asks for a step by its name asks for it within the budget: a fallback to another network is none.
    missed = by_name and _over(known[wanted], budgets)
    late = budgets.latency_ms is not None and measured.latency and measured.latency[chosen].p50 > budgets.latency_ms
    reasons = {each.name: _reason(each, known, chosen, wanted, (rulings[each.name], measured)) for each in contenders}
    open_to = budgets.bound and budgets.strict and known[chosen].parent is not None and _open(known[chosen], budgets)
    ok = not missed and not late and not open_to and not _over(known[chosen], budgets)
    return Decision(chosen, rulings, reasons, ok, (*measured.warnings, *warnings, *doubts))


def _ruled(one: Contender, known: Mapping[str, Contender], measured: Measured, budgets: Budgets) -> Ruling:
    if one.parent is None:
        return Ruling(None, None, ())
    rivals = (one.parent, *(name for name in one.simpler if name != one.parent))
    # a simpler one that breaks the budget is no alternative; what the step began with it must beat in any case
    rivals = tuple(
        name
        for name in rivals
        if name == one.parent or not (_over(known[name], budgets) or known[name].wrong is not None)
    )
    ratios = tuple(found for name in rivals if (found := measured.ratio(name, one.name)) is not None)
    if one.wrong is not None:
        return Ruling(one.wrong, None, ratios)
    if _over(one, budgets):
        return Ruling(_broken(one, budgets), None, ratios)
    lost = next((each for each in ratios if each.low <= 1.0), None)
    if lost is None:
        return Ruling(None, None, ratios)
    spread = f"{lost.times_faster:.2f} times, interval from {lost.low:.2f} to {lost.high:.2f}"
    if lost.base == one.parent and known[one.parent].parent is not None:
        return Ruling(
            f"{one.step} does not make it faster than {lost.base} on this target ({spread})", lost.base, ratios
        )
    return Ruling(f"it is not faster than {shown(known[lost.base])} on this target ({spread})", lost.base, ratios)


def _over(one: Contender, budgets: Budgets) -> bool:
    if one.drop is not None:
        return one.drop.drop > budgets.max_drop
    return one.parent is not None and one.agreement is not None and one.agreement.percent < budgets.min_agreement


def _broken(one: Contender, budgets: Budgets) -> str:
    """How a variant breaks the budget of accuracy, or of agreement."""
    if one.drop is not None:
        return f"it costs {one.drop.drop:.2f} points, more than the budget of {budgets.max_drop:g}"
    assert one.agreement is not None  # one of the two is broken
    low, high = one.agreement.ci95
    return (
        f"it answers as FP32 on {one.agreement.percent:.1f} % of {one.agreement.images:,} images ({low:.1f} to"
        f" {high:.1f}), fewer than the {budgets.min_agreement:g} % that must"
    )


def shown(one: Contender) -> str:
    """A variant in a sentence: one that is named for its precision alone is written as that is."""
    return one.name.upper() if one.name == one.precision else one.name


def _fallback(contenders: Sequence[Contender], rulings: Mapping[str, Ruling], measured: Measured) -> str:
    open_to = [each for each in contenders if rulings[each.name].refusal is None]
    if not measured.latency:  # the narrowest that is left, by the size that it takes
        return min(open_to, key=lambda each: each.size_bytes).name
    return min(open_to, key=lambda each: measured.latency[each.name].p50).name


def _reason(
    one: Contender, known: Mapping[str, Contender], chosen: str, wanted: str, found: tuple[Ruling, Measured]
) -> str:
    """Why a variant was kept or taken back, as the report says it."""
    ruling, measured = found
    if one.name != chosen:
        return ruling.refusal or ("the baseline" if one.parent is None else "stands beside the others for comparison")
    if one.parent is None:
        return "the baseline" if wanted == one.name else "the steps after it did not pay"
    within = "within the accuracy budget" if one.drop is not None else _agrees(one)
    if not measured.latency:
        return f"latency not measured, {within}"
    if not ruling.ratios:
        return within
    nearest = min(ruling.ratios, key=lambda each: each.times_faster)
    base = shown(known[nearest.base])
    faster = f"{nearest.times_faster:.2f} times faster than {base} ({nearest.low:.2f} to {nearest.high:.2f})"
    return f"{faster} on this target, {within}"


def _agrees(one: Contender) -> str:
    if one.agreement is None:
        return "accuracy not measured"
    return f"accuracy not measured, FP32's answer on {one.agreement.percent:.1f} % of the images"


def _open(one: Contender, budgets: Budgets) -> bool:
    """Whether the images cannot tell on which side of the budget a drop, or an agreement, is."""
    if one.drop is not None:
        return not (decides(one.drop, budgets.max_drop) if one.decided is None else one.decided)
    return one.agreement is not None and not one.agreement.decided(budgets.min_agreement)


def undecided(one: Contender, budgets: Budgets) -> str | None:
    """A warning where the interval of a drop holds the budget, so that chance may have decided; None where it does not.

    What is decided by stays the drop itself.
    """
    drop = one.drop
    if not budgets.bound or drop is None or one.parent is None or not _open(one, budgets):
        return None
    needed = images_needed(drop, budgets.max_drop)
    more = "no number of them would" if needed is None else f"{about(needed)} would"
    low, high = drop.ci95
    return (
        f"{drop.images:,} images cannot tell whether the drop of {one.name} ({drop.drop:.2f} points, {low:.2f} to"
        f" {high:.2f}) is within the budget of {budgets.max_drop:g}: {more}"
    )
