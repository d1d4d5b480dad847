"""What --explain found as one HTML page: histograms with the quantizer's range, and how wide each channel is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgekit.report.escaping import html_text
from edgekit.report.explanation import Explanation, OperatorNoise, SeenActivation, WorstOperator
from edgekit.report.page import markup, render

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 520, 150, 8, 12, 24
MOST_CHANNELS: Final = 260
"""Columns drawn at most: of more channels, the widest of several neighbours."""

TITLES: Final = ("layer", "kind", "own noise, dB", "all noise, dB", "KL won, nats")


@dataclass(frozen=True)
class Figures:
    """A section of the page: an operator, what is said of it, and its drawings, markup; None where it reads nothing."""

    operator: WorstOperator
    facts: str
    histogram: object
    channels: object


def page(explanation: Explanation, model: str) -> str:
    """Renders what --explain found as one HTML file that needs nothing else.

    Args:
        model: what the page calls the network.
    """
    return render(
        "explained.html.j2",
        title=f"{model}: what INT8 costs",
        explanation=explanation,
        figures=[_figures(each) for each in explanation.worst],
        titles=TITLES,
        rows=[_row(each) for each in explanation.operators],
    )


def _figures(each: WorstOperator) -> Figures:
    facts = (
        f"{each.kind}; own noise {each.own_db:.1f} dB, all noise {each.total_db:.1f} dB below the signal;"
        f" {each.kl_won:.3g} nats won in floating point"
    )
    seen = each.activation
    if seen is None:
        return Figures(each, facts, None, None)
    return Figures(each, facts, _histogram(seen), _channels(seen))


def _row(each: OperatorNoise) -> tuple[str, ...]:
    won = "" if each.kl_won is None else f"{each.kl_won:.3g}"
    return (each.name, each.kind, f"{each.own_db:.1f}", f"{each.total_db:.1f}", won)


def _histogram(seen: SeenActivation) -> object:
    ends = (seen.quantizer_low, seen.quantizer_high)
    low, high = min(seen.low, ends[0]), max(seen.high, ends[1])
    span = max(high - low, 1e-30)

    def x(value: float) -> float:
        return float(LEFT + (WIDTH - 2 * LEFT) * (value - low) / span)

    counts = seen.histogram
    most, step = max([*counts, 1]), (seen.high - seen.low) / len(counts)
    parts = [
        _bar(x(seen.low + i * step), x(seen.low + (i + 1) * step), (count / most) ** 0.5)
        for i, count in enumerate(counts)
        if count
    ]
    parts += [f'<line class="budget" x1="{x(e):.1f}" x2="{x(e):.1f}" y1="{TOP}" y2="{_floor()}"/>' for e in ends]
    parts += [_tick(LEFT, f"{low:.3g}", "start"), _tick(WIDTH - LEFT, f"{high:.3g}", "end")]
    return _svg(parts, "Histogram of values")


def _channels(seen: SeenActivation) -> object:
    widths = seen.channels
    group = -(-len(widths) // MOST_CHANNELS)
    shown = [max(widths[i : i + group]) for i in range(0, len(widths), group)]
    reach = max(abs(seen.quantizer_low), abs(seen.quantizer_high))
    most = max([*shown, reach, 1e-30])
    step = (WIDTH - 2 * LEFT) / len(shown)
    parts = [_bar(LEFT + i * step, LEFT + (i + 1) * step, width / most) for i, width in enumerate(shown)]
    if not seen.per_channel:
        y = TOP + (_floor() - TOP) * (1 - reach / most)
        parts.append(f'<line class="budget" x1="{LEFT}" x2="{WIDTH - LEFT}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts += [_tick(LEFT, f"{len(widths)} channels, up to {max(widths):.3g}", "start")]
    return _svg(parts, "Largest absolute value of each channel")


def _floor() -> int:
    return HEIGHT - BOTTOM


def _bar(first: float, last: float, share: float) -> str:
    height = (_floor() - TOP) * share
    width = max(0.6, (last - first) * 0.9)
    return f'<rect class="dot" x="{first:.1f}" y="{_floor() - height:.1f}" width="{width:.2f}" height="{height:.1f}"/>'


def _tick(x: float, text: str, anchor: str) -> str:
    return f'<text class="tick" x="{x}" y="{HEIGHT - 8}" text-anchor="{anchor}">{html_text(text)}</text>'


def _svg(parts: Sequence[str], label: str) -> object:
    axis = f'<line class="axis" x1="{LEFT}" x2="{WIDTH - LEFT}" y1="{_floor()}" y2="{_floor()}"/>'
    look = f'class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}"'
    return markup(f"<svg {look}>{axis}{''.join(parts)}</svg>")
