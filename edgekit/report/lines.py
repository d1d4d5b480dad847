"""Lines over a common x as one SVG that stands alone: the mean of several runs, and their range as a band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from edgekit.report.axes import Axis, linear_axis, log_axis
from edgekit.report.escaping import html_text

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 400, 60, 40, 150, 48
COLORS: Final = ("#1f5fa8", "#c2410c", "#15803d", "#7e22ce", "#525252")
"""Told apart by those who see red and green alike, too: each line carries its name at its end."""
ROW = 15


@dataclass(frozen=True)
class Series:
    """A named line: the values of each run at x = 1, 2, ...; runs may end early."""

    name: str
    runs: tuple[tuple[float, ...], ...]

    def at(self, place: int) -> list[float]:
        """The values of the runs that got so far."""
        return [run[place] for run in self.runs if place < len(run)]

    @property
    def length(self) -> int:
        return max(len(run) for run in self.runs)


def chart(title: str, series: Sequence[Series], x_title: str, y_title: str, is_log: bool = False) -> str:
    """Draws the series.

    Raises:
        ValueError: there is nothing to draw.
    """
    values = [value for each in series for run in each.runs for value in run]
    if not values:
        raise ValueError("there is nothing to draw")
    x_axis = Axis(1, max(max(each.length for each in series), 2), LEFT, WIDTH - RIGHT, _whole_ticks(series))
    make = log_axis if is_log else linear_axis
    y_axis = make(min(values), max(values), HEIGHT - BOTTOM, TOP)
    about = "; ".join(f"{each.name}: {fmean(each.at(each.length - 1)):.4g} at the end" for each in series)
    look = f'font-family="sans-serif" font-size="12" role="img" aria-label="{html_text(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {look}>',
        f"<desc>{html_text(about)}</desc>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14" fill="#222">{html_text(title)}</text>',
        *_frame(x_axis, y_axis, x_title, y_title),
    ]
    for color, each in zip(COLORS, series, strict=False):
        parts += _line(each, color, x_axis, y_axis)
    parts += _names(series, y_axis)
    return "\n".join(parts) + "\n</svg>\n"


def _whole_ticks(series: Sequence[Series]) -> tuple[float, ...]:
    last = max(each.length for each in series)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if last / step <= 10)
    return tuple(float(tick) for tick in (1, *range(step, last + 1, step)) if tick == 1 or step > 1 or tick > 1)


def _frame(x_axis: Axis, y_axis: Axis, x_title: str, y_title: str) -> list[str]:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<line x1="{LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}" stroke="#888"/>']
    for tick in x_axis.ticks:
        parts.append(
            f'<text x="{x_axis.at(tick):.1f}" y="{bottom + 17}" text-anchor="middle" fill="#555">{tick:g}</text>'
        )
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        parts.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#555">{tick:g}</text>')
    middle, look = (TOP + bottom) / 2, 'text-anchor="middle" fill="#555"'
    parts.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 10}" {look}>{html_text(x_title)}</text>')
    parts.append(f'<text transform="translate(16 {middle:.0f}) rotate(-90)" {look}>{html_text(y_title)}</text>')
    return parts


def _line(series: Series, color: str, x_axis: Axis, y_axis: Axis) -> list[str]:
    """The band from the lowest to the highest run, and the mean."""
    columns = [(x_axis.at(place + 1), series.at(place)) for place in range(series.length)]
    upper = [f"{x:.1f},{y_axis.at(max(held)):.1f}" for x, held in columns]
    lower = [f"{x:.1f},{y_axis.at(min(held)):.1f}" for x, held in reversed(columns)]
    mean = [f"{x:.1f},{y_axis.at(fmean(held)):.1f}" for x, held in columns]
    return [
        f'<polygon points="{" ".join(upper + lower)}" fill="{color}" fill-opacity="0.15"/>',
        f'<polyline points="{" ".join(mean)}" fill="none" stroke="{color}" stroke-width="2"/>',
    ]


def _names(series: Sequence[Series], y_axis: Axis) -> list[str]:
    """The name of each line beside its end, pushed apart where ends are near."""
    ends = sorted(
        (y_axis.at(fmean(each.at(each.length - 1))), color, each.name)
        for color, each in zip(COLORS, series, strict=False)
    )
    parts, free = [], float(TOP)
    for y, color, name in ends:
        here = max(y, free)
        free = here + ROW
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{here + 4:.1f}" fill="{color}">{html_text(name)}</text>')
    return parts
