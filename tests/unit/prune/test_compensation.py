"""Channels that depend on others can go without loss, once the weights that read them are refit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from layouts import network
from torch import nn

from edgekit.prune.channels import ChannelGraph, Keep
from edgekit.prune.compensation import compensated
from edgekit.prune.surgery import silenced, slimmed
from edgekit.prune.tracing import trace

SIZE = (16, 16)


def pictures(count: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def batches(inputs: torch.Tensor) -> list[tuple[torch.Tensor, None]]:
    return [(each, None) for each in torch.split(inputs, 16)]


def dependent(bias: bool, norm: bool) -> nn.Sequential:
    """Two convolutions; what the second one reads has eight channels, of which the last four are sums of the others,
    and a constant.
    """
    torch.manual_seed(0)
    first = nn.Conv2d(3, 8, 3, padding=1)
    with torch.no_grad():
        mixed = torch.randn(4, 4)
        first.weight[4:] = torch.einsum("ab,bchw->achw", mixed, first.weight[:4])
        first.bias[4:] = mixed @ first.bias[:4] + torch.tensor([1.0, -2.0, 0.5, 3.0])
    second: list[nn.Module] = [nn.Conv2d(8, 6, 3, bias=bias)]
    if norm:
        batch_norm = nn.BatchNorm2d(6)
        nn.init.normal_(batch_norm.running_mean, 0, 0.3)
        second.append(batch_norm)
    ends = [nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)]
    return nn.Sequential(first, *second, *ends).eval()


def without(graph: ChannelGraph, name: str, channels: list[int]) -> Keep:
    keep = graph.everything()
    keep[next(group for group in graph.groups if group.name == name).units[channels]] = False
    return keep


@torch.no_grad()
def apart(one: Any, other: Any, inputs: torch.Tensor) -> float:
    return float((one(inputs) - other(inputs)).norm() / other(inputs).norm())


@pytest.mark.parametrize(("bias", "norm"), [(True, False), (False, True), (True, True)])
def test_channels_that_depend_on_others_go_without_loss(bias: bool, norm: bool) -> None:
    whole, inputs = dependent(bias, norm), pictures()
    graph = trace(whole, SIZE, 3)
    keep = without(graph, "0", [4, 5, 6, 7])
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    refit = compensated(whole, graph, keep, batches(inputs))
    cut = slimmed(refit, graph, keep)
    assert cut.get_submodule("0").weight.shape[0] == 4
    assert apart(slimmed(whole, graph, keep), whole, pictures(8)) > 0.05
    assert apart(cut, whole, pictures(8)) < 0.02
    assert all(torch.equal(value, before[name]) for name, value in whole.state_dict().items())


@pytest.mark.parametrize("name", ["residual", "depthwise", "dense"])
def test_any_network_answers_nearer_to_itself_or_is_left_alone(name: str) -> None:
    whole, size = network(name)
    graph, inputs = trace(whole, (size, size)), torch.randn(64, 3, size, size)
    keep = graph.everything()
    dice = np.random.default_rng(0)
    for group in graph.groups:
        keep[dice.choice(group.units, group.width // 3, replace=False)] = False
    refit = compensated(whole, graph, keep, batches(inputs))
    far, near = (apart(silenced(each, graph, keep), whole, inputs[:16]) for each in (whole, refit))
    assert near < far or refit is whole
    if name != "depthwise":
        assert near < far


def test_weights_of_two_layers_and_no_pictures_are_left_alone() -> None:
    whole = dependent(True, False)
    graph = trace(whole, SIZE, 3)
    keep = without(graph, "0", [4, 5])
    assert compensated(whole, graph, keep, []) is whole
    twin = nn.Conv2d(8, 6, 3)
    twin.weight = whole[1].weight
    whole[0].twin = twin  # never called: whose weights they are is what counts
    assert compensated(whole, graph, keep, batches(pictures())) is whole


def test_a_layer_that_reads_too_many_features_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    first, last = nn.Conv2d(3, 8, 3, 2), nn.Linear(8 * 49, 5)
    whole = nn.Sequential(first, nn.ReLU(), nn.Flatten(), last).eval()
    graph = trace(whole, SIZE, 3)
    keep = without(graph, "0", [1, 2])
    refit = compensated(whole, graph, keep, batches(pictures()))
    assert refit is not whole
    assert not torch.equal(refit[3].weight, last.weight)
    monkeypatch.setattr("edgekit.prune.compensation.MOST_INPUTS", 8 * 49 - 1)
    assert compensated(whole, graph, keep, batches(pictures())) is whole


def test_parts_of_a_batch_tell_what_the_whole_batch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, size = network("residual")
    graph, inputs = trace(whole, (size, size)), torch.randn(37, 3, size, size)
    keep = without(graph, graph.groups[0].name, [0, 1])
    found = {}
    for cores in (1, 2, 4):
        monkeypatch.setattr("edgekit.training.replicas.usable_cores", lambda cores=cores: cores)
        found[cores] = compensated(whole, graph, keep, batches(inputs))
    for cores in (2, 4):  # other pixels are drawn
        assert found[cores] is not whole
        assert apart(silenced(found[cores], graph, keep), silenced(found[1], graph, keep), inputs) < 0.1
