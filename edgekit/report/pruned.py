"""What a report says of pruning, in words and cells; formats escape it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgekit.report.model_pruning import Block, Blocks, Counts, Pruning, Recovery, Sensitivity, Width
from edgekit.report.summary import MISSING, display_name, milliseconds, number

Points = list[tuple[float, float]]
"""Share of a block's channels removed (0 to 1) and top-1 then (percent), by share, from nothing removed on."""


@dataclass(frozen=True)
class Table:
    """A small table: its name, the titles of its columns, and rows whose first cell is their name."""

    name: str
    titles: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def state(pruning: Pruning) -> str:
    """What became of it in a word or two."""
    if pruning.kept:
        return "kept"
    return "not tried" if pruning.importance is None and pruning.channels is None else "taken back"


def sentence(pruning: Pruning) -> str:
    """The verdict in one sentence."""
    asked = pruning.asked
    ratio = _share(asked)
    by = f"{number(100 * ratio, 0)} % of the channels" if ratio is not None else asked
    reason = pruning.reason.strip().rstrip(".")
    return f"Pruning (asked for: {by}) was {state(pruning)}: {reason}."


def _share(asked: str) -> float | None:
    try:
        return float(asked)
    except ValueError:
        return None


def tables(pruning: Pruning) -> list[Table]:
    """Size, latency and accuracy before and after; those that are known."""
    found = [_size(pruning), _latency(pruning), _tuning(pruning)]
    return [table for table in found if table is not None]


def _size(pruning: Pruning) -> Table | None:
    known: tuple[tuple[str, Counts | None, float], ...] = (
        ("channels", pruning.channels, 1.0),
        ("params, M", pruning.params, 1e6),
        ("GMACs", pruning.macs, 1e9),
    )
    rows = []
    for name, counts, unit in known:
        if counts is not None:
            digits = 0 if unit == 1 else 2 if max(counts.before, counts.after) >= 0.1 * unit else 4
            cells = (number(counts.before / unit, digits), number(counts.after / unit, digits))
            rows.append((name, *cells, _change(counts.after, counts.before)))
    return Table("size", ("size", "before", "after", "change"), rows) if rows else None


def _latency(pruning: Pruning) -> Table | None:
    fit = pruning.latency
    if fit is None:
        return None
    rows = [("before", milliseconds(fit.dense_ms), "")]
    after = (("predicted", fit.predicted_ms), ("measured", fit.measured_ms), ("budget", fit.budget_ms))
    rows += [(name, milliseconds(ms), _change(ms, fit.dense_ms)) for name, ms in after if ms is not None]
    return Table("latency", (f"{display_name(fit.precision)} latency", "ms", "change"), rows)


def _tuning(pruning: Pruning) -> Table | None:
    tuning = pruning.recovery.tuning if pruning.recovery else None
    if tuning is None:
        return None
    of = "" if tuning.first_images in (None, tuning.images) else f", of {number(tuning.first_images, 0)}"
    after = (
        (f"just pruned{of}", tuning.pruned_top1),
        (f"batch norm re-estimated{of}", tuning.reestimated_top1),
        ("recovered", tuning.recovered_top1),
    )
    rows = [("before", number(tuning.dense_top1, 2), "")]
    rows += [(name, number(top1, 2), _signed(top1 - tuning.dense_top1)) for name, top1 in after if top1 is not None]
    return Table("tuning", (f"top-1 of {number(tuning.images, 0)} tuning images", "%", "points"), rows)


def _change(after: float, before: float) -> str:
    return f"{_signed(100 * (after - before) / before, 0)} %" if before else MISSING


def _signed(value: float, digits: int = 2) -> str:
    text = number(value, digits)
    return f"+{text}" if float(f"{value:.{digits}f}") > 0 else text


def facts(pruning: Pruning) -> list[tuple[str, str]]:
    """How it was done: subject and text."""
    lines = []
    if pruning.importance:
        lines.append(("Importance", f"{pruning.importance.capitalize()}, per channel"))
    if pruning.blocks is not None:
        lines.append(("Blocks removed", blocks(pruning.blocks)))
    latency = pruning.latency
    if latency is not None:
        lines.append(("Layer table", f"{number(latency.table_points, 0)} points, {latency.table}"))
        steps = [f"{milliseconds(s.predicted_ms)} → {milliseconds(s.measured_ms)} ms" for s in latency.steps]
        if steps:
            lines.append(("Steps", f"predicted → measured: {'; '.join(steps)}"))
    recovery = pruning.recovery
    if recovery is not None:
        lines.append(("Recovery", _recovery(recovery)))
        if recovery.tuning is None:
            lines.append(("Tuning accuracy", "not measured"))
    return lines


def blocks(found: Blocks) -> str:
    """Which residual blocks were removed."""
    if not found.removed:
        return f"none of {number(found.there, 0)}"
    return f"{number(len(found.removed), 0)} of {number(found.there, 0)}: {', '.join(found.removed)}"


def _recovery(recovery: Recovery) -> str:
    seconds, parts = recovery.seconds, [recovery.method]
    if recovery.steps:
        took = f"{number(seconds, 0)} s" if seconds < 600 else f"{number(seconds / 60, 0)} min"
        parts[0] += f": {_count(recovery.images, 'image')}, {_count(recovery.steps, 'step')}, {took}"
    if recovery.refit_images:
        parts.append(f"weights refit by least squares on {_count(recovery.refit_images, 'image')}")
    if recovery.batch_norm_images:
        parts.append(f"batch norm re-estimated on {_count(recovery.batch_norm_images, 'image')}")
    if recovery.attempts is not None and recovery.attempts > 1:
        parts.append(f"{recovery.attempts} attempts")
    parts += [text for text in (recovery.cut, recovery.why) if text]
    return "; ".join(parts)


def _count(value: int, noun: str) -> str:
    return f"{number(value, 0)} {noun}{'' if value == 1 else 's'}"


def changed(pruning: Pruning) -> list[Width]:
    """The layers whose widths are not what they were."""
    return [each for each in pruning.widths if each.before != each.after]


def widths_title(pruning: Pruning) -> str:
    """What the table of widths holds."""
    return f"Widths before and after: {len(changed(pruning))} of {_count(len(pruning.widths), 'layer')} changed"


def kept_share(pruning: Pruning, block: str) -> float | None:
    """The share of output channels that the layers of a block keep (0 to 1); None if the widths do not tell."""
    inside = [each for each in pruning.widths if each.layer == block or each.layer.startswith(f"{block}.")]
    before = sum(each.before[1] for each in inside)
    return sum(each.after[1] for each in inside) / before if before else None


def points(measured: Sensitivity, block: Block) -> Points:
    """The curve of a block, from nothing removed (the dense network) on."""
    found = sorted(block.points)
    return found if found and found[0][0] == 0 else [(0.0, measured.dense_top1), *found]


def percent(share: float | None) -> str:
    """A share as percent; a dash if it is not known."""
    return MISSING if share is None else f"{number(100 * share, 0)} %"


def sensitivity_title(found: Sensitivity) -> str:
    """What the curves show, in a sentence."""
    return (
        f"Top-1 of {_count(found.images, 'image')} when channels are removed from one block at a time and nothing "
        f"is trained; with all channels it is {number(found.dense_top1, 2)} %."
    )


_MOST_RATIOS: Final = 10


def sensitivity_table(pruning: Pruning) -> Table | None:
    """Blocks by shares removed; where blocks have too many shares of their own, one cell that lists them."""
    found = pruning.sensitivity
    if found is None or not found.blocks:
        return None
    curves = [
        (each.name, percent(kept_share(pruning, each.name)), {round(x, 3): y for x, y in points(found, each)})
        for each in found.blocks
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
