"""Channels that hang together: cutting them is the same as silencing them, whatever the network and the choice."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, OURS, network
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.models import inception_v4
from edgekit.models.inception_v4 import ConvNormAct, scaled
from edgekit.models.weights import is_pruned, load_into, write_weights
from edgekit.prune.channels import FIXED, ChannelGraph, Keep, check_some_left, widths
from edgekit.prune.soundness import noise, sound
from edgekit.prune.surgery import silenced, slimmed
from edgekit.prune.tracing import trace


@cache
def traced(name: str) -> tuple[nn.Module, ChannelGraph, int]:
    made, size = network(name)
    return made, trace(made, (size, size)), size


def random_keep(graph: ChannelGraph, ratio: float, seed: int) -> Keep:
    """Removes about `ratio` of the units, and leaves at least one in each group."""
    dice = np.random.Generator(np.random.PCG64(seed))
    keep = dice.random(graph.units) >= ratio
    for group in graph.groups:
        keep[group.units[dice.integers(group.width)]] = True
    return keep


def outputs(made: nn.Module, size: int) -> Tensor:
    torch.manual_seed(1)
    with torch.no_grad():
        return made(torch.randn(2, 3, size, size))


@pytest.mark.parametrize("name", [*LAYOUTS, *OURS])
@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ratio=st.floats(0.0, 0.95), seed=st.integers(0, 2**32 - 1))
def test_cutting_is_the_same_as_silencing(name: str, ratio: float, seed: int) -> None:
    made, graph, size = traced(name)
    keep = random_keep(graph, ratio, seed)
    cut, mute = slimmed(made, graph, keep), silenced(made, graph, keep)
    torch.testing.assert_close(outputs(cut, size), outputs(mute, size), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [*LAYOUTS, *OURS])
def test_nothing_removed_is_the_same_network(name: str) -> None:
    made, graph, size = traced(name)
    same = slimmed(made, graph, graph.everything())
    assert torch.equal(outputs(made, size), outputs(same, size))
    assert all(torch.equal(a, b) for a, b in zip(made.state_dict().values(), same.state_dict().values(), strict=True))


def test_every_convolution_but_the_tied_ones_can_be_narrowed() -> None:
    made, graph, _ = traced("inception_v4")
    assert len(graph.groups) == 149
    assert {group.name for group in graph.groups} == {
        name for name, module in made.named_modules() if isinstance(module, nn.Conv2d)
    }
    assert (graph.layers["last_linear"].outputs == FIXED).all()
    assert (graph.layers["features.0.conv"].inputs == FIXED).all()
    residual = traced("inception_resnet_v2")[1]
    first, last = residual.layers["repeat.0.conv2d"].outputs, residual.layers["repeat.9.conv2d"].outputs
    assert (first == last).all(), "all sums of one stretch share their channels"


def test_one_tensor_twice_in_a_concat() -> None:
    _, graph, _ = traced("twice")
    layer = graph.layers["c"]
    assert (layer.inputs[:8] == layer.inputs[8:]).all()
    assert (graph.layers["a"].outputs == graph.layers["b"].outputs).all(), "tied by the turned sum"


WIDTH = partial(scaled, width=0.125)
CONV = partial(ConvNormAct)
BLOCKS = {
    "Mixed3a": lambda: inception_v4.Mixed3a(CONV, WIDTH),
    "Mixed4a": lambda: inception_v4.Mixed4a(CONV, 8, WIDTH),
    "Mixed5a": lambda: inception_v4.Mixed5a(CONV, 8, WIDTH),
    "InceptionA": lambda: inception_v4.InceptionA(CONV, 8, WIDTH),
    "ReductionA": lambda: inception_v4.ReductionA(CONV, 8, WIDTH),
    "InceptionB": lambda: inception_v4.InceptionB(CONV, 8, WIDTH),
    "ReductionB": lambda: inception_v4.ReductionB(CONV, 8, WIDTH),
    "InceptionC": lambda: inception_v4.InceptionC(CONV, 8, WIDTH),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_every_inception_block_alone(name: str) -> None:
    torch.manual_seed(0)
    block = BLOCKS[name]()
    stem = ConvNormAct(3, WIDTH(64) if name == "Mixed3a" else 8, 1)
    with torch.no_grad():
        wide = block(stem(torch.zeros(1, 3, 32, 32))).shape[1]
    whole = nn.Sequential(stem, block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, 5)).eval()
    graph = trace(whole, (32, 32))
    for seed in range(5):
        keep = random_keep(graph, 0.5, seed)
        cut, mute = slimmed(whole, graph, keep), silenced(whole, graph, keep)
        torch.testing.assert_close(outputs(cut, 32), outputs(mute, 32), rtol=1e-4, atol=1e-4)


def test_a_pruned_file_loads_into_the_architecture(tmp_path: object) -> None:
    from pathlib import Path

    made, graph, size = traced("inception_v4")
    cut = slimmed(made, graph, random_keep(graph, 0.4, 3))
    path = Path(str(tmp_path)) / "weights.safetensors"
    write_weights(cut, path, pruned=True)
    assert is_pruned(path)
    again = inception_v4.InceptionV4(num_classes=5, width=0.25).eval()
    load_into(again, path)
    torch.testing.assert_close(outputs(again, size), outputs(cut, size), rtol=0.02, atol=0.02)
    narrow = trace(again, (size, size))
    assert widths(narrow, narrow.everything()) == widths(graph, random_keep(graph, 0.4, 3))


class Fourier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.fft.rfft(self.conv(x)).abs().mean((2, 3))


def test_what_cannot_be_followed_is_named() -> None:
    graph = trace(Fourier(), (16, 16))
    assert (graph.groups, [each.layer for each in graph.left]) == ((), ["conv"])
    with pytest.raises(InputError, match="cannot be followed through the operation FftR2c"):
        check_some_left(graph)


def test_a_network_that_does_not_run_is_refused() -> None:
    with pytest.raises(InputError, match="does not run"):
        trace(nn.Sequential(nn.Conv2d(4, 8, 1), nn.Flatten(), nn.Linear(8, 2)), 16)


def test_what_is_no_row_of_logits_is_refused() -> None:
    head = nn.Sequential(nn.Conv2d(3, 8, 1), nn.AdaptiveAvgPool2d(1))
    with pytest.raises(InputError, match=r"does not give logits \(N, classes\): a tensor of \(1, 8, 1, 1\)"):
        trace(head, (16, 16))


def test_grouped_convolutions_lose_whole_groups() -> None:
    torch.manual_seed(0)
    made = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, groups=4), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    ).eval()  # fmt: skip
    graph = trace(made, 16)
    assert [(group.name, group.width, group.channels) for group in graph.groups] == [("0", 4, 2), ("4", 8, 1)]
    keep = graph.everything()
    keep[graph.groups[0].units[[0, 2]]] = False
    cut = slimmed(made, graph, keep)
    assert (cut[2].groups, cut[2].in_channels, cut[2].out_channels) == (2, 4, 8)
    torch.testing.assert_close(outputs(cut, 16), outputs(silenced(made, graph, keep), 16))


class OfTheImage(nn.Module):
    """Sums and joins the image itself with what a convolution makes of it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.conv = how, nn.Conv2d(3, 3, 1)
        self.mix, self.head = nn.Conv2d(6 if how == "cat" else 3, 8, 1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        made = torch.relu(self.conv(x))
        joined = torch.cat([x, made], 1) if self.how == "cat" else x + made
        return self.head(torch.relu(self.mix(joined)).mean((2, 3)))


class Broadcast(nn.Module):
    """One channel multiplied into all channels of another layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.many, self.head = nn.Conv2d(3, 1, 1), nn.Conv2d(3, 8, 1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((torch.sigmoid(self.one(x)) * torch.relu(self.many(x))).mean((2, 3)))


class FlatThenJoined(nn.Module):
    """Flattens two branches of unequal width before they are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 6, 1), nn.Linear(14, 5)

    def forward(self, x: Tensor) -> Tensor:
        flat = (nn.functional.adaptive_avg_pool2d(torch.relu(part(x)), 1).flatten(1) for part in (self.a, self.b))
        return self.head(torch.cat(list(flat), 1))


@pytest.mark.parametrize("make", [Broadcast, FlatThenJoined, lambda: OfTheImage("cat"), lambda: OfTheImage("sum")])
def test_what_is_joined_in_odd_ways_is_cut_rightly(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    made = make().eval()
    graph = trace(made, 16)
    assert graph.groups
    assert sound(made, graph, noise(3, 16, 16)).groups == graph.groups, "nothing had to be left alone"
    same(made, graph)


def test_a_sum_with_the_image_holds_its_channels() -> None:
    graph = trace(OfTheImage("sum").eval(), 16)
    assert [group.name for group in graph.groups] == ["mix"]
    assert [(each.layer, each.operation) for each in graph.left] == [
        ("conv", "Add with values of its own for each channel")
    ]


def same(made: nn.Module, graph: ChannelGraph) -> None:
    """Cutting is silencing, for some random choices."""
    for seed in range(5):
        keep = random_keep(graph, 0.5, seed)
        torch.testing.assert_close(
            outputs(slimmed(made, graph, keep), 16), outputs(silenced(made, graph, keep), 16), rtol=1e-4, atol=1e-4
        )


def test_channels_of_a_network_that_takes_no_squares_are_followed() -> None:
    made, size = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6 * 14, 5)).eval(), (8, 16)
    graph = trace(made, size)
    assert sound(made, graph, noise(3, *size)).groups == graph.groups
    assert graph.units == 8
