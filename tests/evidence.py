"""Variants as they might have been measured, for what decides between them and what tells of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

from edgekit.validate.accuracy import PairedDrop, drop_interval
from edgekit.validate.decision import Contender
from edgekit.validate.latency import Latency, Measured, Ratio

TIMED_FROM_FP32 = 0.02
"""Half the interval of a ratio."""


@dataclass(frozen=True)
class Evidence:
    """Contenders, the baseline first, and how fast each is."""

    contenders: tuple[Contender, ...]
    measured: Measured


def contender(
    name: str, parent: str | None, simpler: tuple[str, ...], drop: float | None, size_bytes: int
) -> Contender:
    """A contender with a drop, points, that is sure to 0.3 of them."""
    lost, won = (0, 0) if drop is None else (100 + max(0, round(100 * drop)), 100 + max(0, round(-100 * drop)))
    points = None if drop is None else PairedDrop(drop, (drop - 0.3, drop + 0.3), 0.5, lost, won, 10_000)
    precision = name.removeprefix("pruned-")
    step = "pruning" if name.startswith("pruned-") else "quantization" if name == "int8" else "a narrower format"
    return Contender(name, precision, parent, simpler, step, size_bytes, points)


def latency(p50: float) -> Latency:
    """A latency that is the same in all runs, ms."""
    return Latency(p50, p50, p50, p50, (p50, p50), 9, 1, 1000 / p50, True)


def timed(times: dict[str, float], half: float = TIMED_FROM_FP32) -> Measured:
    """Medians in ms, and the ratios of every pair, each with an interval of `half` to both sides."""
    ratios = []
    for base, other in combinations(times, 2):
        faster = times[base] / times[other]
        ratios.append(Ratio(base, other, faster, faster - half, faster + half))
    return Measured({name: latency(p50) for name, p50 in times.items()}, tuple(ratios))


def evidence(drop: float | None = 0.2, int8_ms: float = 4.0, bf16_ms: float = 6.0) -> Evidence:
    """FP32 of 12 ms, BF16 and INT8; INT8 costs `drop` points (None: there are no labels)."""
    without = None if drop is None else 0.0
    return Evidence(
        (
            contender("fp32", None, (), without, 40),
            contender("bf16", "fp32", ("fp32",), without, 20),
            contender("int8", "fp32", ("fp32", "bf16"), drop, 10),
        ),
        timed({"fp32": 12.0, "bf16": bf16_ms, "int8": int8_ms}),
    )


def pruned(gain: tuple[float, float, float], drop: float = 0.5) -> Evidence:
    """The same with a pruned variant beside INT8, as fast against it as `gain` says, with the ends of its interval."""
    base = evidence()
    faster, low, high = gain
    ratios = (
        *base.measured.ratios,
        Ratio("fp32", "pruned-int8", 3 * faster, 3 * faster - 0.05, 3 * faster + 0.05),
        Ratio("bf16", "pruned-int8", 1.5 * faster, 1.5 * faster - 0.05, 1.5 * faster + 0.05),
        Ratio("int8", "pruned-int8", faster, low, high),
    )
    times = {**base.measured.latency, "pruned-int8": latency(4.0 / faster)}
    added = contender("pruned-int8", "int8", ("fp32", "bf16", "int8"), drop, 5)
    return Evidence((*base.contenders, added), replace(base.measured, latency=times, ratios=ratios))


def counted(lost: int, won: int, images: int) -> Evidence:
    """The same with so many images lost and won by INT8, and the interval that comes of them."""
    base = evidence()
    drop = PairedDrop(100 * (lost - won) / images, drop_interval(lost, won, images), 0.5, lost, won, images)
    return replace(base, contenders=(*base.contenders[:2], replace(base.contenders[2], drop=drop)))


def untimed(given: Evidence, why: str | None = None) -> Evidence:
    """The same where no latency was measured."""
    return replace(given, measured=Measured(why=why))
