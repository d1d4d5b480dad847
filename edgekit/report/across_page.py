"""Many builds on one page: where each stands, how they came to it, and all figures in a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit.report.across import BuildRow, Builds, best
from edgekit.report.axes import Axis, linear_axis, log_axis
from edgekit.report.escaping import html_text
from edgekit.report.page import markup, render
from edgekit.report.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, grid, latency_title
from edgekit.report.scripts import tables_script
from edgekit.report.summary import interval, megabytes, milliseconds, number, times

TITLES = ("build", "created", "model", "target", "variant", "accuracy, %", "drop, points", "p50, ms", "speedup", "MB")


@dataclass(frozen=True)
class Bench:
    """Builds whose figures compare: words for them, their plots (empty where nothing was timed) and rows."""

    title: str
    front: object
    trend: object
    names: tuple[str, ...]


def across_html(builds: Builds, title: str) -> str:
    """One file that needs nothing from outside, whole without its script."""
    benches = [_bench(key, rows) for key, rows in builds.benches().items()]
    return render(
        "across.html.j2",
        title=title,
        scripts=(tables_script(),),
        benches=benches,
        titles=TITLES,
        rows=[_cells(row) for row in builds.rows],
        left_out=builds.left_out,
        count=len(builds.rows),
    )


def across_table(builds: Builds) -> list[list[str]]:
    """The rows of the table, for terminals; those on a Pareto front have a star before their names."""
    starred = {row.build for rows in builds.benches().values() for row in best(rows)}
    cells = [_cells(row) for row in builds.rows]
    return [[("* " if row[0] in starred else "  ") + row[0], *row[1:]] for row in cells]


def _cells(row: BuildRow) -> list[str]:
    return [
        row.build,
        row.created[:16].replace("T", " "),
        row.model,
        row.target,
        row.chosen,
        number(row.accuracy, 2),
        number(row.drop, 2) + interval(row.drop_ci95, 2),
        milliseconds(row.p50),
        times(row.speedup_vs_fp32),
        megabytes(row.size_bytes),
    ]


def _bench(key: tuple[str, str, str], rows: Sequence[BuildRow]) -> Bench:
    metric, data, device = key
    images = f"images {data[:12]}" if data else "no images"
    timed = [row for row in rows if row.p50 is not None and row.accuracy is not None]
    return Bench(
        f"{metric} on {images}, {device}",
        markup(_front(timed)) if timed else "",
        markup(_trend(timed)) if len({row.created for row in timed}) > 1 else "",
        tuple(row.build for row in best(rows)),
    )


def _front(rows: Sequence[BuildRow]) -> str:
    """Accuracy against latency, with both intervals; builds on the front are filled and joined."""
    ends = [end for row in rows for end in (row.p50_bounds or (row.p50 or 0.0,))]
    x = (log_axis if max(ends) / min(ends) > 2.5 else linear_axis)(min(ends), max(ends), LEFT, WIDTH - RIGHT)
    y = _accuracy_axis(rows)
    known = best(rows)
    spots = {row.build: (x.at(row.p50 or 0.0), y.at(row.accuracy or 0.0)) for row in rows}
    parts = grid(x, y, latency_title(x), "accuracy, % · better →")
    line = " ".join(f"{left:.1f},{top:.1f}" for left, top in (spots[row.build] for row in known))
    parts.append(f'<polyline class="front" points="{line}"/>')
    for row in rows:
        left, top = spots[row.build]
        words = f"{row.build}: p50 {milliseconds(row.p50)} ms, {number(row.accuracy, 2)} %"
        parts.append(
            _point(words, "chosen" if row in known else "left", (left, top), _whiskers(row, (x, y), (left, top)))
        )
        if row in known:
            name = html_text(row.build if len(row.build) <= 28 else f"…{row.build[-27:]}")
            anchor, shift = ("end", -9) if left > WIDTH * 0.7 else ("start", 9)
            place = f'x="{left + shift:.1f}" y="{top - 9:.1f}" text-anchor="{anchor}"'
            parts.append(f'<g class="label chosen"><text class="name" {place}>{name}</text></g>')
    return _svg("Accuracy against latency of builds", parts)


def _point(words: str, look: str, spot: tuple[float, float], whiskers: Sequence[str]) -> str:
    dot = f'<circle class="dot" cx="{spot[0]:.1f}" cy="{spot[1]:.1f}" r="5"/>'
    return f'<g class="point {look}"><title>{html_text(words)}</title>{"".join(whiskers)}{dot}</g>'


def _whiskers(row: BuildRow, axes: tuple[Axis, Axis], spot: tuple[float, float]) -> list[str]:
    (x, y), (left, top) = axes, spot
    parts = []
    if row.p50_bounds is not None:
        a, b = (x.at(end) for end in row.p50_bounds)
        parts.append(f'<path class="bar" d="M{a:.1f} {top:.1f}H{b:.1f}"/>')
    if row.accuracy_ci95 is not None:
        a, b = (y.at(end) for end in row.accuracy_ci95)
        parts.append(f'<path class="bar" d="M{left:.1f} {a:.1f}V{b:.1f}"/>')
    return parts


def _trend(rows: Sequence[BuildRow]) -> str:
    """Latency from build to build, the oldest at the left, a line for each network on each target."""
    step = -(-len(rows) // 12)
    x = Axis(0.5, len(rows) + 0.5, LEFT, WIDTH - RIGHT, tuple(float(n) for n in range(1, len(rows) + 1, step)))
    ends = [end for row in rows for end in (row.p50_bounds or (row.p50 or 0.0,))]
    y = linear_axis(min(ends), max(ends), HEIGHT - BOTTOM, TOP)
    parts = grid(x, y, "builds, the oldest first", "p50 latency, ms · better ↓")
    series: dict[tuple[str, str], list[tuple[int, BuildRow]]] = {}
    for place, row in enumerate(rows, 1):
        series.setdefault((row.model, row.target), []).append((place, row))
    for found in series.values():
        line = " ".join(f"{x.at(place):.1f},{y.at(row.p50 or 0.0):.1f}" for place, row in found)
        parts.append(f'<polyline class="front" points="{line}"/>')
    for place, row in enumerate(rows, 1):
        left, top = x.at(place), y.at(row.p50 or 0.0)
        bars = []
        if row.p50_bounds is not None:
            a, b = (y.at(end) for end in row.p50_bounds)
            bars.append(f'<path class="bar" d="M{left:.1f} {a:.1f}V{b:.1f}"/>')
        words = f"{row.build}, {row.created}: p50 {milliseconds(row.p50)} ms"
        parts.append(_point(words, "chosen", (left, top), bars))
    return _svg("Latency from build to build", parts)


def _accuracy_axis(rows: Sequence[BuildRow]) -> Axis:
    values = [end for row in rows for end in (row.accuracy_ci95 or (row.accuracy or 0.0,))]
    return linear_axis(min(values), max(values), HEIGHT - BOTTOM, TOP, top=100.0)


def _svg(title: str, parts: Sequence[str]) -> str:
    head = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}"><title>{title}</title>'
    return "\n".join([head, *parts, "</svg>"])
