"""What a report says, in words and cells: the part that all formats share. Text is plain here; formats escape it."""

from __future__ import annotations

from edgekit.report.metrics import metric
from edgekit.report.model import Report
from edgekit.report.model_variants import Variant
from edgekit.validate.rounding import about

MISSING = "–"
"""A cell whose value was not measured; `gaps` says why."""

_ACRONYMS = frozenset({"fp32", "fp16", "bf16", "int8", "int4", "qat"})


def number(value: float | None, digits: int = 1) -> str:
    """A number with a fixed count of digits and a real minus sign; a dash if it was not measured."""
    if value is None:
        return MISSING
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.,") else text.replace("-", "−")


def milliseconds(value: float | None) -> str:
    """A latency with three significant digits, without its unit."""
    if value is None:
        return MISSING
    return number(value, 0 if value >= 100 else 1 if value >= 10 else 2)


def megabytes(size_bytes: int | None) -> str:
    """A size in megabytes, without its unit."""
    return number(None if size_bytes is None else size_bytes / 1e6)


def times(value: float | None) -> str:
    """A ratio, such as 2.9x."""
    return MISSING if value is None else number(value, 2 if value < 1.995 else 1) + "x"


def display_name(name: str) -> str:
    """A variant's name as a sentence has it: int8 is INT8, pruned-int8 is pruned INT8."""
    return " ".join(part.upper() if part in _ACRONYMS else part for part in name.split("-"))


def baseline(report: Report) -> Variant | None:
    """The fp32 variant that the others are compared with; None if there is none."""
    for variant in report.variants:
        if variant.name == "fp32":
            return variant
    return next((each for each in report.variants if each.kind == "baseline"), None)


def speedup(report: Report, variant: Variant) -> float | None:
    """How many times lower a variant's p50 is than fp32's; None if either was not measured."""
    base = baseline(report)
    ours, theirs = variant.latency.p50, base.latency.p50 if base else None
    return theirs / ours if ours and theirs else None


def title(report: Report) -> str:
    """The report's title: model, tag and target."""
    return f"{model_name(report)} on {report.target.name}"


def model_name(report: Report) -> str:
    """The network's name, with its tag if it has one."""
    return report.model.name + (f".{report.model.tag}" if report.model.tag else "")


def verdict(report: Report) -> str:
    """The verdict in one sentence."""
    name = display_name(report.chosen)
    base = baseline(report)
    if base is not None and base.name == report.chosen:
        start = f"{name} was kept as it is: no step is both faster on this target and within the budgets"
        return "; ".join([start, *_no_evidence(report), *_latency_budget(report)]) + "."
    said = [f"{name} {_speed(report, base)}", _accuracy(report), *_latency_budget(report)]
    sentence = ", ".join(part for part in said if part) + "."
    return sentence[0].upper() + sentence[1:]


def _no_evidence(report: Report) -> list[str]:
    """What is said where the labels have nothing to do with what FP32 answers."""
    accuracy = report.verdict.accuracy
    return [accuracy.why] if accuracy.drop is not None and accuracy.ok is None and accuracy.why else []


def _speed(report: Report, base: Variant | None) -> str:
    latency = report.verdict.latency
    ratio = latency.speedup_vs_fp32
    against = display_name(base.name) if base else "FP32"
    if ratio is None:
        why = latency.why or "no reason given"
        if latency.p50 is None:
            return f"has no measured latency ({why})"
        return f"takes {milliseconds(latency.p50)} ms, speedup not measured ({why})"
    if 0.995 < ratio < 1.005:
        return f"is as fast as {against}"
    if ratio < 1:
        return f"is {times(1 / ratio) if ratio else 'far'} slower than {against}"
    return f"is {times(ratio)} faster than {against}{interval(latency.ci95, 2 if ratio < 1.995 else 1)}"


def _accuracy(report: Report) -> str:
    accuracy = report.verdict.accuracy
    drop, budget = accuracy.drop, accuracy.budget
    if drop is None:
        agreement = report.chosen_variant.accuracy.agreement
        agrees = "" if agreement is None else f" and agrees with FP32 on {number(agreement)} % of the images"
        if agrees and accuracy.min_agreement is not None:
            agrees += f", {'' if accuracy.ok else 'not '}the {number(accuracy.min_agreement, 0)} % that must"
            agrees += " (but so few images cannot tell)" if accuracy.decided is False else ""
        return f"its accuracy was not measured ({accuracy.why or 'no reason given'}){agrees}"
    amount, digits = abs(drop), 2 if abs(drop) < 0.05 and drop else 1
    cost = f"{'gains' if drop < 0 else 'costs'} {number(amount, digits)} point{'' if amount == 1 else 's'}"
    cost += "" if report.task == "classify" else f" of {metric(report).name}"
    said = cost + interval(accuracy.ci95, digits, "95 % interval of the drop ")
    if budget is None:
        return f"{said}, no budget set"
    if _no_evidence(report):
        return f"{said}, which proves nothing ({accuracy.why})"
    met = accuracy.ok if accuracy.ok is not None else drop <= budget
    said += f", {'within' if met else 'over'} the budget of {number(budget)}"
    if open_to := undecided(report):
        said += f" (but {open_to})"
    elif accuracy.decided is None and met and accuracy.ci95 and accuracy.ci95[1] > budget:
        said += " (but the interval reaches beyond it)"
    return said


def undecided(report: Report) -> str:
    """What is said where the images cannot tell on which side of the budget the drop is; empty where they can."""
    accuracy = report.verdict.accuracy
    if accuracy.decided is not False or accuracy.drop is None:
        return ""
    needed, images = accuracy.images_needed, report.chosen_variant.accuracy.images
    more = "no number of them would" if needed is None else f"{about(needed)} would"
    return f"undecided: {number(images, 0)} images cannot tell, {more}"


def interval(ends: tuple[float, float] | None, digits: int, label: str = "") -> str:
    """An interval in brackets; empty if it was not measured."""
    return f" ({label}{number(ends[0], digits)} to {number(ends[1], digits)})" if ends else ""


def _latency_budget(report: Report) -> list[str]:
    latency = report.verdict.latency
    if latency.budget is None:
        return []
    if latency.p50 is None:
        return [f"the latency budget of {milliseconds(latency.budget)} ms is unproven"]
    met = latency.ok if latency.ok is not None else latency.p50 <= latency.budget
    side = "within" if met else "over"
    return [f"p50 {milliseconds(latency.p50)} ms is {side} the latency budget of {milliseconds(latency.budget)} ms"]


def state(report: Report) -> tuple[str, str]:
    """The verdict as a class (`good`, `open` or `bad`) and as words."""
    if not report.verdict.ok:
        return "bad", "Budget not met"
    accuracy, latency = report.verdict.accuracy, report.verdict.latency
    if _no_evidence(report):
        return "open", "Accuracy in doubt"
    if accuracy.drop is None or latency.p50 is None:
        return "open", "Not fully measured"
    return "good", "Done" if accuracy.budget is None and latency.budget is None else "Within budget"


def gaps(report: Report) -> list[str]:
    """What was not measured, and why: one line for each variant and part."""
    lines = []
    for variant in report.variants:
        parts = {"accuracy": variant.accuracy, "latency": variant.latency, "fidelity": variant.fidelity}
        lines += [f"{variant.name}, {name}: {part.why}" for name, part in parts.items() if part and part.why]
        if variant.why:
            lines.append(f"{variant.name}: {variant.why}")
    sets = {"data": report.data, "calibration": report.calibration}
    return [*lines, *(f"{name}: {part.why}" for name, part in sets.items() if part and part.why)]


def fidelity(report: Report) -> list[tuple[str, str, str, str]]:
    """Name, agreement in percent, cosine and KL of each variant that has them."""
    return [
        (each.name, number(f.agreement, 2), number(f.cosine, 5), number(f.kl, 5))
        for each in report.variants
        if (f := each.fidelity)
    ]


def arithmetic(report: Report) -> list[tuple[str, ...]]:
    """Name, exact runtime, images, same answers in percent, mean and least cosine of each variant that was compared
    with exact integer arithmetic.
    """
    return [
        (each.name, a.exact, number(a.images, 0), number(a.same, 2), number(a.cosine, 5), number(a.least_cosine, 5))
        for each in report.variants
        if (a := each.arithmetic)
    ]


def scalar(value: str | float | bool | None) -> str:
    """A value of the environment in words."""
    if value is None:
        return MISSING
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
