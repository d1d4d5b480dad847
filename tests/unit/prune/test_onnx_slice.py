"""Cutting channels out of an exported graph leaves what the other channels compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import network
from random_networks import Chain
from torch import nn

from edgekit.errors import InputError
from edgekit.models.export import export_network
from edgekit.prune import onnx_slice
from edgekit.prune.channels import ChannelGraph, kept_of
from edgekit.prune.soundness import noise, sound
from edgekit.prune.surgery import silenced
from edgekit.prune.tracing import trace


class Exported(NamedTuple):
    """A network, its channels, the side of its image, and its float graph."""

    network: nn.Module
    channels: ChannelGraph
    size: int
    path: Path


@pytest.fixture(scope="module", params=["residual", "depthwise", "dense"])
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    made, size = network(request.param)
    path = tmp_path_factory.mktemp(request.param) / "core.onnx"
    export_network(made, (size, size), path)
    return Exported(made.eval(), trace(made, (size, size)), size, path)


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.95))
def test_what_stays_computes_what_it_did(exported: Exported, seed: int, share: float) -> None:
    made, channels, size, path = exported
    dice = np.random.Generator(np.random.PCG64(seed))
    keep = dice.random(channels.units) < share
    for group in channels.groups:
        keep[dice.choice(group.units)] = True
    cut = path.with_name("cut.onnx")
    onnx_slice.cut(path, cut, channels, keep)
    onnx.checker.check_model(onnx.load(str(cut)), full_check=True)
    x = torch.from_numpy(dice.normal(0, 1, (1, 3, size, size)).astype(np.float32))
    with torch.no_grad():
        wanted = silenced(made, channels, keep)(x).numpy()
    session = onnxruntime.InferenceSession(str(cut), providers=["CPUExecutionProvider"])
    found: Any = session.run(None, {"input": x.numpy()})[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(wanted).max())))
    shapes = {tensor.name: tuple(tensor.dims) for tensor in onnx.load(str(cut)).graph.initializer}
    for layer in channels.layers.values():
        if layer.kind != "norm":
            assert shapes[f"{layer.name}.weight"][0] == kept_of(layer.outputs, keep).sum()


def test_nothing_removed_is_the_same_graph(exported: Exported) -> None:
    whole = exported.path.with_name("whole.onnx")
    onnx_slice.cut(exported.path, whole, exported.channels, exported.channels.everything())
    before, after = onnx.load(str(exported.path)), onnx.load(str(whole))
    assert [node.SerializeToString() for node in before.graph.node] == [
        node.SerializeToString() for node in after.graph.node
    ]


def test_a_graph_of_another_network_is_refused(exported: Exported, tmp_path: Path) -> None:
    model = onnx.load(str(exported.path))
    for node in model.graph.node:
        node.input[:] = ["renamed" if name == "head.weight" else name for name in node.input]
    for tensor in model.graph.initializer:
        tensor.name = "renamed" if tensor.name == "head.weight" else tensor.name
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(InputError, match="does not name the layer head"):
        onnx_slice.cut(
            tmp_path / "other.onnx", tmp_path / "cut.onnx", exported.channels, exported.channels.everything()
        )


KINDS = ("groups of 8", "multiplied", "shuffled", "pixels", "joined", "tied", "padded")


def of_one_block(kind: str, folder: Path) -> tuple[nn.Module, ChannelGraph, Path]:
    """A network of pictures that are not square, its channels, and its float graph."""
    torch.manual_seed(0)
    made = Chain([kind], 3, 6, 10).eval()
    path = folder / "core.onnx"
    with torch.no_grad():
        torch.onnx.export(made, (torch.zeros(1, 3, 6, 10),), str(path), dynamo=True, opset_version=20, verbose=False)
    return made, sound(made, trace(made, (6, 10)), noise(3, 6, 10)), path


def test_a_layer_that_the_exporter_renames_is_refused_by_name(tmp_path: Path) -> None:
    """As those over tokens, whose weights are written turned and under other names."""
    _, channels, path = of_one_block("channels last", tmp_path)
    with pytest.raises(InputError, match=r"does not name the layer blocks\.0\.up"):
        onnx_slice.cut(path, tmp_path / "cut.onnx", channels, channels.everything())


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_channels_in_reshapes_and_splits_follow(kind: str, tmp_path: Path) -> None:
    made, channels, path = of_one_block(kind, tmp_path)
    cut = tmp_path / "cut.onnx"
    dice, keep = np.random.Generator(np.random.PCG64(0)), channels.everything()
    for group in channels.groups:
        keep[group.units] = dice.random(group.width) < 0.5
        keep[dice.choice(group.units)] = True
    onnx_slice.cut(path, cut, channels, keep)
    x = torch.from_numpy(dice.normal(0, 1, (1, 3, 6, 10)).astype(np.float32))
    session = onnxruntime.InferenceSession(str(cut), providers=["CPUExecutionProvider"])
    found: Any = session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
    with torch.no_grad():
        wanted = silenced(made, channels, keep)(x).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
