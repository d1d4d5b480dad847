"""Accuracy against latency as SVG text; colours come from the page, by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgekit.report import summary
from edgekit.report.axes import Axis, linear_axis, log_axis
from edgekit.report.columns import decision
from edgekit.report.escaping import html_text
from edgekit.report.labels import Box, Label, place, text_width
from edgekit.report.metrics import metric
from edgekit.report.model import Report
from edgekit.report.model_variants import Accuracy, Latency, Variant
from edgekit.validate.binomial import wilson

WIDTH, HEIGHT = 860, 440
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 20, 52
MOST_LABELS = 14
"""Points that are labelled; of more, only the chosen one and those that no other one beats."""


@dataclass(frozen=True)
class Point:
    """A variant in the plot: latencies in ms; accuracy (or agreement) in percent, None if not measured.

    Attributes:
        x_ends: the bounds of p50, or p50 and p90 where a variant of the report has none.
        look: chosen, kept, left (it stands there for comparison) or taken (its step was taken back).
        is_front: whether no other one is both faster and at least as accurate.
    """

    name: str
    x: float
    x_ends: tuple[float, float]
    y: float | None
    y_ends: tuple[float, float] | None
    look: str
    is_front: bool = False


def points(report: Report) -> tuple[str, list[Point]]:
    """What is on the y axis ("accuracy" of the task, "agreement" or nothing), and every variant with a latency."""
    timed = [(each, each.latency.p50) for each in report.variants if each.latency.p50]
    keys = ("accuracy", "agreement")
    y_key = next((key for key in keys if any(_y(report, v.accuracy, key) is not None for v, _ in timed)), "")
    found, are_bounds = [], has_bounds(report)
    for variant, p50 in timed:
        accuracy = variant.accuracy
        y = _y(report, accuracy, y_key)
        ends = accuracy.ci95 if y_key == "accuracy" else None
        is_share = y_key == "agreement" or metric(report).is_share
        if ends is None and y is not None and accuracy.images and is_share:
            ends = wilson(y * accuracy.images / 100, accuracy.images)
        x_ends = (p50, max(variant.latency.p90 or 0, p50))
        if are_bounds:
            x_ends = bounds(variant.latency) or x_ends
        found.append(Point(variant.name, p50, x_ends, y, ends if y is not None else None, _look(report, variant)))
    best = set(front([(each.x, each.y) for each in found]))
    return y_key, [replace(each, is_front=place in best) for place, each in enumerate(found)]


def bounds(latency: Latency) -> tuple[float, float] | None:
    """The bounds of p50, where runs bound both ends."""
    low, high = latency.p50_bounds or (None, None)
    return None if low is None or high is None else (low, high)


def has_bounds(report: Report) -> bool:
    """Whether every p50 is told with its bounds."""
    return all(bounds(each.latency) is not None for each in report.variants if each.latency.p50)


def _look(report: Report, variant: Variant) -> str:
    if variant.name == report.chosen:
        return "chosen"
    return {"yes": "kept", "taken back": "taken"}.get(decision(report, variant), "left")


def front(points: Sequence[tuple[float, float | None]]) -> list[int]:
    """Places of the points that no other one beats, by latency (less is better) and accuracy (more is); fastest first.

    Points without accuracy are on no front.
    """
    known = [(x, -y, index) for index, (x, y) in enumerate(points) if y is not None]
    best, found = float("-inf"), []
    for _, negative, index in sorted(known):
        if -negative > best:
            best = -negative
            found.append(index)
    return found


def _y(report: Report, accuracy: Accuracy, y_key: str) -> float | None:
    """What the y axis shows of a variant."""
    if y_key == "accuracy":
        return metric(report).value(accuracy)
    return accuracy.agreement if y_key == "agreement" else None


def svg(report: Report) -> str:
    """The plot as one <svg> element; an empty text when no latency was measured."""
    y_key, found = points(report)
    if not found:
        return ""
    x_budget = report.verdict.latency.budget
    xs = [end for p in found for end in (p.x, *p.x_ends) if end > 0] + ([x_budget] if x_budget else [])
    make = log_axis if max(xs) / min(xs) > 2.5 else linear_axis
    x_axis = make(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    y_axis = _y_axis(report, y_key, found)
    spots = [(p, x_axis.at(p.x), _height(i, p, len(found), y_axis)) for i, p in enumerate(found)]
    name = metric(report).name if y_key == "accuracy" else "agreement"
    y_title = metric(report).axis if y_key == "accuracy" else "top-1 agreement with FP32"
    marks = [_marks(p, x, y, x_axis, y_axis, _y_words(p, name)) for p, x, y in spots]
    lines, line_boxes = _budgets(report, y_key, x_axis, y_axis)
    parts = [
        *grid(x_axis, y_axis, latency_title(x_axis), f"{y_title}, % · better →"),
        *lines,
        *_front_line(spots),
        *(each[0] for each in marks),
        *_labels(spots, [*line_boxes, *(box for each in marks for box in each[1])]),
    ]
    about = "; ".join(f"{p.name}: p50 {summary.milliseconds(p.x)} ms, {_y_words(p, name)}" for p in found)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="plot-title plot-about">'
        f'<title id="plot-title">Accuracy against latency</title><desc id="plot-about">{html_text(about)}</desc>\n'
        + "\n".join(parts)
        + "\n</svg>"
    )


def _y_axis(report: Report, y_key: str, found: Sequence[Point]) -> Axis | None:
    """The axis of accuracy; None if no variant has one."""
    if not y_key:
        return None
    values = [end for p in found if p.y is not None for end in (p.y_ends or (p.y,))]
    limit = accuracy_limit(report, y_key)
    low, high = min([*values, *([] if limit is None else [limit])]), max(values)
    bottom = HEIGHT - BOTTOM - (34 if any(p.y is None for p in found) else 0)  # a lane for what has a latency only
    return linear_axis(low, high, bottom, TOP, top=100.0)


def accuracy_limit(report: Report, y_key: str) -> float | None:
    """The lowest accuracy within the budget, in percent."""
    base, budget = summary.baseline(report), report.verdict.accuracy.budget
    before = None if base is None else metric(report).value(base.accuracy)
    return None if y_key != "accuracy" or budget is None or before is None else max(0.0, before - budget)


def _height(index: int, point: Point, count: int, axis: Axis | None) -> float:
    """The pixel row of a point: by its accuracy, else in the lane below, else one row for each variant."""
    if axis is None:
        return TOP + (index + 0.5) * (HEIGHT - TOP - BOTTOM) / count
    return HEIGHT - BOTTOM - 17 if point.y is None else axis.at(point.y)


def latency_title(axis: Axis) -> str:
    """Of an axis of median latencies."""
    return "← faster · p50 latency, ms" + (", logarithmic" if axis.is_log else "")


def grid(x_axis: Axis, y_axis: Axis | None, below: str, beside: str) -> list[str]:
    """Lines and ticks of the axes, and their titles."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = []
    for tick in x_axis.ticks:
        x = x_axis.at(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{tick:g}</text>')
    for tick in y_axis.ticks if y_axis else ():
        y = y_axis.at(tick) if y_axis else 0.0
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    parts.append(
        f'<text class="axis-title" x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{below}</text>'
    )
    if y_axis:
        middle = (TOP + bottom) / 2
        parts.append(
            f'<text class="axis-title" transform="translate(16 {middle:.0f}) rotate(-90)" text-anchor="middle">'
            f"{beside}</text>"
        )
    return parts


def _budgets(report: Report, y_key: str, x_axis: Axis, y_axis: Axis | None) -> tuple[list[str], list[Box]]:
    """The budgets as dashed lines, and where their texts are."""
    parts, boxes = [], []
    limit, right, bottom = accuracy_limit(report, y_key), WIDTH - RIGHT, HEIGHT - BOTTOM
    if y_axis and limit is not None:
        y, words = y_axis.at(limit), f"accuracy budget: {limit:.1f} %"
        parts.append(f'<line class="budget" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="budget-text" x="{right - 6}" y="{y - 6:.1f}" text-anchor="end">{words}</text>')
        boxes += [Box(right - 6 - text_width(words, 11), y - 17, right, y), Box(LEFT, y - 1, right, y + 1)]
    budget = report.verdict.latency.budget
    if budget:
        x, words = x_axis.at(budget), f"latency budget: {summary.milliseconds(budget)} ms"
        anchor, left = ("start", x + 6) if x < (LEFT + right) / 2 else ("end", x - 6 - text_width(words, 11))
        parts.append(f'<line class="budget" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>')
        edge = x + 6 if anchor == "start" else x - 6
        parts.append(f'<text class="budget-text" x="{edge:.1f}" y="{TOP + 11}" text-anchor="{anchor}">{words}</text>')
        boxes += [Box(left, TOP, left + text_width(words, 11), TOP + 15), Box(x - 1, TOP, x + 1, bottom)]
    return parts, boxes


def _y_words(point: Point, name: str) -> str:
    if point.y is None:
        return "accuracy not measured"
    return f"{summary.number(point.y, 2)} % {name}"


def _marks(point: Point, x: float, y: float, x_axis: Axis, y_axis: Axis | None, words: str) -> tuple[str, list[Box]]:
    """The mark of a point with its error bars, and what they cover."""
    start, end = (x_axis.at(max(each, x_axis.low)) for each in point.x_ends)
    look = ("left taken" if point.look == "taken" else point.look) + (" no-y" if y_axis and point.y is None else "")
    caps = "".join(f"M{each:.1f} {y - 4:.1f}v8" for each in (start, end) if abs(each - x) > 0.5)
    bars = [f'<path class="bar" d="M{start:.1f} {y:.1f}H{end:.1f}{caps}"/>']
    boxes = [Box(x - 8, y - 8, x + 8, y + 8), Box(start - 2, y - 3, end + 2, y + 3)]
    if y_axis and point.y_ends:
        low, high = (y_axis.at(each) for each in point.y_ends)
        bars.append(
            f'<path class="bar" d="M{x - 4:.1f} {low:.1f}h8M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {high:.1f}h8"/>'
        )
        boxes.append(Box(x - 4, high, x + 4, low))
    ring = f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="11"/>' if point.look == "chosen" else ""
    dot = f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
    if point.look == "taken":
        dot += f'<path class="cross" d="M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"/>'
    hover = f"<title>{html_text(point.name)}: p50 {summary.milliseconds(point.x)} ms, {words}</title>"
    return (
        f'<g class="point {look}" data-variant="{html_text(point.name)}">{hover}{"".join(bars)}{ring}{dot}</g>',
        boxes,
    )


def _front_line(spots: Sequence[tuple[Point, float, float]]) -> list[str]:
    """Steps along the points that no other one beats."""
    best = sorted((x, y) for point, x, y in spots if point.is_front)
    if len(best) < 2:
        return []
    (x, y), *others = best
    return [f'<path class="front" d="M{x:.1f} {y:.1f}{"".join(f"H{x:.1f}V{y:.1f}" for x, y in others)}"/>']


def _labels(spots: Sequence[tuple[Point, float, float]], obstacles: Sequence[Box]) -> list[str]:
    """Name and numbers beside each point, the chosen one placed first, with a thin line to those set far away."""
    ordered = sorted(spots, key=lambda spot: spot[0].look != "chosen")
    if len(ordered) > MOST_LABELS:
        ordered = [spot for spot in ordered if spot[0].look == "chosen" or spot[0].is_front][:MOST_LABELS]
    texts = []
    for point, _, _ in ordered:
        name = point.name if len(point.name) <= 26 else point.name[:25] + "…"
        numbers = f"{summary.milliseconds(point.x)} ms" + ("" if point.y is None else f" · {summary.number(point.y)} %")
        texts.append((name + (" · chosen" if point.look == "chosen" else ""), numbers))
    wanted = [
        Label(x, y, max(text_width(name, 13), text_width(numbers, 11)), 29)
        for (_, x, y), (name, numbers) in zip(ordered, texts, strict=True)
    ]
    boxes = place(wanted, obstacles, Box(LEFT + 2, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM))
    parts = []
    for (point, x, y), (name, numbers), box in zip(ordered, texts, boxes, strict=True):
        anchor, at = ("start", box.left) if box.left >= x else ("end", box.right) if box.right <= x else ("middle", x)
        near_x, near_y = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
        if math.hypot(near_x - x, near_y - y) > 20:
            parts.append(f'<line class="leader" x1="{x:.1f}" y1="{y:.1f}" x2="{near_x:.1f}" y2="{near_y:.1f}"/>')
        parts.append(
            f'<g class="label {point.look}" text-anchor="{anchor}">'
            f'<text class="name" x="{at:.1f}" y="{box.top + 12:.1f}">{html_text(name)}</text>'
            f'<text class="numbers" x="{at:.1f}" y="{box.top + 26:.1f}">{html_text(numbers)}</text></g>'
        )
    return parts
