"""Accuracy against the share of channels removed as SVG text: a grid of small plots, one a block, on the same axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from edgekit.report import pruned
from edgekit.report.axes import Axis, linear_axis
from edgekit.report.escaping import html_text
from edgekit.report.labels import text_width
from edgekit.report.model_pruning import Pruning
from edgekit.report.summary import number

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 860, 58, 12, 22, 46
PANEL_HEIGHT, GAP_X, GAP_Y = 78, 16, 28
COLUMNS, PER_SHEET = 5, 25
"""Panels beside each other, and in one SVG: what fits a printed page."""


@dataclass(frozen=True)
class Panel:
    """One block: its curve, and the share of its channels that it keeps (0 to 1), None if that is not told."""

    name: str
    points: pruned.Points
    kept: float | None


def svgs(pruning: Pruning) -> list[str]:
    """The sensitivities as <svg> elements, up to 25 blocks each; none where none were measured."""
    found = pruning.sensitivity
    if found is None or not found.blocks:
        return []
    panels = [
        Panel(each.name, pruned.points(found, each), pruned.kept_share(pruning, each.name)) for each in found.blocks
    ]
    dense = found.dense_top1
    heights = [y for panel in panels for _, y in panel.points]
    y_axis = linear_axis(min([dense, *heights]), max([dense, *heights]), PANEL_HEIGHT, 0, top=100.0)
    x_axis = _shares(panels)
    sheets = [panels[i : i + PER_SHEET] for i in range(0, len(panels), PER_SHEET)]
    return [_sheet(sheet, x_axis, replace(y_axis, ticks=_thinned(y_axis.ticks)), dense) for sheet in sheets]


def _shares(panels: Sequence[Panel]) -> Axis:
    """The axis of shares removed, from 0 to the next tenth; pixels are set for each column."""
    ends = [x for panel in panels for x, _ in panel.points] + [1 - p.kept for p in panels if p.kept is not None]
    last = min(10, max(1, math.ceil(10 * max(ends) - 1e-6)))
    step = 1 if last <= 4 else 2 if last <= 8 else 5
    return Axis(0.0, last / 10, 0.0, 1.0, tuple(tick / 10 for tick in range(0, last + 1, step)))


def _thinned(ticks: Sequence[float]) -> tuple[float, ...]:
    """Every other tick where a small plot has no room for all, the topmost among them."""
    return tuple(ticks) if len(ticks) <= 4 else tuple(ticks[::-1][::2][::-1])


def _sheet(panels: Sequence[Panel], x_axis: Axis, y_axis: Axis, dense: float) -> str:
    rows = math.ceil(len(panels) / COLUMNS)
    columns = max(3, math.ceil(len(panels) / rows))
    wide = (WIDTH - LEFT - RIGHT - GAP_X * (columns - 1)) / columns
    height = TOP + rows * PANEL_HEIGHT + (rows - 1) * GAP_Y + BOTTOM
    parts = []
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        left, top = LEFT + column * (wide + GAP_X), TOP + row * (PANEL_HEIGHT + GAP_Y)
        x = replace(x_axis, start=left, end=left + wide)
        y = replace(y_axis, start=top + PANEL_HEIGHT, end=top)
        parts += _grid(x, y, dense, first=column == 0, last=place + columns >= len(panels))
        parts.append(_panel(panel, x, y))
    middle = TOP + (height - TOP - BOTTOM) / 2
    parts.append(
        f'<text class="axis-title" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{height - 8}" text-anchor="middle">'
        "share of the block’s channels removed, %</text>"
    )
    parts.append(
        f'<text class="axis-title" transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">'
        "top-1 accuracy, %</text>"
    )
    about = "; ".join(_words(panel) for panel in panels)
    return (
        f'<svg class="plot sensitivity" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="Accuracy against the share of channels removed"><desc>{html_text(about)}</desc>\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def _grid(x: Axis, y: Axis, dense: float, first: bool, last: bool) -> list[str]:
    """Frame, lines and ticks of one panel: numbers only at the left and the lower edge of the grid."""
    lines = "".join(f"M{x.start:.1f} {y.at(tick):.1f}H{x.end:.1f}" for tick in y.ticks)
    lines += "".join(f"M{x.at(tick):.1f} {y.end:.1f}V{y.start:.1f}" for tick in x.ticks)
    parts = [
        f'<path class="grid" d="{lines}"/>',
        f'<path class="dense" d="M{x.start:.1f} {y.at(dense):.1f}H{x.end:.1f}"/>',
        f'<path class="axis" d="M{x.start:.1f} {y.start:.1f}H{x.end:.1f}"/>',
    ]
    if first:
        parts += [
            f'<text class="tick" x="{x.start - 6:.1f}" y="{y.at(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
            for tick in y.ticks
        ]
    if last:
        sides = {0.0: "start", x.high: "end"}  # neighbours' numbers stay apart
        parts += [
            f'<text class="tick" x="{x.at(tick):.1f}" y="{y.start + 15:.1f}" '
            f'text-anchor="{sides.get(tick, "middle")}">{tick * 100:g}</text>'
            for tick in x.ticks
        ]
    return parts


def _panel(panel: Panel, x: Axis, y: Axis) -> str:
    """Title, curve and cut of one block."""
    kept = "" if panel.kept is None else f"{pruned.percent(panel.kept)} kept"
    room = x.end - x.start - (text_width(kept, 10.5) + 4 if kept else 0)
    size = f'width="{x.end - x.start:.1f}" height="{PANEL_HEIGHT + 18}"'
    parts = [
        f"<title>{html_text(_words(panel))}</title>",
        f'<rect class="hover" x="{x.start:.1f}" y="{y.end - 18:.1f}" {size}/>',
        f'<text class="name" x="{x.start:.1f}" y="{y.end - 7:.1f}">{html_text(_short(panel.name, room))}</text>',
    ]
    spots = [(x.at(share), y.at(top1)) for share, top1 in panel.points]
    curve = [f'<polyline class="curve" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in spots)}"/>']
    curve += [f'<circle class="knot" cx="{a:.1f}" cy="{b:.1f}" r="2.2"/>' for a, b in spots]
    if panel.kept is None:
        return f'<g class="panel">{"".join(parts + curve)}</g>'
    is_cut, cut = panel.kept < 1, x.at(1 - panel.kept)
    look = "kept" if is_cut else "kept whole"
    parts.append(f'<text class="{look}" x="{x.end:.1f}" y="{y.end - 7:.1f}" text-anchor="end">{kept}</text>')
    if is_cut:
        parts.append(f'<path class="cut" d="M{cut:.1f} {y.end:.1f}V{y.start:.1f}"/>')
        level = between(panel.points, 1 - panel.kept)
        if level is not None:
            curve.append(f'<circle class="spot" cx="{cut:.1f}" cy="{y.at(level):.1f}" r="3.6"/>')
    return f'<g class="panel">{"".join(parts + curve)}</g>'


def between(points: pruned.Points, share: float) -> float | None:
    """The top-1 at a share, on the straight line between its neighbours; None beyond the last."""
    for (left, low), (right, high) in pairwise(points):
        if left <= share <= right:
            return low if right == left else low + (high - low) * (share - left) / (right - left)
    return points[0][1] if share == points[0][0] else None


def _short(name: str, room: float) -> str:
    """A name that fits, without its beginning: blocks differ in how they end."""
    fits = max(4, int(room / text_width("n", 11)))
    return name if len(name) <= fits else "…" + name[-(fits - 1) :]


def _words(panel: Panel) -> str:
    kept = "" if panel.kept is None else f", {pruned.percent(panel.kept)} of its channels kept"
    curve = ", ".join(f"{number(100 * share, 0)} %: {number(top1)} %" for share, top1 in panel.points)
    return f"{panel.name}{kept}; top-1 by share removed: {curve}"
