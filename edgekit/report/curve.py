"""The curve of a training run as one SVG: top-1 of the training images, and where the resolution grew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 320, 56, 24, 16, 44


@dataclass(frozen=True)
class Progress:
    """A line of the log: images trained on so far, their side in pixels or HxW, top-1 percent of the last ones."""

    images: int
    size: int | str
    top1: float


def curve(ticks: Sequence[Progress]) -> str:
    """Draws the lines of the log: images on the x axis, percent on the y axis, one shade a resolution.

    Raises:
        ValueError: there are no lines.
    """
    if not ticks:
        raise ValueError("the log is empty")
    last = ticks[-1].images

    def x(images: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * images / last

    def y(percent: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - percent / 100)

    look = 'font-family="sans-serif" font-size="12" role="img" aria-label="Top-1 of the training images"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {look}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for place, (size, first, end) in enumerate(_spans(ticks)):
        shade = "#eef3f8" if place % 2 else "#f8fafc"
        parts.append(
            f'<rect x="{x(first):.1f}" y="{TOP}" width="{x(end) - x(first):.1f}" height="{HEIGHT - TOP - BOTTOM}"'
            f' fill="{shade}"/><text x="{(x(first) + x(end)) / 2:.1f}" y="{TOP - 8}" text-anchor="middle"'
            f' fill="#555">{size} px</text>'
        )
    for percent in range(0, 101, 20):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(percent):.1f}" y2="{y(percent):.1f}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{y(percent) + 4:.1f}" text-anchor="end" fill="#555">{percent} %</text>'
        )
    points = " ".join(f"{x(tick.images):.1f},{y(tick.top1):.1f}" for tick in ticks)
    parts.append(f'<polyline points="{points}" fill="none" stroke="#1f5fa8" stroke-width="1.5"/>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle" fill="#555">'
        f"images trained on (to {last:,.0f})</text></svg>\n"
    )
    return "\n".join(parts)


def _spans(ticks: Sequence[Progress]) -> list[tuple[int | str, int, int]]:
    """(size, first image, last image) of each stretch at one resolution."""
    spans: list[tuple[int | str, int, int]] = []
    before = 0
    for tick in ticks:
        if spans and spans[-1][0] == tick.size:
            spans[-1] = (spans[-1][0], spans[-1][1], tick.images)
        else:
            spans.append((tick.size, before, tick.images))
        before = tick.images
    return spans
