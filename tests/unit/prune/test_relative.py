"""Tables of layers while the machine's clock wanders: ratios to a reference of the same round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgekit.prune.channels import Geometry
from edgekit.prune.probes import REFERENCE, Probe
from edgekit.prune.relative import Rounds, scaled
from edgekit.prune.table import AT_ONCE, measured, read

ROUNDS = 15
GEOMETRY = Geometry((3, 3), (1, 1), (1, 1), (1, 1), 17, 17)
PROBES = [Probe(GEOMETRY, inputs, 16 * outputs) for inputs in range(1, 21) for outputs in range(1, 21)]
REFERENCE_US = 300.0

positive = st.floats(0.01, 100.0)


def truth(probe: Probe) -> float:
    return 5.0 + 0.1 * probe.inputs * probe.outputs


def wandering(factors: Callable[[int], float], noise: float = 0.0) -> Callable[[Sequence[Probe]], Rounds]:
    """A machine that takes `factors(n)` times as long in its n-th round, for the layers and the reference alike."""
    dice = np.random.Generator(np.random.PCG64(0))
    count = 0

    def time(probes: Sequence[Probe]) -> Rounds:
        nonlocal count
        pace = np.array([factors(count + place) for place in range(ROUNDS)])
        count += ROUNDS
        blur = 1 + np.abs(dice.normal(0, noise, (ROUNDS, len(probes) + 1)))
        layers = np.array([truth(each) for each in probes])
        return Rounds(REFERENCE_US * pace * blur[:, 0], layers * pace[:, None] * blur[:, 1:])

    return time


def shares(times: dict[str, float]) -> np.ndarray:
    values = np.array([times[each.key()] for each in PROBES])
    return values / values.sum()


TRUE = shares({each.key(): truth(each) for each in PROBES})


def test_the_probes_fill_several_graphs() -> None:
    assert len(PROBES) > 3 * AT_ONCE
    assert len({each.key() for each in REFERENCE}) == len(REFERENCE)


@pytest.mark.parametrize(
    "factors",
    [
        lambda n: 1.0 if n < 2 * ROUNDS else 1.25,  # the clock falls by 20 % half way
        lambda n: 1.0 + 0.01 * n,  # the machine grows warm
        lambda n: (1.0, 1.3, 2.0)[n % 3],
    ],
)
def test_a_table_that_is_made_while_the_clock_wanders_is_right(tmp_path: Path, factors: Callable[[int], float]) -> None:
    found = measured(tmp_path / "layers.json", PROBES, wandering(factors), 16)
    np.testing.assert_allclose(shares(dict(found.times)), TRUE, rtol=1e-9)
    assert sum(found.times.values()) >= sum(map(truth, PROBES)) * 0.999


def test_and_nearly_so_where_single_timings_are_blurred(tmp_path: Path) -> None:
    falls = wandering(lambda n: 1.0 if n < 2 * ROUNDS else 1.25, noise=0.03)
    found = measured(tmp_path / "layers.json", PROBES, falls, 16)
    assert np.abs(shares(dict(found.times)) / TRUE - 1).max() < 0.05


def test_sessions_of_different_clocks_make_one_table(tmp_path: Path) -> None:
    path = tmp_path / "layers.json"
    measured(path, PROBES[:200], wandering(lambda n: 1.0), 16)
    asked: list[Probe] = []

    def slower(probes: Sequence[Probe]) -> Rounds:
        asked.extend(probes)
        return wandering(lambda n: 1.7)(probes)

    found = measured(path, PROBES, slower, 16)
    assert asked == PROBES[200:]
    np.testing.assert_allclose(shares(dict(found.times)), TRUE, rtol=1e-9)
    assert len(read(path)[1]) == 3 + 3, "what the reference took is kept of each graph"


@settings(deadline=None, max_examples=60)
@given(
    arrays(np.float64, (7, 5), elements=positive),
    arrays(np.float64, 7, elements=positive),
    arrays(np.float64, 7, elements=positive),
)
def test_any_factor_a_round_changes_no_ratio(layers: np.ndarray, reference: np.ndarray, factors: np.ndarray) -> None:
    plain = Rounds(reference, layers)
    disturbed = Rounds(reference * factors, layers * factors[:, None])
    np.testing.assert_allclose(disturbed.ratios(), plain.ratios(), rtol=1e-9)
    keys = [str(place) for place in range(5)]
    one = scaled(dict(zip(keys, plain.ratios(), strict=True)), [plain.reference_us])
    other = scaled(dict(zip(keys, disturbed.ratios(), strict=True)), [disturbed.reference_us])
    common = disturbed.reference_us / plain.reference_us
    assert [other[key] / one[key] for key in keys] == pytest.approx([common] * 5)


def test_a_round_without_the_reference_is_left_out() -> None:
    rounds = Rounds(np.array([0.0, 2.0]), np.array([[9.0], [4.0]]))
    assert (rounds.ratios(), rounds.reference_us) == ([2.0], 2.0)
    with pytest.raises(ValueError, match="not timed"):
        Rounds(np.zeros(2), np.ones((2, 1))).ratios()


def test_a_file_of_another_form_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "layers.json"
    path.write_text('{"3x3:16:16": 12.5}')
    assert read(path) == ({}, [])
    assert set(measured(path, PROBES[:3], wandering(lambda n: 1.0), 16).times) == {each.key() for each in PROBES[:3]}
