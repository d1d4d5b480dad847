"""Small networks of residual blocks, for tests of pruning: of some that can go as a whole, and some that cannot."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Basic(nn.Module):
    """ReLU(x + b): `b` ends in a batch norm; `gate` squeezes and excites it; the sum is rectified in place."""

    def __init__(self, channels: int = 8, gate: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.conv2, self.bn2 = nn.Conv2d(12, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.excite = nn.Conv2d(channels, channels, 1) if gate else None
        self.act, self.scale = nn.ReLU(inplace=True), scale

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        if self.excite is not None:
            y = y * torch.sigmoid(self.excite(y.mean((2, 3), keepdim=True)))
        y = y * self.scale
        y += x
        return self.act(y)


class PreActivated(nn.Module):
    """x + conv(relu(bn(x))): the trunk is never rectified."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv1(torch.relu(self.bn1(x)))


class Projected(nn.Module):
    """Another shape comes out than goes in: neither side of the sum is a trunk."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.down = nn.Conv2d(8, 8, 3, 2, 1), nn.Conv2d(8, 8, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.down(x) + self.conv1(x))


class Nested(nn.Module):
    """A branch that has a residual block inside."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner, self.last = nn.Conv2d(8, 12, 1), Basic(12), nn.Conv2d(12, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last(self.inner(self.first(x)))


class ReadTwice(nn.Module):
    """What begins the branch is read elsewhere as well, and so must stay: the rest of it can go."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.conv1(x))
        return torch.relu(x + self.conv2(y)) * y


class TrunkElsewhere(nn.Module):
    """The trunk goes on beside the block too: past it, into a concat."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.join = Basic(), nn.Conv2d(16, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(torch.cat([x, self.block(x)], 1))


class Parallel(nn.Module):
    """Two branches of one trunk, added one after the other, without a module of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(torch.add(x + self.one(x), self.two(x), alpha=0.5))


class Gated(nn.Module):
    """Without its weights the branch adds one half: it is none that is gone when it is silent."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.sigmoid(self.conv1(x))


class Undecided(nn.Module):
    """A block that torch.fx cannot follow: it looks at the values."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        return x + self.conv2(torch.relu(y) if bool(y.mean() < 1e9) else y)


class Whole(nn.Module):
    """A stem, blocks, and a classifier."""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


BLOCKS: dict[str, tuple[Callable[[], list[nn.Module]], list[str]]] = {
    "plain": (lambda: [Basic(), Basic(), Basic()], ["blocks.0", "blocks.1", "blocks.2"]),
    "scaled": (lambda: [Basic(scale=0.2), Basic(scale=0.2)], ["blocks.0", "blocks.1"]),
    "squeezed": (lambda: [Basic(gate=True)], ["blocks.0"]),
    "pre-activated": (lambda: [PreActivated(), PreActivated()], ["blocks.0", "blocks.1"]),
    "projected": (lambda: [Basic(), Projected(), Basic()], ["blocks.0", "blocks.2"]),
    "nested": (lambda: [Nested(), Basic()], ["blocks.0.inner", "blocks.0", "blocks.1"]),
    "read twice": (lambda: [ReadTwice()], ["blocks.0"]),
    "trunk elsewhere": (lambda: [TrunkElsewhere()], ["blocks.0.block"]),
    "parallel": (lambda: [Parallel(), Basic()], ["blocks.0.one", "blocks.0.two", "blocks.1"]),
}
"""Blocks between stem and classifier, and the names of those that can be removed."""
