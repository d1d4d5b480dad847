"""How much memory a training step takes, and how many pictures may go through at once in what there is."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from edgekit.size import Size
from edgekit.training.autocast import autocast

COPIES: Final = 6
"""Of what is learned: its gradient, AdamW's two moments, the running average, and what the processes that draw pictures
keep of the network and its average as they were."""

BESIDE: Final = 2.1
"""What a pass takes for what it keeps for the way back, with gradients on the way, the kernels' own and the gaps that
are left between: 1.35 to 1.75 for Inception-ResNet-v2, up to 2.1 for plain networks, as measured."""

WORKERS_BYTES: Final = 250_000_000
"""What two processes that draw or decode pictures take of their own; measured."""


def at_once(network: nn.Module, size: Size, batch: int, free_bytes: int, channels: int = 3) -> int:
    """How many pictures of a batch can go through a network and back together; 0 if not even one fits.

    Args:
        network: on the processor; free_bytes: what the training may take beside what is held now.
    """
    one, two = (kept_bytes(network, size, count, channels) for count in (1, 2))
    each, fixed = max(1, two - one), max(0, 2 * one - two)
    learned = sum(p.numel() * p.element_size() for p in network.parameters() if p.requires_grad)
    left = free_bytes - WORKERS_BYTES - COPIES * learned - fixed
    return max(0, min(batch, int(left / (BESIDE * each))))


def kept_bytes(network: nn.Module, size: Size, batch: int, channels: int = 3) -> int:
    """What a forward pass of training keeps for the way back: each piece of memory once, parameters too."""
    seen: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    pictures = torch.zeros(batch, channels, *size).contiguous(memory_format=torch.channels_last)
    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        autocast(),
    ):
        answers = network(pictures)  # held, so that no memory is told twice
    del answers
    return sum(seen.values())
