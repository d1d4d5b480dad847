"""The graph of a pruned and trained network, made of that of the whole one: the same as exporting it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch_networks import NETWORKS, SIZE, images, made, some

from edgekit.errors import InputError
from edgekit.models.export import export_network
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.run_graph import session_of
from edgekit.prune.channels import ChannelGraph, Keep
from edgekit.prune.onnx_trained import graph_of
from edgekit.prune.surgery import slimmed
from edgekit.prune.tracing import trace


def trained(network: nn.Module, graph: ChannelGraph, keep: Keep) -> nn.Module:
    """The pruned network with every number another one, as training leaves it."""
    cut = slimmed(network, graph, keep)
    dice = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in [*cut.parameters(), *cut.buffers()]:
            if value.is_floating_point():
                value.mul_(1 + 0.4 * torch.rand(value.shape, generator=dice)).add_(0.01)
    return cut.eval()


def answers(path: Path, pictures: Tensor) -> np.ndarray:
    session = session_of(path)
    return np.concatenate([session.run(None, {"input": each[None].numpy()})[0] for each in pictures])


@pytest.mark.parametrize("kind", NETWORKS)
def test_it_answers_as_the_network_and_tells_what_an_export_tells(
    kind: Callable[[], nn.Module], tmp_path: Path
) -> None:
    network = made(kind)
    facts = export_network(network, (SIZE, SIZE), tmp_path / "dense.onnx")
    graph = trace(network, (SIZE, SIZE))
    keep = some(graph)
    cut = trained(network, graph, keep)
    told = graph_of((tmp_path / "dense.onnx", facts), cut, graph, keep, images(), tmp_path / "cut.onnx")
    with torch.no_grad():
        np.testing.assert_allclose(answers(tmp_path / "cut.onnx", images()), cut(images()), rtol=1e-3, atol=1e-4)
    model = onnx.load(str(tmp_path / "cut.onnx"))
    assert {each.name for each in model.graph.initializer} <= {name for node in model.graph.node for name in node.input}
    anew = export_network(cut, (SIZE, SIZE), tmp_path / "anew.onnx")
    assert told == anew
    assert sorted(each.name for each in tmp_path.iterdir()) == ["anew.onnx", "cut.onnx", "dense.onnx"]


class Scaled(nn.Module):
    """What it answers depends on more than its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.classifier = nn.Linear(8, 5, bias=False)
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.relu(self.norm(self.first(x))).mean((2, 3))) * self.scale


class Unscaled(Scaled):
    """Its batch norm has no weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(8, affine=False)
        nn.init.constant_(self.norm.get_buffer("running_var"), 0.3)


class WithoutBias(nn.Module):
    """Two layers that have none."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.classifier = nn.Conv2d(3, 8, 3, bias=False), nn.Linear(8, 5, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.relu(self.first(x)).mean((2, 3)))


Whole = tuple[nn.Module, Path, GraphFacts, ChannelGraph]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Callable[[], nn.Module]], Whole]:
    """Networks that are exported once."""

    @cache
    def exported(kind: Callable[[], nn.Module]) -> Whole:
        network = kind().eval() if kind is Unscaled else made(kind)
        path = tmp_path_factory.mktemp(kind.__name__) / "dense.onnx"
        return network, path, export_network(network, (SIZE, SIZE), path), trace(network, (SIZE, SIZE))

    return exported


def attempt(whole: Whole, out: Path, change: Callable[[nn.Module], object] = lambda network: None) -> GraphFacts:
    """The graph of a network whose channels all stay, and of which something is changed after it was exported."""
    network, path, facts, graph = whole
    cut = slimmed(network, graph, keep := graph.everything())
    change(cut)
    return graph_of((path, facts), cut, graph, keep, images(), out)


Of = Callable[[Callable[[], nn.Module]], Whole]


def test_what_was_trained_beside_the_layers_is_seen_and_refused(whole: Of, tmp_path: Path) -> None:
    attempt(whole(Scaled), tmp_path / "right.onnx")
    with pytest.raises(InputError, match="answers differ by"):
        attempt(whole(Scaled), tmp_path / "wrong.onnx", lambda net: nn.init.constant_(net.get_parameter("scale"), 2.0))
    assert [each.name for each in tmp_path.iterdir()] == ["right.onnx"]


def test_a_bias_that_the_graph_has_no_place_for_is_refused(whole: Of, tmp_path: Path) -> None:
    def put(network: nn.Module, value: float) -> None:
        network.get_submodule("first").bias = nn.Parameter(torch.full((8,), value))

    attempt(whole(WithoutBias), tmp_path / "cut.onnx", lambda network: put(network, 0.0))
    with pytest.raises(InputError, match="no place for the bias of first"):
        attempt(whole(WithoutBias), tmp_path / "cut.onnx", lambda network: put(network, 0.5))


def test_a_batch_norm_without_weights_or_statistics(whole: Of, tmp_path: Path) -> None:
    attempt(whole(Unscaled), tmp_path / "cut.onnx")

    def forget(network: nn.Module) -> None:
        norm = network.get_submodule("norm")
        norm.running_mean = norm.running_var = None

    with pytest.raises(InputError, match="differ by"):
        attempt(whole(Scaled), tmp_path / "cut.onnx", forget)


def test_a_graph_that_takes_images_otherwise_is_left_to_the_exporter(whole: Of, tmp_path: Path) -> None:
    network, path, facts, graph = whole(WithoutBias)
    with pytest.raises(InputError, match="NHWC"):
        attempt((network, path, replace(facts, layout="NHWC"), graph), tmp_path / "cut.onnx")


def test_a_network_with_numbers_that_are_none_is_refused(whole: Of, tmp_path: Path) -> None:
    def spoil(network: nn.Module) -> None:
        nn.init.constant_(network.get_parameter("first.weight"), float("nan"))

    with pytest.raises(InputError, match="differ by nan"):
        attempt(whole(WithoutBias), tmp_path / "cut.onnx", spoil)


def test_what_a_file_said_is_said_of_the_pruned_one_too(whole: Of, tmp_path: Path) -> None:
    network, path, facts, graph = whole(WithoutBias)
    known = replace(facts, output="scores", activation="softmax", activation_found=True, notes=("a note",))
    cut = slimmed(network, graph, keep := some(graph))
    told = graph_of((path, known), cut, graph, keep, images(), tmp_path / "cut.onnx")
    assert (told.output, told.activation, told.activation_found, told.notes) == ("scores", "softmax", True, ("a note",))
    assert told.params < facts.params
    assert told.macs < facts.macs
