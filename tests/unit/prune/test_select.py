"""Widths by knapsack: within the budget, better than narrowing all alike, and blind to steps that save nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import network
from torch import nn

from edgekit.errors import BudgetError
from edgekit.prune import fit
from edgekit.prune.blocks import groups_inside
from edgekit.prune.channels import ChannelGraph, removed_layers, widths
from edgekit.prune.probes import Probe
from edgekit.prune.relative import Rounds
from edgekit.prune.select import Chosen, Knapsack, keep_best, options, ratio_widths
from edgekit.prune.table import LatencyTable, measured, probes_for, read
from edgekit.prune.tracing import trace

STEP = 4
"""Granularity of the made-up target; its layers cost by whole steps of output channels."""
COARSE = 32
"""Another one, for which all choices can be looked at."""


def rounds(probes: Sequence[Probe]) -> Rounds:
    return Rounds(np.full(3, 2.0), np.array([[cost(each) for each in probes]] * 3))


def cost(probe: Probe) -> float:
    geometry = probe.geometry
    pixels = geometry.height * geometry.width * geometry.kernel[0] * geometry.kernel[1]
    return 1.0 + pixels * probe.inputs * -(-probe.outputs // STEP) * STEP / 1e4


@cache
def made(name: str) -> tuple[ChannelGraph, LatencyTable, dict[str, Any]]:
    net, size = network(name)
    graph = trace(net, (size, size))
    probes = probes_for(graph, STEP)
    table = LatencyTable({probe.key(): cost(probe) for probe in probes}, STEP)
    dice = np.random.Generator(np.random.PCG64(0))
    return graph, table, {group.name: dice.random(group.width) ** 4 for group in graph.groups}


@pytest.mark.parametrize("name", ["residual", "depthwise", "dense", "inception_v4", "inception_resnet_v2_paper"])
@settings(deadline=None, max_examples=8)
@given(fraction=st.floats(0.3, 0.95))
def test_the_choice_is_within_the_budget_and_its_cost_is_what_the_table_says(name: str, fraction: float) -> None:
    graph, table, importance = made(name)
    knapsack = Knapsack(graph, importance, table, STEP)
    budget = fraction * knapsack.dense_cost
    chosen = knapsack.within(budget)
    if chosen is None:
        assert knapsack.narrowest.cost > budget
        return
    assert chosen.cost <= budget + 1e-6
    keep = keep_best(graph, chosen.widths, importance)
    assert table.total(graph, widths(graph, keep)) == pytest.approx(chosen.cost)
    for group in graph.groups:
        assert chosen.widths[group.name] in options(group.width, STEP)
        assert int(keep[group.units].sum()) == chosen.widths[group.name]


class Blocks(nn.Module):
    """Three residual blocks, one of them inside the branch of another."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 24, 3, padding=1), nn.Linear(24, 5)
        self.first, self.last = nn.Conv2d(24, 32, 1), nn.Conv2d(32, 24, 1)
        self.inner = nn.Sequential(nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 1))
        self.other = nn.Sequential(nn.Conv2d(24, 48, 3, padding=1), nn.ReLU(), nn.Conv2d(48, 24, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        y = self.first(x)
        x = x + self.last(torch.relu(y + self.inner(y)))
        return self.head((x + self.other(x)).mean((2, 3)))


@cache
def with_blocks(name: str) -> tuple[ChannelGraph, LatencyTable, dict[str, Any]]:
    net, size = (Blocks().eval(), 16) if name == "blocks" else network(name)
    graph = trace(net, size, blocks=True)
    table = LatencyTable({probe.key(): cost(probe) for probe in probes_for(graph, STEP)}, STEP)
    dice = np.random.Generator(np.random.PCG64(1))
    importance = {group.name: dice.random(group.width) ** 4 for group in graph.groups}
    inside = groups_inside(graph)
    for block in graph.blocks:
        channels = sum(float(importance[group.name].sum()) for group in inside[block.name])
        importance[block.name] = np.array([(0.8 + dice.random()) * channels])
    return graph, table, importance


@pytest.mark.parametrize("name", ["blocks", "residual", "inception_resnet_v2_paper"])
@settings(deadline=None, max_examples=12)
@given(fraction=st.floats(0.1, 0.95), beside=st.sampled_from([0.0, 3.0]))
def test_with_blocks_the_choice_is_within_the_budget_and_its_cost_and_worth_are_what_they_are(
    name: str, fraction: float, beside: float
) -> None:
    graph, table, importance = with_blocks(name)
    told = {block.name: beside for block in graph.blocks}
    knapsack = Knapsack(graph, importance, table, STEP, told)
    chosen = knapsack.within(fraction * knapsack.dense_cost)
    if chosen is None:
        assert knapsack.narrowest.cost > fraction * knapsack.dense_cost
        return
    assert chosen.cost <= fraction * knapsack.dense_cost + 1e-6
    keep = keep_best(graph, chosen.widths, importance, chosen.removed)
    assert {block.name for block in graph.blocks if not keep[block.unit]} == {*chosen.removed}
    stay = len(graph.blocks) - len(chosen.removed)
    assert table.total(graph, widths(graph, keep)) + beside * stay == pytest.approx(chosen.cost)
    gone, whole = removed_layers(graph, keep), sum(float(importance[g.name].sum()) for g in graph.groups)
    dead = {group.name for name in chosen.removed for group in groups_inside(graph)[name]}
    lost = sum(
        worth(graph, importance, b) for b in graph.blocks if b.name in chosen.removed and not nested(graph, b, gone)
    )
    for group in graph.groups:
        assert (int(keep[group.units].sum()) == 0) == (group.name in dead)
        if group.name not in dead:
            assert chosen.widths[group.name] in options(group.width, STEP)
            lost += float(importance[group.name][~keep[group.units]].sum())
    assert chosen.importance == pytest.approx(1 - lost / whole)


def worth(graph: ChannelGraph, importance: dict[str, Any], block: Any) -> float:
    """Of a block: by itself, but no less than the blocks and channels inside it."""
    own, inside = {group.name for group in groups_inside(graph)[block.name]}, 0.0
    for other in graph.blocks:
        if {*other.layers} < {*block.layers}:
            own -= {group.name for group in groups_inside(graph)[other.name]}
            inside += worth(graph, importance, other)
    return max(float(importance[block.name][0]), inside + sum(float(importance[name].sum()) for name in own))


def nested(graph: ChannelGraph, block: Any, gone: frozenset[str]) -> bool:
    """Whether another block that is gone holds this one."""
    return any({*block.layers} < {*other.layers} <= gone for other in graph.blocks)


@pytest.mark.parametrize("fraction", [0.25, 0.4, 0.6, 0.8])
def test_no_choice_of_blocks_keeps_much_more_at_the_same_cost(fraction: float) -> None:
    graph, table, importance = with_blocks("blocks")
    knapsack = Knapsack(graph, importance, table, COARSE)
    chosen = knapsack.within(fraction * knapsack.dense_cost)
    assert chosen is not None
    best = max(kept(graph, table, importance, fraction * knapsack.dense_cost))
    assert chosen.importance >= best - 0.02


def kept(graph: ChannelGraph, table: LatencyTable, importance: dict[str, Any], budget: float) -> list[float]:
    """What every choice keeps that is within a budget: all widths, all blocks."""
    inside = {name: {g.name for g in groups} for name, groups in groups_inside(graph).items()}
    whole, found = sum(float(importance[g.name].sum()) for g in graph.groups), []
    for out in subsets([block.name for block in graph.blocks]):
        dead = set[str]().union(*(inside[name] for name in out))
        counts = [(0,) if g.name in dead else options(g.width, COARSE) for g in graph.groups]
        for told in product(*counts):
            chosen = dict(zip([g.name for g in graph.groups], told, strict=True))
            keep = keep_best(graph, chosen, importance, out)
            if table.total(graph, widths(graph, keep)) > budget:
                continue
            gone = removed_layers(graph, keep)
            lost = sum(
                worth(graph, importance, b) for b in graph.blocks if b.name in out and not nested(graph, b, gone)
            )
            lost += sum(float(importance[g.name][~keep[g.units]].sum()) for g in graph.groups if g.name not in dead)
            found.append(1 - lost / whole)
    return found


def subsets(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [each for count in range(len(names) + 1) for each in combinations(names, count)]


def test_what_is_beside_the_layers_of_blocks_follows_from_the_time_without_them() -> None:
    graph, table, importance = with_blocks("inception_resnet_v2_paper")
    plain = Knapsack(graph, importance, table, STEP)
    assert plain.without_blocks is not None
    layers = plain.without_blocks.cost / plain.dense_cost
    assert plain.beside_blocks(layers) == pytest.approx(dict.fromkeys((b.name for b in graph.blocks), 0.0), abs=1e-6)
    told = Knapsack(graph, importance, table, STEP, plain.beside_blocks(0.8 * layers))
    assert told.without_blocks is not None
    assert told.without_blocks.cost / told.dense_cost == pytest.approx(0.8 * layers)


@pytest.mark.parametrize("name", ["residual", "inception_v4"])
@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_it_keeps_more_than_narrowing_all_alike_at_the_same_cost(name: str, ratio: float) -> None:
    graph, table, importance = made(name)
    knapsack = Knapsack(graph, importance, table, STEP)
    alike = ratio_widths(graph, ratio, STEP)
    keep = keep_best(graph, alike, importance)
    kept = sum(float(np.sort(importance[g.name])[::-1][: alike[g.name]].sum()) for g in graph.groups)
    whole = sum(float(importance[g.name].sum()) for g in graph.groups)
    chosen = knapsack.within(table.total(graph, widths(graph, keep)))
    assert chosen is not None
    assert chosen.importance > kept / whole - (0.001 if name == "residual" else 0)  # four groups leave little choice


def test_a_budget_that_the_dense_network_meets_removes_nothing() -> None:
    graph, table, importance = made("residual")
    knapsack = Knapsack(graph, importance, table, STEP)
    chosen = knapsack.within(knapsack.dense_cost)
    assert chosen is not None
    assert keep_best(graph, chosen.widths, importance).all()
    assert chosen.importance == pytest.approx(1.0)


def test_widths_that_a_group_may_have() -> None:
    assert options(384, 16) == (48, *range(64, 384, 16), 384)
    assert options(96, 16) == (*range(16, 96, 8), 96)
    assert options(24, 16) == (4, 8, 12, 16, 20, 24)
    assert options(3, 16) == (3,)


@given(width=st.integers(1, 2048), granularity=st.sampled_from([4, 8, 16, 32]))
def test_options_rise_to_the_width_itself(width: int, granularity: int) -> None:
    found = options(width, granularity)
    assert found[-1] == width
    assert list(found) == sorted(set(found))
    assert found[0] >= 1


@given(ratio=st.floats(0.01, 0.99))
def test_a_ratio_narrows_every_group(ratio: float) -> None:
    graph = made("inception_v4")[0]
    narrowed = ratio_widths(graph, ratio, STEP)
    for group in graph.groups:
        wanted = max(group.width * (1 - ratio), options(group.width, STEP)[0])
        assert abs(narrowed[group.name] - wanted) <= STEP


def whole_network(beside: float, times: float) -> Any:
    """A network that takes `beside` ms between its layers and whose layers take `times` what the table says."""
    return lambda chosen: beside + times * chosen.cost / 1e3


@given(beside=st.floats(0.0, 2.0), times=st.floats(0.5, 2.0), fraction=st.floats(0.6, 0.95))
@settings(deadline=None, max_examples=20)
def test_the_prediction_is_corrected_until_the_budget_is_met(beside: float, times: float, fraction: float) -> None:
    graph, table, importance = made("inception_v4")
    knapsack = Knapsack(graph, importance, table, STEP)
    measure = whole_network(beside, times)
    dense_ms = measure(knapsack.dense)
    budget = beside + fraction * (dense_ms - beside)
    found = fit.within(knapsack, budget, dense_ms, measure)
    assert 0.9 * budget <= found.measured_ms <= budget
    assert found.measured_ms == pytest.approx(measure(found.chosen))


def test_a_fit_begins_with_what_is_known_of_other_widths() -> None:
    graph, table, importance = made("inception_v4")
    knapsack = Knapsack(graph, importance, table, STEP)
    measure = whole_network(1.5, 0.8)
    dense_ms = measure(knapsack.dense)
    other = knapsack.keeping(fit.KNEE)
    known = other.cost / knapsack.dense_cost, measure(other) / dense_ms
    for fraction in (0.75, 0.9):
        budget = 1.5 + fraction * (dense_ms - 1.5)
        found = fit.within(knapsack, budget, dense_ms, measure, known)
        assert len(found.steps) == 1
        assert 0.95 * budget <= found.measured_ms <= budget
        assert found.steps[0].predicted_ms == pytest.approx(found.measured_ms)
    slower = fit.within(knapsack, budget, dense_ms, measure, (0.9, 1.1))
    assert slower.steps == fit.within(knapsack, budget, dense_ms, measure).steps, "what is no faster says nothing"


def test_what_is_only_a_step_need_not_be_met_closely() -> None:
    graph, table, importance = made("inception_v4")
    knapsack = Knapsack(graph, importance, table, STEP)
    measure = whole_network(0.1, 0.9)
    dense_ms = measure(knapsack.dense)
    closely, roughly = (fit.within(knapsack, 0.7 * dense_ms, dense_ms, measure, None, each) for each in (0.99, 0.6))
    assert len(roughly.steps) < len(closely.steps)
    assert 0.6 * 0.7 * dense_ms <= roughly.measured_ms <= 0.7 * dense_ms


@given(
    share=st.floats(0.4, 0.95), between=st.floats(0.0, 0.4), noise=st.lists(st.floats(0.8, 1.3), min_size=5, max_size=5)
)
@settings(deadline=None, max_examples=60)
def test_a_wrong_measurement_does_not_end_at_the_narrowest(share: float, between: float, noise: list[float]) -> None:
    graph, table, importance = made("residual")
    knapsack = Knapsack(graph, importance, table, STEP)
    errors = iter(noise)

    def measure(chosen: Chosen) -> float:
        return 10 * (between + (1 - between) * chosen.cost / knapsack.dense_cost) * next(errors)

    other = knapsack.within(0.6 * share * knapsack.dense_cost)
    if other is None or knapsack.dense_cost <= other.cost:
        return
    cost = other.cost / knapsack.dense_cost
    known = cost, between + (1 - between) * cost
    if known[1] > share:
        return
    try:
        found = fit.within(knapsack, 10 * share, 10.0, measure, known)
    except BudgetError:
        return  # all that was tried looked too slow
    assert found.chosen.cost >= other.cost - 1e-9, "what is wider is looked for"
    assert found.measured_ms <= 10 * share


def test_a_budget_below_the_narrowest_network_says_what_is_reachable() -> None:
    graph, table, importance = made("residual")
    knapsack = Knapsack(graph, importance, table, STEP)
    with pytest.raises(BudgetError, match=r"cannot be reached.* takes 1\.\d\d ms") as caught:
        fit.within(knapsack, 0.5, 2.0, lambda chosen: 1.0 + chosen.cost / knapsack.dense_cost)
    assert caught.value.exit_code == 3


def test_a_table_is_kept_and_only_what_is_missing_is_timed(tmp_path: Path) -> None:
    path, asked = tmp_path / "table.json", []

    def time(probes: Sequence[Probe]) -> Rounds:
        asked.extend(probes)
        return rounds(probes)

    first = made("residual")[0]
    table = measured(path, probes_for(first, STEP), time, STEP)
    count = len(asked)
    assert count == len(read(path)[0]) == len(set(asked))
    again = measured(path, probes_for(first, STEP), time, STEP)
    assert len(asked) == count
    assert again.times == table.times
    measured(path, probes_for(made("dense")[0], STEP), time, STEP)
    assert len(read(path)[0]) == len(asked) > count


def test_a_damaged_table_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text("{ not json")
    probes = probes_for(made("residual")[0], STEP)
    assert measured(path, probes, rounds, STEP).times


def test_between_the_points_time_rises_with_channels() -> None:
    graph, table, _ = made("inception_v4")
    geometry = next(layer.geometry for layer in graph.layers.values() if layer.geometry is not None)
    times = [table.microseconds(geometry, 3, count) for count in range(1, 9)]
    assert times == sorted(times)
    assert table.microseconds(geometry, 0, 8) == 0.0
