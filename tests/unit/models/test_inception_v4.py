"""Inception-v4 against the public weights' names and shapes, and its counts."""

from __future__ import annotations

import json

import pytest
import torch
from samples import SHARED_DATA

from edgekit.errors import InputError
from edgekit.models import create
from edgekit.models.inception_v4 import InceptionV4, scaled


def macs(network: torch.nn.Module, size: int) -> int:
    """Multiply-accumulates of convolutions and linear layers, counted while a picture runs through."""
    total = 0

    def count(module: torch.nn.Module, given: object, made: torch.Tensor) -> None:
        nonlocal total
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        total += made[0].numel() * weight[0].numel()

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(count)
    network.eval()(torch.zeros(1, 3, size, size))
    return total


def test_parameters_and_macs_at_width_one() -> None:
    network = create("inception_v4")
    assert sum(p.numel() for p in network.parameters()) == 42_679_816
    assert macs(network, 299) == pytest.approx(12.28e9, rel=0.005)


def test_names_and_shapes_are_the_public_ones() -> None:
    table = SHARED_DATA / "public_state_dicts.json"
    if not table.is_file():
        pytest.skip("the table of public state dicts is not here")
    told = json.loads(table.read_text())
    public = next(value for key, value in told.items() if key.startswith("inception_v4"))
    shapes = public.get("shapes", public.get("state_dict", public)) if isinstance(public, dict) else public
    ours = {name: list(value.shape) for name, value in create("inception_v4").state_dict().items()}
    assert {name: list(shape) for name, shape in shapes.items() if isinstance(shape, list)} == ours


@pytest.mark.parametrize("size", [75, 107, 160])
def test_any_size_classes_and_width(size: int) -> None:
    made = create("inception_v4", num_classes=7, width=0.25).eval()(torch.zeros(2, 3, size, size))
    assert made.shape == (2, 7)


def test_the_quarter_width_network() -> None:
    network = InceptionV4(24, 0.25)
    assert sum(p.numel() for p in network.parameters()) == 2_592_672
    assert macs(network, 299) == pytest.approx(0.78e9, rel=0.02)


def test_widths_are_multiples_of_eight() -> None:
    assert [scaled(c, 0.25) for c in (32, 64, 96, 192, 224)] == [8, 16, 24, 48, 56]
    assert scaled(96, 1.0) == 96
    assert scaled(8, 0.01) == 8


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(InputError) as refusal:
        create("inception_v5")
    assert "inception_v4" in refusal.value.hint
