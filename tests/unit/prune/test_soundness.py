"""Cutting is silencing, or what is not so is left alone and named: over random networks of all kinds of operations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import NotWhatItSeems
from random_networks import BLOCKS, Chain, random_network
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.prune.channels import ChannelGraph, Keep, left_alone
from edgekit.prune.soundness import check_cut, noise, sound
from edgekit.prune.surgery import silenced, slimmed
from edgekit.prune.tracing import trace


def some(graph: ChannelGraph, share: float, seed: int) -> Keep:
    """Removes about a share of the units in groups, and leaves at least one in each."""
    dice = np.random.Generator(np.random.PCG64(seed))
    keep = graph.everything()
    for group in graph.groups:
        keep[group.units] = dice.random(group.width) >= share
        keep[group.units[dice.integers(group.width)]] = True
    return keep


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31), share=st.floats(0.1, 0.95))
def test_cutting_is_silencing_whatever_the_network_is_made_of(seed: int, share: float) -> None:
    made, (channels, height, width) = random_network(seed)
    graph = sound(made, trace(made, (height, width), channels), noise(channels, height, width))
    keep = some(graph, share, seed)
    pictures = torch.randn(3, channels, height, width)
    with torch.no_grad():
        cut, mute = slimmed(made, graph, keep)(pictures), silenced(made, graph, keep)(pictures)
    torch.testing.assert_close(cut, mute, rtol=1e-3, atol=1e-4)


def of_one_block(name: str) -> tuple[nn.Module, ChannelGraph]:
    torch.manual_seed(0)
    made = Chain([name], 3, 8, 8).eval()
    return made, sound(made, trace(made, 8), noise(3, 8, 8))


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("groups of 8", {"into": (4, 8)}), ("groups of 2", {"into": (16, 2)}), ("depthwise", {"into": (32, 1)}),
        ("multiplied", {"squeeze": (8, 1), "out": (16, 1)}), ("shuffled", {"before": (12, 2), "after": (16, 1)}),
        ("pixels", {"up": (6, 4), "work": (6, 1), "down": (16, 1)}), ("channels last", {"up": (40, 1)}),
        ("attention", {"up": (24, 1)}), ("joined", {"a": (12, 1), "b": (8, 1), "mix": (16, 1)}), ("tied", {}),
    ],
)  # fmt: skip
def test_what_can_be_pruned_is(name: str, groups: dict[str, tuple[int, int]]) -> None:
    _, graph = of_one_block(name)
    found = {group.name: (group.width, group.channels) for group in graph.groups if group.name.startswith("blocks.")}
    assert found == {f"blocks.0.{layer}": told for layer, told in groups.items()}


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [
        ("shuffled, fixed", "blocks.0.before", "the operation View"), ("joined, fixed", "blocks.0.a", "Slice"),
        ("channels last", "blocks.0.depth", "LayerNorm"), ("attention", "blocks.0.qkv", "ScaledDotProduct"),
        ("tied", "blocks.0.one", "a second layer that has the same weights"), ("softmax", "blocks.0.into", "Softmax"),
        ("group", "blocks.0.into", "GroupNorm"), ("odd", "blocks.0.into", "Roll"), ("mean", "blocks.0.into", "Mean"),
        ("scale", "blocks.0.into", "Mul with values of its own for each channel"),
    ],
)  # fmt: skip
def test_what_is_left_alone_is_named_with_its_reason(name: str, layer: str, reason: str) -> None:
    _, graph = of_one_block(name)
    assert reason in {each.layer: each.reason for each in graph.left}[layer]
    assert any(layer in line and reason in line for line in left_alone(graph.left))


def test_every_block_has_a_test() -> None:
    assert len(BLOCKS) == 19


class FoldsTheBatch(nn.Module):
    """Says how many features there are in a number, so that fewer of them would be taken from the next picture."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(x)).mean((2, 3)).view(-1, 8))


def test_a_fixed_number_of_features_is_no_wrong_network() -> None:
    made = FoldsTheBatch().eval()
    graph = trace(made, 8)
    assert graph.groups
    checked = sound(made, graph, noise(3, 8, 8))
    assert (checked.groups, checked.units) == ((), graph.units)
    assert [each.layer for each in checked.left] == ["conv"]
    with pytest.raises(InputError, match="cannot be pruned"):
        check_cut(made, graph, some(graph, 0.5, 0), noise(3, 8, 8))


def test_only_the_group_that_is_wrong_is_left_alone() -> None:
    torch.manual_seed(0)
    made = NotWhatItSeems().eval()
    graph = sound(made, trace(made, 8), noise(3, 8, 8))
    assert [group.name for group in graph.groups] == ["good"]
    assert [(each.layer, each.reason) for each in graph.left] == [
        ("bad", "removing channels changes what the others compute")
    ]
