"""What is wrong with what a quantized operator reads, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgekit.data.preprocessing import Preprocessing
from edgekit.quantize.activations import INPUT, Activation, NetworkInput

LEVELS: Final = 256
OUTLYING: Final = 6.0
"""How many times as wide as the median channel the widest may be."""
OUTLYING_WEIGHT: Final = 16.0
"""How many times the root mean square of the others in its filter a weight may be; up to 11 in the shipped networks."""
UNLIKE: Final = 4.0
"""How many times as wide as another one an input of a Concat may be."""
SATURATING: Final = 1e-3
"""Which share of values may be beyond the quantizer."""
CUT_NOISE: Final = 0.5
"""Which share of a quantizer's noise, as power, may come from the values beyond it, however few."""
FARTHEST, MIDDLE, LEAST_USED = 6.0, 2.0, 0.25
"""What a normalised input stays within, what its mean stays within, and which share of its quantizer it spans."""


@dataclass(frozen=True)
class Cause:
    """What makes a tensor hard to quantize: a code for programs, a sentence for people."""

    code: str
    text: str


def causes_of(
    name: str,
    activation: Activation | None,
    weight: NDArray[Any] | None = None,
    about_input: tuple[Cause, ...] = (),
) -> tuple[Cause, ...]:
    """What is wrong with what an operator reads; one cause "none" where nothing is plain.

    Args:
        name: of the operator; weight: its float weight, output channels first, where it has one.
        about_input: what is wrong with the network's input.
    """
    found: list[Cause] = []
    if activation is not None:
        if activation.producer == INPUT:
            found += about_input
        found += [*_outliers(name, activation), *_unlike(activation), *_saturating(activation)]
    found += _weights(weight)
    if found:
        return tuple(found)
    what = "its weights are" if activation is None else "no channel stands out and few values are cut; its input is"
    return (Cause("none", f"no single cause: {what} rounded to 8 bits, and that is what it costs"),)


def input_causes(given: NetworkInput, preprocessing: Preprocessing) -> list[Cause]:
    """What is implausible about the values that the network is given; empty where nothing is."""
    options = f"--mean {_channels(preprocessing.mean)} --std {_channels(preprocessing.std)}"
    values = f"the network is given values from {given.low:.3g} to {given.high:.3g}, {given.mean:.3g} in the mean"
    hint = f"check {options}, which are on the 0 to 1 scale"
    if abs(given.mean) > MIDDLE or given.low < -FARTHEST or given.high > FARTHEST:
        return [Cause("preprocessing", f"{values}, far from what networks are trained with; {hint}")]
    if given.used is not None and given.used < LEAST_USED:
        levels = round(given.used * LEVELS)
        return [Cause("preprocessing", f"{values}: {levels} of the {LEVELS} levels of its quantizer; {hint}")]
    return []


def _outliers(name: str, activation: Activation) -> list[Cause]:
    channels = np.array(activation.channels)
    live = channels > 0
    if activation.per_channel or activation.producer == INPUT or np.count_nonzero(live) < 4:
        return []
    median, widest = float(np.median(channels[live])), float(channels.max())
    if widest <= OUTLYING * median:
        return []
    step = (activation.quantizer_high - activation.quantizer_low) / (LEVELS - 1)
    levels = float(np.median(np.array(activation.spans)[live])) / step
    text = (
        f"channel {int(channels.argmax())} of {len(channels)} reaches {widest:.3g}, the median channel {median:.3g}:"
        f" with one scale for all, the median channel has {levels:.0f} of {LEVELS} levels;"
        f" made by {activation.producer}, read by {name}"
    )
    return [Cause("outlier-channels", text)]


def _unlike(activation: Activation) -> list[Cause]:
    widths = {name: width for name, width in activation.joined.items() if width > 0}
    if len(widths) < 2:
        return []
    widest, narrowest = max(widths, key=lambda each: widths[each]), min(widths, key=lambda each: widths[each])
    if widths[widest] <= UNLIKE * widths[narrowest]:
        return []
    text = (
        f"a Concat joins what {widest} makes, up to {widths[widest]:.3g}, and what {narrowest} makes,"
        f" up to {widths[narrowest]:.3g}, and both share one scale"
    )
    return [Cause("unlike-concat", text)]


def _saturating(activation: Activation) -> list[Cause]:
    if activation.saturating <= SATURATING and activation.cut_noise <= CUT_NOISE:
        return []
    pooled = "; a pooling reads them" if activation.pooled else ""
    text = (
        f"{100 * activation.saturating:.2g} % of the values are beyond the quantizer, {activation.quantizer_low:.3g} to"
        f" {activation.quantizer_high:.3g}, and are cut, {100 * activation.cut_noise:.0f} % of its noise; the widest is"
        f" {max(abs(activation.low), abs(activation.high)):.3g}{pooled}"
    )
    return [Cause("saturating", text)]


def _weights(weight: NDArray[Any] | None) -> list[Cause]:
    if weight is None:
        return []
    filters = np.abs(weight.reshape(len(weight), -1)).astype(np.float64)
    rest = np.sqrt((np.square(filters).sum(1) - np.square(filters.max(1))) / max(1, filters.shape[1] - 1))
    crests = np.divide(filters.max(1), rest, out=np.zeros_like(rest), where=rest > 0)
    worst = int(crests.argmax())
    if crests[worst] <= OUTLYING_WEIGHT:
        return []
    levels = max(1, round(4 * LEVELS / 2 / crests[worst]))
    text = (
        f"a weight of filter {worst} of {len(filters)} is {filters[worst].max():.3g}, {crests[worst]:.0f} times the"
        f" root mean square of the others there, most of which have {levels} of {LEVELS} levels;"
        f" so it is in {np.sum(crests > OUTLYING_WEIGHT)} of them"
    )
    return [Cause("outlier-weights", text)]


def _channels(values: tuple[float, ...]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else ",".join(f"{each:g}" for each in values)
