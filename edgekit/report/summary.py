"""What a report says, in words and cells: the part that all formats share. Text is plain here; formats escape it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgekit.report.schema import Report
from edgekit.validate.rounding import about

Variant = Mapping[str, Any]

MISSING = "–"
"""A cell whose value was not measured; `gaps` says why."""

_ACRONYMS = frozenset({"fp32", "fp16", "bf16", "int8", "int4", "qat"})


@dataclass(frozen=True)
class Column:
    """One column of the table of variants: a short title, its meaning, and the text of a cell."""

    title: str
    meaning: str
    cell: Callable[[Report, Variant], str]
    is_text: bool = False


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


def times(value: float | None) -> str:
    """A ratio, such as 2.9x."""
    return MISSING if value is None else number(value, 2 if value < 1.995 else 1) + "x"


def display_name(name: str) -> str:
    """A variant's name as a sentence has it: int8 is INT8, pruned-int8 is pruned INT8."""
    return " ".join(part.upper() if part in _ACRONYMS else part for part in name.split("-"))


def chosen(report: Report) -> Variant:
    """The variant that is in the bundle."""
    found: Variant = next(each for each in report["variants"] if each["name"] == report["chosen"])
    return found


def baseline(report: Report) -> Variant | None:
    """The fp32 variant that the others are compared with; None if there is none."""
    for variant in report["variants"]:
        if variant["name"] == "fp32":
            return dict(variant)
    return next((each for each in report["variants"] if each["kind"] == "baseline"), None)


def speedup(report: Report, variant: Variant) -> float | None:
    """How many times lower a variant's p50 is than fp32's; None if either was not measured."""
    base = baseline(report)
    ours, theirs = variant["latency"]["p50"], base["latency"]["p50"] if base else None
    return theirs / ours if ours and theirs else None


def title(report: Report) -> str:
    """The report's title: model, tag and target."""
    model = report["model"]
    return f"{model['name']}{'.' + model['tag'] if model['tag'] else ''} on {report['target']['name']}"


def verdict(report: Report) -> str:
    """The verdict in one sentence."""
    name = display_name(report["chosen"])
    base = baseline(report)
    if base is not None and base["name"] == report["chosen"]:
        start = f"{name} was kept as it is: no step is both faster on this target and within the budgets"
        return "; ".join([start, *_latency_budget(report)]) + "."
    said = [f"{name} {_speed(report, base)}", _accuracy(report), *_latency_budget(report)]
    sentence = ", ".join(part for part in said if part) + "."
    return sentence[0].upper() + sentence[1:]


def _speed(report: Report, base: Variant | None) -> str:
    latency = report["verdict"]["latency"]
    ratio = latency["speedup_vs_fp32"]
    against = display_name(base["name"]) if base else "FP32"
    if ratio is None:
        why = latency.get("why") or "no reason given"
        if latency["p50"] is None:
            return f"has no measured latency ({why})"
        return f"takes {milliseconds(latency['p50'])} ms, speedup not measured ({why})"
    if 0.995 < ratio < 1.005:
        return f"is as fast as {against}"
    if ratio < 1:
        return f"is {times(1 / ratio) if ratio else 'far'} slower than {against}"
    return f"is {times(ratio)} faster than {against}{_interval(latency.get('ci95'), 2 if ratio < 1.995 else 1)}"


def _accuracy(report: Report) -> str:
    accuracy = report["verdict"]["accuracy"]
    drop, budget = accuracy["drop"], accuracy["budget"]
    if drop is None:
        agreement = chosen(report)["accuracy"]["agreement"]
        agrees = "" if agreement is None else f" and agrees with FP32 on {number(agreement)} % of the images"
        return f"its accuracy was not measured ({accuracy.get('why') or 'no reason given'}){agrees}"
    amount, digits = abs(drop), 2 if abs(drop) < 0.05 and drop else 1
    cost = f"{'gains' if drop < 0 else 'costs'} {number(amount, digits)} point{'' if amount == 1 else 's'}"
    said = cost + _interval(accuracy["ci95"], digits, "95 % interval of the drop ")
    if budget is None:
        return f"{said}, no budget set"
    met = accuracy["ok"] if accuracy["ok"] is not None else drop <= budget
    said += f", {'within' if met else 'over'} the budget of {number(budget)}"
    if open_to := undecided(report):
        said += f" (but {open_to})"
    elif accuracy.get("decided") is None and met and accuracy["ci95"] and accuracy["ci95"][1] > budget:
        said += " (but the interval reaches beyond it)"
    return said


def undecided(report: Report) -> str:
    """What is said where the images cannot tell on which side of the budget the drop is; empty where they can."""
    accuracy = report["verdict"]["accuracy"]
    if accuracy.get("decided") is not False:
        return ""
    needed, images = accuracy.get("images_needed"), chosen(report)["accuracy"]["images"]
    more = "no number of them would" if needed is None else f"{about(needed)} would"
    return f"{number(images, 0)} images cannot tell: {more}"


def _interval(ends: list[float] | None, digits: int, label: str = "") -> str:
    return f" ({label}{number(ends[0], digits)} to {number(ends[1], digits)})" if ends else ""


def _latency_budget(report: Report) -> list[str]:
    latency = report["verdict"]["latency"]
    if latency["budget"] is None:
        return []
    if latency["p50"] is None:
        return [f"the latency budget of {milliseconds(latency['budget'])} ms is unproven"]
    met = latency["ok"] if latency["ok"] is not None else latency["p50"] <= latency["budget"]
    side = "within" if met else "over"
    return [
        f"p50 {milliseconds(latency['p50'])} ms is {side} the latency budget of {milliseconds(latency['budget'])} ms"
    ]


def state(report: Report) -> tuple[str, str]:
    """The verdict as a class (`good`, `open` or `bad`) and as words."""
    if not report["verdict"]["ok"]:
        return "bad", "Budget not met"
    parts = (report["verdict"]["accuracy"], report["verdict"]["latency"])
    if parts[0]["drop"] is None or parts[1]["p50"] is None:
        return "open", "Not fully measured"
    return "good", "Within budget" if any(part["budget"] is not None for part in parts) else "Done"


def columns(report: Report) -> list[Column]:
    """The columns of the table of variants; memory and energy only where one was measured."""

    def has(key: str) -> bool:
        return any(each.get(key) is not None for each in report["variants"])

    optional = []
    if has("memory_bytes"):
        optional.append(
            Column("memory, MB", "peak memory, megabytes", lambda r, v: _scaled(v.get("memory_bytes"), 1e6))
        )
    if has("energy_j"):
        optional.append(
            Column("energy, J", "energy of one inference, joules", lambda r, v: number(v.get("energy_j"), 3))
        )
    return [*_COLUMNS[:-2], *optional, *_COLUMNS[-2:]]


def _scaled(value: float | None, unit: float, digits: int = 1) -> str:
    return number(None if value is None else value / unit, digits)


def _accuracy_cell(key: str) -> Callable[[Report, Variant], str]:
    return lambda report, variant: number(variant["accuracy"][key], 2)


def _latency_cell(key: str) -> Callable[[Report, Variant], str]:
    return lambda report, variant: milliseconds(variant["latency"][key])


_COLUMNS: tuple[Column, ...] = (
    Column("variant", "name of what was done", lambda r, v: str(v["name"]), True),
    Column("precision", "of the arithmetic", lambda r, v: str(v["precision"]), True),
    Column("runtime", "what executes it", lambda r, v: str(v["runtime"]), True),
    Column("size, MB", "file size, megabytes", lambda r, v: _scaled(v["size_bytes"], 1e6)),
    Column("params, M", "parameters, millions", lambda r, v: _scaled(v["params"], 1e6, 2)),
    Column("GMACs", "multiply-accumulates of one image, billions", lambda r, v: _scaled(v["macs"], 1e9, 2)),
    Column("top-1, %", "first answer is the label", _accuracy_cell("top1")),
    Column("top-5, %", "label is among the first five answers", _accuracy_cell("top5")),
    Column("agreement, %", "same first answer as fp32", _accuracy_cell("agreement")),
    Column("p50, ms", "median latency", _latency_cell("p50")),
    Column("p90, ms", "nine of ten runs are faster", _latency_cell("p90")),
    Column("p99, ms", "99 of 100 runs are faster", _latency_cell("p99")),
    Column("images/s", "throughput", lambda r, v: number(v["latency"]["throughput_ips"])),
    Column("speedup", "against fp32, ratio of p50", lambda r, v: times(speedup(r, v))),
    Column("kept", "whether the step paid and stays", lambda r, v: "yes" if v["kept"] else "no", True),
    Column("reason", "why it was kept or taken back", lambda r, v: str(v["reason"]), True),
)


def gaps(report: Report) -> list[str]:
    """What was not measured, and why: one line for each variant and part."""
    lines = []
    for variant in report["variants"]:
        for part in ("accuracy", "latency", "fidelity"):
            why = (variant.get(part) or {}).get("why")
            if why:
                lines.append(f"{variant['name']}, {part}: {why}")
        if variant.get("why"):
            lines.append(f"{variant['name']}: {variant['why']}")
    for part in ("data", "calibration"):
        if (report[part] or {}).get("why"):
            lines.append(f"{part}: {report[part]['why']}")
    return lines


def fidelity(report: Report) -> list[tuple[str, str, str, str]]:
    """Name, agreement in percent, cosine and KL of each variant that has them."""
    return [
        (each["name"], number(f["agreement"], 2), number(f["cosine"], 5), number(f["kl"], 5))
        for each in report["variants"]
        if (f := each.get("fidelity"))
    ]


def method(report: Report) -> list[tuple[str, str]]:
    """How it was measured: subject and text."""
    model, target, data, pinned = report["model"], report["target"], report["data"], report["calibration"]
    latency, accuracy = chosen(report)["latency"], report["verdict"]["accuracy"]
    shape = " x ".join(str(side) for side in model["input"])
    weights = f"weights sha256 {model['weights_sha256'][:16]}…" if model["weights_sha256"] else "weights without a hash"
    classes = f", {model['classes']} classes" if model["classes"] else ""
    where = " ".join(filter(None, (target["runtime"], target["runtime_version"])))
    lines = [
        ("Model", f"{title(report).rpartition(' on ')[0]}, input {shape}{classes}, {weights}"),
        ("Target", f"{target['name']}: {where}{' on ' + target['device'] if target['device'] else ''}"),
    ]
    if target["features"]:
        lines.append(("Features", ", ".join(target["features"])))
    if data["name"]:
        lines.append(("Evaluation", f"{data['name']}, {data['images']} images, digest {_short(data['digest'])}"))
    if pinned and pinned["images"] is not None:
        seed = f", seed {pinned['seed']}" if pinned.get("seed") is not None else ""
        text = f"{pinned['images']} images, {pinned['strategy']}{seed}, digest {_short(pinned['digest'])}"
        lines.append(("Calibration", text + "; no image is in both sets"))
        if pinned.get("spread"):
            lines.append(("Other calibration sets", _spread(pinned["spread"])))
    if accuracy["p_value"] is not None:
        text = "Paired on the same images, 95 % interval, exact McNemar test"
        lines.append(("Accuracy drop", f"{text}: p = {accuracy['p_value']:.2g}"))
    if latency["runs"] and latency["p50"] is not None:
        runs = f"{latency['runs']} runs after {latency['warmup'] or 0} warm-up runs"
        text = f"{runs}, one fresh process, variants interleaved"
        lines.append(("Latency", f"{text}, batch {model['input'][0]}; speedup is the ratio of the medians"))
    return lines


def _spread(spread: Mapping[str, Any]) -> str:
    """How the drop varies with the images that calibrate, all else being equal."""
    drops = ", ".join(number(each, 2) for each in spread["drops"])
    mean, std = number(spread["mean"], 2), number(spread["std"], 2)
    return (
        f"with {spread['seeds']} sets, chosen the same way, unpruned INT8 drops {drops} points (the first is this"
        f" build's); mean {mean}, standard deviation {std}"
    )


def _short(digest: str | None) -> str:
    return MISSING if digest is None else digest if len(digest) <= 20 else f"{digest[:16]}…"
