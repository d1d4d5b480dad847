"""Convolutions of one pixel with a stride: the same function, and no kernel that ends the process."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from edgekit.training.strides import pixels_left_out_first


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 1, 2), nn.ReLU(), nn.Conv2d(12, 8, 3, 2, 1), nn.Conv2d(8, 8, 1, (2, 1), groups=2),
        nn.Conv2d(8, 4, 1), nn.Conv2d(4, 4, 1, 2, padding=1),
    )  # fmt: skip


@pytest.mark.parametrize("side", [16, 17])
def test_it_is_the_same_function_with_the_same_gradients(side: int) -> None:
    one, other = network(), network()
    x = torch.rand(2, 3, side, side)
    wanted = one(x)
    wanted.square().sum().backward()
    with pixels_left_out_first(other):
        assert [module.stride for module in other if isinstance(module, nn.Conv2d)] == [
            (1, 1), (2, 2), (1, 1), (1, 1), (2, 2)
        ]  # fmt: skip
        made = other(x)
        made.square().sum().backward()
    torch.testing.assert_close(made, wanted)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_afterwards_the_network_is_as_before_and_can_be_copied() -> None:
    made = network()
    before = [module.stride for module in made if isinstance(module, nn.Conv2d)]
    with pytest.raises(RuntimeError, match="stop"), pixels_left_out_first(made, copy.deepcopy(made)):
        raise RuntimeError("stop")
    assert [module.stride for module in made if isinstance(module, nn.Conv2d)] == before
    assert not any(module._forward_pre_hooks for module in made.modules())


PROGRAM = """
import torch
from torch import nn
from edgekit.training.strides import pixels_left_out_first
torch.set_num_threads(1)
made = nn.Conv2d({channels}, 24, 1, 2, bias=False).to(memory_format=torch.channels_last)
x = torch.rand(2, {channels}, 224, 224).contiguous(memory_format=torch.channels_last)
with pixels_left_out_first(made):
    made(x).square().mean().backward()
print("went through")
"""


@pytest.mark.parametrize("channels", [3, 12])
def test_the_backward_pass_goes_through(channels: int) -> None:
    """With torch 2.13.0 it ends the process without this."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(channels=channels)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "went through\n"), done.stderr
