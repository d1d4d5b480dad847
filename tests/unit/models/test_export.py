"""Exported graphs: what is in them, and what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import edgekit
from edgekit.errors import InputError
from edgekit.models.export import export_network
from edgekit.models.graph_facts import GraphFacts


def test_a_graph_holds_no_path_of_the_machine_and_is_the_same_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    ).eval()
    facts = export_network(network, (16, 16), tmp_path / "one.onnx")
    assert facts == GraphFacts("NCHW", 16, 16, 4, facts.params, facts.macs)
    assert export_network(network, (16, 16), tmp_path / "two.onnx") == facts
    content = (tmp_path / "one.onnx").read_bytes()
    assert content == (tmp_path / "two.onnx").read_bytes()
    for place in (str(Path(edgekit.__file__).parent), str(Path(torch.__file__).parent), str(Path(__file__).parent)):
        assert place.encode() not in content
    assert not any(each.metadata_props or each.doc_string for each in onnx.load(tmp_path / "one.onnx").graph.node)
    picture = np.random.Generator(np.random.PCG64(0)).normal(size=(1, 3, 16, 16)).astype(np.float32)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    made = session.run(None, {session.get_inputs()[0].name: picture})[0]
    with torch.no_grad():
        np.testing.assert_allclose(made, network(torch.from_numpy(picture)).numpy(), rtol=1e-4, atol=1e-5)  # type: ignore[arg-type]


def test_a_network_that_takes_no_squares_is_exported_for_its_size(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 14, 5)).eval()
    facts = export_network(network, (8, 16), tmp_path / "wide.onnx")
    assert (facts.height, facts.width, facts.classes) == (8, 16, 5)
    with pytest.raises(InputError, match="exported"):
        export_network(network, (16, 16), tmp_path / "square.onnx")
