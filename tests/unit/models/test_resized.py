"""Graphs at another input size are those that the exporter makes there, or the exporter makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edgekit.errors import InputError
from edgekit.models import resized as module
from edgekit.models.export import export_network
from edgekit.models.onnx_graph import load, to_proto
from edgekit.models.resized import resized
from edgekit.models.run_graph import run_graph
from edgekit.models.source import Source, resolve
from edgekit.recipe import Recipe

OWN = (64, 64)


@pytest.fixture
def source() -> Source:
    return resolve(Recipe(model="inception_v4", weights="random", width=0.125, num_classes=7))


class _Convolutional(nn.Module):
    """Of any size: a stride, pools of both kinds, and a mean over what is left."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 8, 3, stride=2), nn.Conv2d(8, 6, 3, padding=1)
        self.max, self.mean = nn.MaxPool2d(3, 2), nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
        self.fc = nn.Linear(6, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(self.deep(self.mean(self.max(self.stem(image)))).relu().mean((2, 3)))


def test_a_resized_graph_is_what_the_exporter_makes(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, told, size = _Convolutional().eval(), list[str](), (48, 80)
    at_own = export_network(network, OWN, tmp_path / "own.onnx")
    monkeypatch.setattr(module, "make_network", lambda source: network)
    facts = resized(tmp_path / "own.onnx", at_own, source, size, tmp_path / "resized.onnx", told.append)
    assert told == []
    assert facts == export_network(network, size, tmp_path / "exported.onnx")
    image = np.random.default_rng(1).standard_normal((1, 3, *size), np.float32)
    made, anew = (
        run_graph(to_proto(load(tmp_path / name)), {"input": image})[0] for name in ("resized.onnx", "exported.onnx")
    )
    np.testing.assert_allclose(made, anew, rtol=1e-5, atol=1e-6)


class _Flat(nn.Module):
    """Its last layer has weights for one size."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * side * side, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(image).flatten(1))


class _Told(nn.Module):
    """Something in it was computed from the size while it was exported: the graph runs at another size, wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image).sum((2, 3)) / float(image.shape[2])


@pytest.mark.parametrize("network", [pytest.param(_Told(), id="told its size"), pytest.param(_Flat(32), id="flat")])
def test_a_graph_that_fits_one_size_alone_is_exported_anew(
    network: nn.Module, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, told, anew = tmp_path / "own.onnx", list[str](), list[Path]()
    facts = export_network(network.eval(), (32, 32), path)
    monkeypatch.setattr(module, "make_network", lambda source: network)
    monkeypatch.setattr(module, "export", lambda source, size, out: anew.append(out) or facts)
    assert resized(path, facts, source, (48, 48), tmp_path / "out.onnx", told.append) == facts
    assert anew == [tmp_path / "out.onnx"]
    (line,) = told
    assert line.startswith("exported anew at this size: ")


def test_a_size_that_the_network_does_not_take_is_refused(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = _Convolutional().eval()
    facts = export_network(network, OWN, tmp_path / "own.onnx")
    monkeypatch.setattr(module, "make_network", lambda source: network)
    with pytest.raises(InputError, match="takes images from"):
        resized(tmp_path / "own.onnx", facts, source, (3, 3), tmp_path / "small.onnx")
