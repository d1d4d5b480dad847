"""Graphs from outlines are those that torch's exporter writes, or the exporter writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edgekit.errors import InputError
from edgekit.models import create, export, outline
from edgekit.models.graph_facts import GraphFacts
from edgekit.models.onnx_graph import load
from edgekit.models.same_answers import differs
from edgekit.models.source import Source, make_network, resolve
from edgekit.recipe import Recipe

SIZE = (139, 107)
CLASSES = 7


def source_of(name: str) -> Source:
    return resolve(Recipe(model=name, weights="random", width=0.125, num_classes=CLASSES))


def trained(name: str) -> nn.Module:
    """A network in which every number of a batch norm is its own, as after training."""
    torch.manual_seed(5)
    network = create(name, num_classes=CLASSES, width=0.125).eval()
    for each in network.modules():
        if isinstance(each, nn.BatchNorm2d):
            assert each.running_mean is not None
            assert each.running_var is not None
            for numbers, least, most in ((each.weight, 0.5, 1.5), (each.bias, -0.5, 0.5)):
                nn.init.uniform_(numbers, least, most)
            nn.init.uniform_(each.running_mean, -0.5, 0.5)
            nn.init.uniform_(each.running_var, 0.5, 2)
    return network


@pytest.fixture
def by_torch(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that torch's exporter was asked for, which writes none."""
    asked: list[Path] = []

    def export_network(network: nn.Module, size: object, path: Path, answer: object = None) -> GraphFacts:
        asked.append(path)
        return GraphFacts("NCHW", *SIZE, CLASSES, 0, 0)

    monkeypatch.setattr(export, "export_network", export_network)
    return asked


@pytest.mark.parametrize(
    ("name", "weights"), [*((name, "trained") for name in outline.OUTLINES), ("inception_v4", "random")]
)
def test_every_network_has_a_graph_by_its_outline(
    name: str, weights: str, tmp_path: Path, by_torch: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = trained(name) if weights == "trained" else make_network(source_of(name))
    monkeypatch.setattr(outline, "make_network", lambda source, tell: network)
    told: list[str] = []
    facts = export.export(source_of(name), SIZE, tmp_path / "model.onnx", told.append)
    assert (told, by_torch) == ([], [])
    assert (facts.size, facts.classes, facts.activation, facts.notes) == (SIZE, CLASSES, "none", ())
    pictures = np.random.Generator(np.random.PCG64(8)).standard_normal((2, 3, *SIZE), np.float32)
    assert differs(load(tmp_path / "model.onnx"), network, pictures) is None


@pytest.mark.parametrize(
    "name",
    [
        "inception_resnet_v1",
        *(pytest.param(name, marks=pytest.mark.slow) for name in outline.OUTLINES if name != "inception_resnet_v1"),
    ],
)
def test_it_is_to_the_byte_what_the_exporter_writes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = trained(name)
    monkeypatch.setattr(outline, "make_network", lambda source, tell: network)
    told: list[str] = []
    facts = export.export(source_of(name), SIZE, tmp_path / "by outline.onnx", told.append)
    assert told == []
    assert facts == export.export_network(network, SIZE, tmp_path / "by torch.onnx")
    assert (tmp_path / "by outline.onnx").read_bytes() == (tmp_path / "by torch.onnx").read_bytes()


@pytest.mark.parametrize("content", [None, b"", b"other"])
def test_a_file_that_is_not_the_one_shipped_is_told_of_and_not_read(
    content: bytes | None, tmp_path: Path, by_torch: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outline, "FOLDER", tmp_path)
    if content is not None:
        (tmp_path / "inception_v4.onnx").write_bytes(content)
    told: list[str] = []
    export.export(source_of("inception_v4"), SIZE, tmp_path / "model.onnx", told.append)
    (line,) = told
    assert line.startswith("exported by torch: ")
    assert ("not as it was shipped" in line) is (content is not None)
    assert by_torch == [tmp_path / "model.onnx"]


def test_a_network_with_other_scales_is_exported_by_torch(
    tmp_path: Path, by_torch: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = create("inception_resnet_v1", num_classes=CLASSES, width=0.125, scale=0.3).eval()
    monkeypatch.setattr(outline, "make_network", lambda source, tell: other)
    told: list[str] = []
    export.export(source_of("inception_resnet_v1"), SIZE, tmp_path / "model.onnx", told.append)
    assert "does not fit: a picture's answers differ by" in told[0]
    assert by_torch == [tmp_path / "model.onnx"]


def test_a_network_that_no_outline_is_shipped_of_is_exported_by_torch(tmp_path: Path, by_torch: list[Path]) -> None:
    told: list[str] = []
    export.export(source_of("inception_resnet_v1_face"), SIZE, tmp_path / "model.onnx", told.append)
    assert told == []
    assert by_torch == [tmp_path / "model.onnx"]


def test_layers_that_share_weights_have_no_outline() -> None:
    proto = outline.read_outline("inception_v4")
    first, second = [node for node in proto.graph.node if node.op_type == "Conv"][:2]
    second.input[1] = first.input[1]
    with pytest.raises(ValueError, match="share weights"):
        outline.emptied(proto)


def test_an_unknown_network_has_no_outline() -> None:
    with pytest.raises(InputError, match="no outline of resnet50"):
        outline.read_outline("resnet50")


def test_an_outline_holds_no_weights() -> None:
    for name in outline.OUTLINES:
        numbers = [onnx.numpy_helper.to_array(each).size for each in outline.read_outline(name).graph.initializer]
        assert max(numbers) < 10, "constants of shapes and scales alone"
