"""Small classifiers put together at random from what public ones are made of, for tests of pruning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 16


class Grouped(nn.Module):
    """A bottleneck with a grouped convolution, as in ResNeXt and RegNet."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.into, self.norm = nn.Conv2d(WIDTH, 32, 1, bias=False), nn.BatchNorm2d(32)
        self.grouped, self.out = nn.Conv2d(32, 32, 3, padding=1, groups=groups), nn.Conv2d(32, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(torch.relu(self.grouped(torch.relu(self.norm(self.into(x))))))


class Multiplied(nn.Module):
    """A depthwise convolution with two filters a channel, behind a gate of squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1, groups=WIDTH)
        self.squeeze, self.excite = nn.Linear(2 * WIDTH, 8), nn.Linear(8, 2 * WIDTH)
        self.out = nn.Conv2d(2 * WIDTH, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self.depth(x))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3))))))
        return self.out(y * gate[:, :, None, None])


class Shuffled(nn.Module):
    """Channels of two halves, one worked on, joined again and shuffled, as in ShuffleNet."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.before, self.work = nn.Conv2d(WIDTH, 24, 1), nn.Conv2d(12, 12, 3, padding=1)
        self.after = nn.Conv2d(24, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.before(x).chunk(2, 1)
        y = torch.cat([left, torch.relu(self.work(right))], 1)
        n, c, h, w = y.shape
        y = y.view(n, 2, 12 if self.fixed else c // 2, h, w).transpose(1, 2).reshape(n, -1, h, w)
        return self.after(torch.relu(y))


class ChannelsLast(nn.Module):
    """A block of ConvNeXt: a depthwise convolution, layer norm and two linear layers over NHWC, scaled at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.depth, self.norm = nn.Conv2d(WIDTH, WIDTH, 5, padding=2, groups=WIDTH), nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 40), nn.Linear(40, WIDTH)
        self.scale = nn.Parameter(torch.rand(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(functional.gelu(self.up(y)))
        return x + y.permute(0, 3, 1, 2)


class Attention(nn.Module):
    """Self-attention with two heads and what follows it, as in ViT."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.project = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 24), nn.Linear(24, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(tokens)).view(n, h * w, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h * w, c)
        tokens = tokens + self.project(mixed)
        tokens = tokens + self.down(functional.gelu(self.up(tokens)))
        return tokens.transpose(1, 2).reshape(n, c, h, w)


class PixelShuffled(nn.Module):
    """Four times as many pixels made of channels, and made channels of again."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.work, self.down = nn.Conv2d(WIDTH, 24, 1), nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(24, WIDTH, 1)
        self.grow, self.shrink = nn.PixelShuffle(2), nn.PixelUnshuffle(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(torch.relu(self.shrink(self.work(self.grow(self.up(x))))))


class Tied(nn.Module):
    """A convolution that is called twice, and two that have one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.one, self.other = nn.Conv2d(WIDTH, WIDTH, 1), nn.Conv2d(WIDTH, WIDTH, 1)
        self.other.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.twice(torch.relu(self.twice(x))))
        return self.one(x) + torch.relu(self.other(x))


class Joined(nn.Module):
    """Branches joined, cut apart at a fixed place, and one of them moved to the other's channels."""

    def __init__(self, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.a, self.b = nn.Conv2d(WIDTH, 12, 1), nn.Conv2d(WIDTH, 8, 3, padding=1)
        self.mix, self.last = nn.Conv2d(20, WIDTH, 1), nn.Conv2d(10 if fixed else 20, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([torch.relu(self.a(x)), functional.softplus(self.b(x))], 1)
        return self.mix(y) + self.last(y[:, :10] if self.fixed else y.flip(1))


class Normalised(nn.Module):
    """Softmax over channels, group norm, a constant for each channel, and a mean over all of them."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.into, self.out = how, nn.Conv2d(WIDTH, 24, 1), nn.Conv2d(24, WIDTH, 1)
        self.group = nn.GroupNorm(4, 24)
        self.register_buffer("scale", torch.rand(24, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.into(x)
        made = {
            "softmax": lambda: y.softmax(1), "group": lambda: self.group(y), "scale": lambda: self.scale * y,
            "mean": lambda: y - y.mean(1, keepdim=True), "lrn": lambda: functional.local_response_norm(y, 3),
            "odd": lambda: torch.roll(y, 3, 1), "padded": lambda: functional.pad(y[:, 4:], (0, 0, 0, 0, 2, 2)),
        }  # fmt: skip
        return self.out(made[self.how]())


BLOCKS: dict[str, Callable[[], nn.Module]] = {
    "groups of 8": lambda: Grouped(4), "groups of 2": lambda: Grouped(16), "depthwise": lambda: Grouped(32),
    "multiplied": Multiplied, "shuffled": lambda: Shuffled(False), "shuffled, fixed": lambda: Shuffled(True),
    "channels last": ChannelsLast, "attention": Attention, "pixels": PixelShuffled, "tied": Tied,
    "joined": lambda: Joined(False), "joined, fixed": lambda: Joined(True),
    **{how: (lambda how=how: Normalised(how)) for how in ("softmax", "group", "scale", "mean", "lrn", "odd", "padded")},
}  # fmt: skip
"""What random networks are made of; each takes and gives WIDTH channels."""


class Chain(nn.Module):
    """A stem, some blocks, and a classifier, over (N, channels, height, width)."""

    def __init__(self, names: list[str], channels: int, height: int, width: int, head: str = "pool") -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, WIDTH, 3, padding=1), nn.BatchNorm2d(WIDTH), nn.ReLU())
        self.blocks = nn.ModuleList([BLOCKS[name]() for name in names])
        self.last, self.head = nn.Conv2d(WIDTH, 12, 1), head
        self.features = 12 * (1 if head == "pool" else height * width)
        self.classifier = nn.Linear(self.features, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = torch.relu(self.last(x))
        if self.head == "pool":
            return self.classifier(x.mean((2, 3)))
        flat = x.view(-1, self.features) if self.head == "fixed" else x.flatten(1)
        return self.classifier(flat)


def random_network(seed: int, blocks: int = 3) -> tuple[nn.Module, tuple[int, int, int]]:
    """A network in evaluation mode, its batch norms not trivial, and the shape of its pictures (C, H, W)."""
    dice = np.random.Generator(np.random.PCG64(seed))
    torch.manual_seed(seed)
    shape = (int(dice.choice([1, 3])), int(dice.choice([6, 8])), int(dice.choice([6, 12])))
    names = [str(name) for name in dice.choice(list(BLOCKS), blocks)]
    made = Chain(names, *shape, head=str(dice.choice(["pool", "flat", "fixed"])))
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made.eval(), shape
