"""Residual blocks that go as a whole: found, cut out of the torch network and of its ONNX graph, and loaded again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from layouts import network
from residual_blocks import BLOCKS, Basic, Gated, Nested, PreActivated, Undecided, Whole
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.models.bypass import Bypass, bypassed
from edgekit.models.export import export_network
from edgekit.models.from_onnx import to_torch
from edgekit.models.onnx_graph import load
from edgekit.models.weights import load_into, removed_branches, write_weights
from edgekit.prune import onnx_slice
from edgekit.prune.blocks import bypasses, groups_inside, without
from edgekit.prune.channels import ChannelGraph, Keep, left_alone, removed_layers, widths
from edgekit.prune.importance import IMPORTANCES
from edgekit.prune.soundness import noise, sound
from edgekit.prune.surgery import silenced, slimmed
from edgekit.prune.tracing import trace
from edgekit.training.autocast import computing

SIZE = 16


@cache
def whole(name: str) -> tuple[nn.Module, ChannelGraph]:
    """A network in evaluation mode with batch norms that are not trivial, and what can be removed of it."""
    torch.manual_seed(0)
    made = Whole(*BLOCKS[name][0]())
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.1)
    return made.eval(), sound(made, trace(made, SIZE, blocks=True), noise(3, SIZE, SIZE))


def outputs(made: nn.Module, size: int = SIZE) -> Tensor:
    with torch.no_grad():
        return made(noise(3, size, size))  # type: ignore[no-any-return]


def choices(graph: ChannelGraph) -> list[list[str]]:
    """Each block alone, the first two, and all."""
    names = [block.name for block in graph.blocks]
    return [*([name] for name in names), names[:2], names]


def narrowed(graph: ChannelGraph, removed: Sequence[str]) -> Keep:
    """Without some blocks, and every third unit of what else may go."""
    keep = graph.everything()
    for group in graph.groups:
        keep[group.units[::3]] = False
        keep[group.units[1]] = True
    return without(graph, keep, removed)


@pytest.mark.parametrize("name", BLOCKS)
def test_branches_that_begin_at_their_trunk_and_lead_nowhere_else_are_blocks(name: str) -> None:
    _, graph = whole(name)
    assert [block.name for block in graph.blocks] == BLOCKS[name][1]
    assert sorted(block.unit for block in graph.blocks) == list(
        range(graph.units - len(graph.blocks), graph.units)
    )  # they are the last units


@pytest.mark.parametrize("name", BLOCKS)
def test_a_network_without_blocks_answers_as_if_they_added_zeros(name: str) -> None:
    made, graph = whole(name)
    for removed in choices(graph):
        for keep in (without(graph, graph.everything(), removed), narrowed(graph, removed)):
            cut, gone = slimmed(made, graph, keep), removed_layers(graph, keep)
            torch.testing.assert_close(outputs(cut), outputs(silenced(made, graph, keep)), rtol=1e-4, atol=1e-5)
            left = {name for name, _ in cut.named_modules()}
            assert gone
            assert not gone & left
            assert {layer for layer in graph.layers if layer not in gone} <= left
            assert all(widths(graph, keep)[layer] == (0, 0) for layer in gone if graph.layers[layer].kind != "norm")


@pytest.mark.parametrize("name", BLOCKS)
def test_the_exported_graph_without_blocks_is_that_of_the_network_without_them(name: str, tmp_path: Path) -> None:
    made, graph = whole(name)
    export_network(made, (SIZE, SIZE), tmp_path / "core.onnx")
    sums = [node.op_type for node in load(tmp_path / "core.onnx").graph].count("Add")
    for removed in choices(graph):
        for keep in (without(graph, graph.everything(), removed), narrowed(graph, removed)):
            onnx_slice.cut(tmp_path / "core.onnx", tmp_path / "cut.onnx", graph, keep)
            onnx.checker.check_model(onnx.load(str(tmp_path / "cut.onnx")), full_check=True)
            wanted = outputs(silenced(made, graph, keep))
            torch.testing.assert_close(ran(tmp_path / "cut.onnx"), wanted, rtol=1e-3, atol=1e-4)
            gone = sum(not keep[block.unit] for block in graph.blocks)
            assert kinds(tmp_path / "cut.onnx").count("Add") == sums - gone
    export_network(slimmed(made, graph, keep), (SIZE, SIZE), tmp_path / "again.onnx")
    assert kinds(tmp_path / "cut.onnx") == kinds(tmp_path / "again.onnx")


def ran(path: Path) -> Tensor:
    """The answers of a graph for one picture after the other."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    pictures = noise(3, SIZE, SIZE).numpy()
    made: list[Any] = [session.run(None, {"input": picture[None]})[0] for picture in pictures]
    return torch.from_numpy(np.concatenate(made))


def kinds(path: Path) -> list[str]:
    """The operators of a graph."""
    return sorted(node.op_type for node in load(path).graph)


@pytest.mark.parametrize("name", ["plain", "nested", "trunk elsewhere", "parallel"])
def test_a_network_of_a_file_loses_blocks_too(name: str, tmp_path: Path) -> None:
    made, graph = whole(name)
    export_network(made, (SIZE, SIZE), tmp_path / "core.onnx")
    back = to_torch(load(tmp_path / "core.onnx"))
    found = sound(back, trace(back, SIZE, blocks=True), noise(3, SIZE, SIZE))
    assert len(found.blocks) == len(graph.blocks)
    for removed in choices(found):
        keep = narrowed(found, removed)
        wanted = outputs(silenced(back, found, keep))
        cut = slimmed(back, found, keep)
        torch.testing.assert_close(outputs(cut), wanted, rtol=1e-4, atol=1e-5)
        onnx_slice.cut(tmp_path / "core.onnx", tmp_path / "cut.onnx", found, keep, back.constant_names)  # type: ignore[arg-type]
        torch.testing.assert_close(ran(tmp_path / "cut.onnx"), wanted, rtol=1e-3, atol=1e-4)
        assert not any("constant_names" in key for key in cut.state_dict())


def test_what_is_read_elsewhere_too_is_not_inside() -> None:
    assert whole("read twice")[1].blocks[0].layers == ("blocks.0.conv2",)


@pytest.mark.parametrize("name", ["inception_resnet_v1", "inception_resnet_v2", "inception_resnet_v2_paper"])
def test_every_residual_block_of_ours_can_go(name: str) -> None:
    made, size = network(name)
    graph = trace(made, size, blocks=True)
    assert len(graph.blocks) == (40 if name == "inception_resnet_v2" else 20)
    inside = groups_inside(graph)
    assert all(len(inside[block.name]) in (4, 6) for block in graph.blocks)  # each layer but the one that expands
    keep = without(graph, graph.everything(), [block.name for block in graph.blocks[::2]])
    cut, mute = slimmed(made, graph, keep), silenced(made, graph, keep)
    torch.testing.assert_close(outputs(cut, size), outputs(mute, size), rtol=1e-4, atol=1e-4)


def test_without_being_asked_for_no_block_is_found_and_units_are_as_before() -> None:
    made, graph = whole("plain")
    plain = trace(made, SIZE)
    assert plain.blocks == ()
    assert plain.units == graph.units - len(graph.blocks)


def test_a_branch_that_adds_something_when_it_is_silent_is_left_alone() -> None:
    made = Whole(Gated(), Basic()).eval()
    graph = sound(made, trace(made, SIZE, blocks=True), noise(3, SIZE, SIZE))
    assert [block.name for block in graph.blocks] == ["blocks.1"]
    assert any("blocks.0: it cannot go as a whole" in line for line in left_alone(graph.left))


def test_a_block_that_cannot_be_followed_is_left_alone_and_the_reason_said() -> None:
    made = Whole(Undecided(), Basic()).eval()
    graph = sound(made, trace(made, SIZE, blocks=True), noise(3, SIZE, SIZE))
    assert [block.name for block in graph.blocks] == ["blocks.1"]
    assert any(
        "blocks.0: it cannot go as a whole: the block blocks.0 cannot be removed" in e for e in left_alone(graph.left)
    )


def test_gradients_pass_where_the_sum_was_rectified_in_place() -> None:
    made, graph = whole("plain")
    cut = slimmed(made, graph, without(graph, graph.everything(), ["blocks.1", "blocks.2"])).train()
    cut(noise(3, SIZE, SIZE)).sum().backward()
    assert all(parameter.grad is not None for parameter in cut.parameters())


@pytest.mark.parametrize("name", ["plain", "nested"])
def test_weights_without_blocks_load_into_the_architecture_again(name: str, tmp_path: Path) -> None:
    made, graph = whole(name)
    keep = narrowed(graph, [graph.blocks[0].name, graph.blocks[-1].name])
    cut = slimmed(made, graph, keep)
    write_weights(cut, tmp_path / "cut.safetensors", pruned=True, removed=bypasses(graph, keep))
    assert removed_branches(tmp_path / "cut.safetensors") == bypasses(graph, keep)
    torch.manual_seed(1)
    again = load_into(Whole(*(type(block)() for block in made.blocks)).eval(), tmp_path / "cut.safetensors")  # type: ignore[union-attr, operator]
    torch.testing.assert_close(outputs(again), outputs(cut), rtol=1e-2, atol=1e-2)  # they are kept in 16 bits
    with pytest.raises(InputError, match=r"no branch of just the layers|of another architecture"):
        load_into(Whole(PreActivated()).eval(), tmp_path / "cut.safetensors")


def test_a_network_that_adds_by_itself_is_another_one_afterwards() -> None:
    torch.manual_seed(0)
    made = Nested().eval()
    cut = bypassed(made, [Bypass("", ("first", "last", "inner.conv1", "inner.conv2"))])
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(cut(x), x)
    assert not list(cut.parameters())


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("pictures", [1, 7, 16])
def test_parts_of_a_batch_are_weighed_as_the_whole_batch_is(
    pictures: int, labelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, size = network("residual")
    graph = trace(made, (size, size), blocks=True)
    batch = torch.randn(pictures, 3, size, size), torch.arange(pictures) % 3 if labelled else None
    found = []
    for cores in (1, 2, 4):
        monkeypatch.setattr("edgekit.training.replicas.usable_cores", lambda cores=cores: cores)
        with computing(1, "fp32"):
            found.append(IMPORTANCES["fisher"](made, graph, [batch, batch]))
    for other in found[1:]:
        assert set(other) == set(found[0])
        for name, scores in found[0].items():
            np.testing.assert_allclose(other[name], scores, rtol=1e-3, atol=1e-9)
    assert not any(module._forward_hooks for module in made.modules())
    assert all(parameter.requires_grad for parameter in made.parameters())


@pytest.mark.parametrize("importance", ["fisher", "taylor"])
def test_a_block_is_worth_what_a_gate_on_all_that_it_adds_is(importance: str) -> None:
    made, graph = whole("scaled")
    pictures = noise(3, SIZE, SIZE)
    wanted = made(pictures).argmax(1)
    scores = IMPORTANCES[importance](made, graph, [(pictures, None)])
    for block in graph.blocks:
        gates = torch.ones(len(pictures), 1, 1, 1, requires_grad=True)
        hook = made.get_submodule(block.last[0]).register_forward_hook(lambda module, given, out, g=gates: out * g)
        nn.functional.cross_entropy(made(pictures), wanted, reduction="sum").backward()
        hook.remove()
        slopes = gates.grad.flatten()  # type: ignore[union-attr]
        told = slopes.abs().mean() if importance == "taylor" else (slopes.square() / 2).mean()
        assert scores[block.name] == pytest.approx([float(told)], rel=2e-2)  # it computes in BF16 where it can


def test_magnitude_says_nothing_of_blocks_it_does_of_channels() -> None:
    made, graph = whole("plain")
    scores = IMPORTANCES["magnitude"](made, graph, ())
    assert {*scores} == {group.name for group in graph.groups}
