"""What --explain found as one HTML page: histograms with the quantizer's range, and how wide each channel is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

from edgekit.report.escaping import html_text as _text

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""What a browser may load for the page: nothing but the style inside it."""

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 520, 150, 8, 12, 24
MOST_CHANNELS: Final = 260
"""Columns drawn at most: of more channels, the widest of several neighbours."""

TITLES: Final = ("layer", "kind", "own noise, dB", "all noise, dB", "KL won, nats")


def page(told: Mapping[str, Any], model: str) -> str:
    """Renders Explanation.as_dict() as one HTML file that needs nothing else.

    Args:
        model: what the page calls the network.
    """
    style = (files("edgekit.report") / "page.css").read_text(encoding="utf-8")
    title = f"{_text(model)}: what INT8 costs"
    input_notes = "".join(f"<li>{_text(cause['text'])}</li>" for cause in told["causes"])
    warnings = f'<section class="warnings"><h2>Input</h2><ul>{input_notes}</ul></section>' if input_notes else ""
    said = f"INT8 answers diverge from FP32 by {told['kl']:.4g} nats in the mean of {told['images']} images."
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>",
            f"<header><h1>{title}</h1></header>\n<main>",
            f'<p class="said">{_text(said)}</p>{warnings}',
            *(_layer(each, number) for number, each in enumerate(told["worst"])),
            _operators(told["operators"]),
            "</main>\n</body>\n</html>\n",
        ]
    )


def _layer(each: Mapping[str, Any], number: int) -> str:
    causes = "".join(f"<li><b>{_text(cause['code'])}</b>: {_text(cause['text'])}</li>" for cause in each["causes"])
    facts = (
        f"{each['kind']}; own noise {each['own_db']:.1f} dB, all noise {each['total_db']:.1f} dB below the signal;"
        f" {each['kl_won']:.3g} nats won in floating point"
    )
    heading = f'<h2 id="layer{number}">{_text(each["name"])}</h2>'
    return (
        f'<section aria-labelledby="layer{number}">{heading}<p class="soft">{_text(facts)}</p>'
        f"<ul>{causes}</ul>{_figures(each['activation'])}</section>"
    )


def _figures(seen: Mapping[str, Any] | None) -> str:
    if seen is None:
        return ""
    tensor, producer = _text(seen["tensor"]), _text(seen["producer"])
    return (
        f'<div class="cards"><figure class="card">{_histogram(seen)}<figcaption>Values of {tensor}, made by {producer};'
        " heights are square roots. Dashed: what the quantizer reaches.</figcaption></figure>"
        f'<figure class="card">{_channels(seen)}<figcaption>Largest absolute value of each channel.'
        " Dashed: what the quantizer reaches.</figcaption></figure></div>"
    )


def _histogram(seen: Mapping[str, Any]) -> str:
    ends = (seen["quantizer_low"], seen["quantizer_high"])
    low, high = min(seen["low"], ends[0]), max(seen["high"], ends[1])
    span = max(high - low, 1e-30)

    def x(value: float) -> float:
        return float(LEFT + (WIDTH - 2 * LEFT) * (value - low) / span)

    counts = seen["histogram"]
    most, step = max([*counts, 1]), (seen["high"] - seen["low"]) / len(counts)
    parts = [
        _bar(x(seen["low"] + i * step), x(seen["low"] + (i + 1) * step), (count / most) ** 0.5)
        for i, count in enumerate(counts)
        if count
    ]
    parts += [f'<line class="budget" x1="{x(e):.1f}" x2="{x(e):.1f}" y1="{TOP}" y2="{_floor()}"/>' for e in ends]
    parts += [_tick(LEFT, f"{low:.3g}", "start"), _tick(WIDTH - LEFT, f"{high:.3g}", "end")]
    return _svg(parts, "Histogram of values")


def _channels(seen: Mapping[str, Any]) -> str:
    widths: Sequence[float] = seen["channels"]
    group = -(-len(widths) // MOST_CHANNELS)
    shown = [max(widths[i : i + group]) for i in range(0, len(widths), group)]
    reach = max(abs(seen["quantizer_low"]), abs(seen["quantizer_high"]))
    most = max([*shown, reach, 1e-30])
    step = (WIDTH - 2 * LEFT) / len(shown)
    parts = [_bar(LEFT + i * step, LEFT + (i + 1) * step, width / most) for i, width in enumerate(shown)]
    if not seen["per_channel"]:
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
    return f'<text class="tick" x="{x}" y="{HEIGHT - 8}" text-anchor="{anchor}">{_text(text)}</text>'


def _svg(parts: Sequence[str], label: str) -> str:
    axis = f'<line class="axis" x1="{LEFT}" x2="{WIDTH - LEFT}" y1="{_floor()}" y2="{_floor()}"/>'
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{axis}{"".join(parts)}</svg>'
    )


def _operators(operators: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f'<th scope="col"{" class=text" * (i < 2)}>{each}</th>' for i, each in enumerate(TITLES))
    rows = "\n".join(
        f'<tr><th scope="row">{_text(each["name"])}</th><td class="text">{_text(each["kind"])}</td>'
        f"<td>{each['own_db']:.1f}</td><td>{each['total_db']:.1f}</td>"
        + ("<td></td></tr>" if each["kl_won"] is None else f"<td>{each['kl_won']:.3g}</td></tr>")
        for each in operators
    )
    return (
        f"<details><summary>All {len(operators)} quantized operators</summary>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></details>'
    )
