"""Adaptive rounding: never more error than nearest rounding, and never more than one step from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.quantize.rounding import Moments, adapted, moments


def layer(seed: int, groups: int, outputs: int, inputs: int, rows: int) -> tuple[NDArray[np.float64], Moments]:
    """Float weights in steps of 0.01, and moments of correlated inputs that quantization has changed somewhat."""
    dice = np.random.Generator(np.random.PCG64(seed))
    weights = dice.normal(0, 0.3, (groups, outputs, inputs)).clip(-1.2, 1.2)
    mixing = dice.normal(0, 1, (groups, inputs, inputs))
    read = np.maximum(dice.normal(0.3, 1, (groups, rows, inputs)) @ mixing, 0).astype(np.float32)
    made = (read @ weights.transpose(0, 2, 1)).astype(np.float32) + 0.5
    rounded = (np.rint(read / 0.05) * 0.05).astype(np.float32)
    return weights, moments(rounded, made, centred=True)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    groups=st.integers(1, 3),
    outputs=st.integers(1, 5),
    inputs=st.integers(1, 12),
    rows=st.integers(2, 60),
    scale=st.sampled_from([0.01, 0.1]),
    smaller=st.booleans(),
)
def test_no_more_error_than_nearest_and_no_more_than_a_step(
    seed: int, groups: int, outputs: int, inputs: int, rows: int, scale: float, smaller: bool
) -> None:
    weights, seen = layer(seed, groups, outputs, inputs, rows)
    steps, scales = weights / scale, np.full((groups, outputs), scale)
    nearest = np.rint(steps).clip(-127, 127)
    found = adapted(steps, nearest, scales, seen, 127, smaller)
    assert (np.abs(found - nearest) <= 1).all()
    assert (np.abs(found) <= 127).all()
    moved = found != nearest
    assert (np.abs(found - steps)[moved] < 1).all()
    if smaller:
        assert (np.abs(found) <= np.abs(nearest)).all()
    before, after = seen.error(nearest * scale), seen.error(found * scale)
    assert (after <= before * (1 + 1e-6) + 1e-9 * seen.power).all()


def test_it_finds_the_best_of_all_roundings_of_a_few_weights_or_comes_near() -> None:
    weights, seen = layer(5, 1, 6, 6, 4000)
    steps = weights / 0.1
    nearest = np.rint(steps)
    found = seen.error(adapted(steps, nearest, np.full((1, 6), 0.1), seen, 127) * 0.1)[0]
    choices = np.array(np.meshgrid(*[[0, 1]] * 6)).reshape(6, -1).T
    every = np.floor(steps[0])[:, None] + choices  # (outputs, 64, inputs)
    best = np.array([seen.error(every[:, at][None] * 0.1)[0] for at in range(64)]).min(0)
    plain = seen.error(nearest * 0.1)[0]
    assert found.sum() <= best.sum() + 0.25 * (plain - best).sum()
    assert found.sum() < 0.8 * plain.sum()


def test_moments_tell_the_error_of_outputs_and_the_bias_that_mends_their_mean() -> None:
    dice = np.random.Generator(np.random.PCG64(3))
    read = dice.normal(1, 1, (2, 50, 4)).astype(np.float32)
    made = dice.normal(2, 1, (2, 50, 3)).astype(np.float32)
    weights = dice.normal(0, 1, (2, 3, 4))
    for centred in (True, False):
        seen = moments(read, made, centred)
        outputs = read.astype(np.float64) @ weights.transpose(0, 2, 1)
        outputs += seen.bias(weights)[:, None] if centred else 0
        assert seen.error(weights) == pytest.approx(np.square(outputs - made).mean(1), rel=1e-5)
        if centred:
            assert outputs.mean(1) == pytest.approx(made.mean(1), rel=1e-5)


def test_weights_that_are_levels_already_stay() -> None:
    _, seen = layer(1, 1, 3, 5, 40)
    levels = np.arange(15.0).reshape(1, 3, 5) - 7
    assert (adapted(levels, levels, np.full((1, 3), 0.1), seen, 127) == levels).all()
