"""What a report says of pruning, in words and cells; formats escape it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.report.schema import Report
from edgekit.report.summary import MISSING, display_name, milliseconds, number

Pruning = Mapping[str, Any]
"""The object `pruning` of a report."""

Points = list[tuple[float, float]]
"""Share of a block's channels removed (0 to 1) and top-1 then (percent), by share, from nothing removed on."""


@dataclass(frozen=True)
class Table:
    """A small table: its name, the titles of its columns, and rows whose first cell is their name."""

    name: str
    titles: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def of(report: Report) -> Pruning | None:
    """What a report tells of pruning; None if it tells nothing."""
    told: Pruning | None = report.get("pruning")
    return told


def state(told: Pruning) -> str:
    """What became of it in a word or two."""
    if told["kept"]:
        return "kept"
    return "not tried" if told["importance"] is None and told["channels"] is None else "taken back"


def sentence(told: Pruning) -> str:
    """The verdict in one sentence."""
    asked = told["asked"]
    ratio = _share(asked)
    by = f"{number(100 * ratio, 0)} % of the channels" if ratio is not None else str(asked)
    reason = str(told["reason"]).strip().rstrip(".")
    return f"Pruning (asked for: {by}) was {state(told)}: {reason}."


def _share(asked: str) -> float | None:
    try:
        return float(asked)
    except ValueError:
        return None


def tables(told: Pruning) -> list[Table]:
    """Size, latency and accuracy before and after; those that are known."""
    found = [_size(told), _latency(told), _tuning(told)]
    return [table for table in found if table is not None]


def _size(told: Pruning) -> Table | None:
    rows = []
    for name, key, unit in (("channels", "channels", 1.0), ("params, M", "params", 1e6), ("GMACs", "macs", 1e9)):
        if told[key] is not None:
            before, after = told[key]["before"], told[key]["after"]
            digits = 0 if unit == 1 else 2 if max(before, after) >= 0.1 * unit else 4
            cells = (number(before / unit, digits), number(after / unit, digits))
            rows.append((name, *cells, _change(after, before)))
    return Table("size", ("size", "before", "after", "change"), rows) if rows else None


def _latency(told: Pruning) -> Table | None:
    latency = told["latency"]
    if latency is None:
        return None
    dense = latency["dense_ms"]
    rows = [("before", milliseconds(dense), "")]
    for name, key in (("predicted", "predicted_ms"), ("measured", "measured_ms"), ("budget", "budget_ms")):
        if latency[key] is not None:
            rows.append((name, milliseconds(latency[key]), _change(latency[key], dense)))
    return Table("latency", (f"{display_name(latency['precision'])} latency", "ms", "change"), rows)


def _tuning(told: Pruning) -> Table | None:
    tuning = (told["recovery"] or {}).get("tuning")
    if tuning is None:
        return None
    names = (
        ("before", "dense_top1"),
        ("just pruned", "pruned_top1"),
        ("batch norm re-estimated", "reestimated_top1"),
        ("recovered", "recovered_top1"),
    )
    rows = [
        (name, number(tuning[key], 2), "" if key == "dense_top1" else _signed(tuning[key] - tuning["dense_top1"]))
        for name, key in names
        if tuning[key] is not None
    ]
    return Table("tuning", (f"top-1 of {number(tuning['images'], 0)} tuning images", "%", "points"), rows)


def _change(after: float, before: float) -> str:
    return f"{_signed(100 * (after - before) / before, 0)} %" if before else MISSING


def _signed(value: float, digits: int = 2) -> str:
    text = number(value, digits)
    return f"+{text}" if float(f"{value:.{digits}f}") > 0 else text


def facts(told: Pruning) -> list[tuple[str, str]]:
    """How it was done: subject and text."""
    lines = []
    if told["importance"]:
        lines.append(("Importance", f"{told['importance'].capitalize()}, per channel"))
    latency = told["latency"]
    if latency is not None:
        lines.append(("Layer table", f"{number(latency['table_points'], 0)} points, {latency['table']}"))
        steps = [f"{milliseconds(s['predicted_ms'])} → {milliseconds(s['measured_ms'])} ms" for s in latency["steps"]]
        if steps:
            lines.append(("Steps", f"predicted → measured: {'; '.join(steps)}"))
    recovery = told["recovery"]
    if recovery is not None:
        lines.append(("Recovery", _recovery(recovery)))
        if recovery["tuning"] is None:
            lines.append(("Tuning accuracy", "not measured"))
    return lines


def _recovery(recovery: Mapping[str, Any]) -> str:
    seconds, parts = recovery["seconds"], [str(recovery["method"])]
    if recovery["steps"]:
        took = f"{number(seconds, 0)} s" if seconds < 600 else f"{number(seconds / 60, 0)} min"
        parts[0] += f": {_count(recovery['images'], 'image')}, {_count(recovery['steps'], 'step')}, {took}"
    if recovery["batch_norm_images"]:
        parts.append(f"batch norm re-estimated on {_count(recovery['batch_norm_images'], 'image')}")
    if recovery["why"]:
        parts.append(str(recovery["why"]))
    return "; ".join(parts)


def _count(value: int, noun: str) -> str:
    return f"{number(value, 0)} {noun}{'' if value == 1 else 's'}"


def changed(told: Pruning) -> list[Mapping[str, Any]]:
    """The layers whose widths are not what they were."""
    return [each for each in told["widths"] if each["before"] != each["after"]]


def widths_title(told: Pruning) -> str:
    """What the table of widths holds."""
    return f"Widths before and after: {len(changed(told))} of {_count(len(told['widths']), 'layer')} changed"


def kept_share(told: Pruning, block: str) -> float | None:
    """The share of output channels that the layers of a block keep (0 to 1); None if the widths do not tell."""
    inside = [each for each in told["widths"] if each["layer"] == block or each["layer"].startswith(f"{block}.")]
    before = sum(each["before"][1] for each in inside)
    return sum(each["after"][1] for each in inside) / before if before else None


def points(told: Pruning, block: Mapping[str, Any]) -> Points:
    """The curve of a block, from nothing removed (the dense network) on."""
    found = sorted((float(ratio), float(top1)) for ratio, top1 in block["points"])
    return found if found and found[0][0] == 0 else [(0.0, float(told["sensitivity"]["dense_top1"])), *found]


def percent(share: float | None) -> str:
    """A share as percent; a dash if it is not known."""
    return MISSING if share is None else f"{number(100 * share, 0)} %"


def sensitivity_title(told: Pruning) -> str:
    """What the curves show, in a sentence."""
    found = told["sensitivity"]
    return (
        f"Top-1 of {_count(found['images'], 'image')} when channels are removed from one block at a time and nothing "
        f"is trained; with all channels it is {number(found['dense_top1'], 2)} %."
    )


_MOST_RATIOS = 10


def sensitivity_table(told: Pruning) -> Table | None:
    """Blocks by shares removed; where blocks have too many shares of their own, one cell that lists them."""
    found = told["sensitivity"]
    if found is None or not found["blocks"]:
        return None
    curves = [
        (each["name"], percent(kept_share(told, each["name"])), {round(x, 3): y for x, y in points(told, each)})
        for each in found["blocks"]
    ]
    ratios = sorted({ratio for _, _, curve in curves for ratio in curve} - {0.0})
    if len(ratios) > _MOST_RATIOS:
        rows: list[tuple[str, ...]] = [
            (name, share, ", ".join(f"{x * 100:g} %: {number(y)}" for x, y in curve.items() if x))
            for name, share, curve in curves
        ]
        return Table("sensitivity", ("block", "kept", "removed: top-1, %"), rows)
    rows = [(name, share, *(number(curve.get(each)) for each in ratios)) for name, share, curve in curves]
    return Table("sensitivity", ("block", "kept", *(f"−{each * 100:g} %" for each in ratios)), rows)
