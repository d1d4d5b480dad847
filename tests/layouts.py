"""Small networks in the layouts of public ones, for tests of pruning: residual, depthwise with gates, dense concats."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.models import create


class Residual(nn.Module):
    """Two residual blocks with batch norm, as in ResNet; the second changes stride and width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 16)
        self.a, self.b = _conv(16, 16), nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16))
        self.c, self.d = _conv(16, 32, 2), nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32))
        self.down = nn.Sequential(nn.Conv2d(16, 32, 1, 2, bias=False), nn.BatchNorm2d(32))
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.b(self.a(x)))
        x = torch.relu(self.down(x) + self.d(self.c(x)))
        return self.head(x.mean((2, 3)))


class NotWhatItSeems(nn.Module):
    """Divides by how many channels there are: all is followed, and cutting still changes what is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.bad, self.good, self.head = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bad(x)
        return self.head((self.good(x) * (x.shape[1] / 8)).mean((2, 3)))


class Depthwise(nn.Module):
    """An inverted residual with squeeze and excitation and hard swish, as in MobileNetV3."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 16)
        self.expand = _conv(16, 48)
        self.depth = nn.Sequential(nn.Conv2d(48, 48, 3, padding=1, groups=48, bias=False), nn.BatchNorm2d(48))
        self.squeeze, self.excite = nn.Conv2d(48, 12, 1), nn.Conv2d(12, 48, 1)
        self.project = nn.Sequential(nn.Conv2d(48, 16, 1, bias=False), nn.BatchNorm2d(16))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = nn.functional.hardswish(self.depth(self.expand(x)))
        gate = torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        return self.head((x + self.project(y * gate)).mean((2, 3)))


class Dense(nn.Module):
    """Concats of concats with a norm before each convolution, as in DenseNet, and a flattened grid at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(16 + 8 * i) for i in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(16 + 8 * i, 8, 3, padding=1, bias=False) for i in range(3))
        self.head = nn.Linear(40 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, conv(torch.relu(norm(x)))], 1)
        return self.head(nn.functional.adaptive_avg_pool2d(torch.relu(x), 2).flatten(1))


class Twice(nn.Module):
    """One tensor twice in a concat, and a concat summed with its own turned order: what pruners stumble over."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 1), nn.Conv2d(3, 8, 1)
        self.c, self.d = nn.Conv2d(16, 8, 1), nn.Conv2d(16, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.relu(self.a(x)), torch.relu(self.b(x))
        turned = torch.cat([a, b], 1) + torch.cat([b, a], 1)
        y = self.c(torch.cat([a, a], 1)) + self.d(turned)
        return self.head(torch.relu(y).mean((2, 3)))


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


LAYOUTS = {"residual": Residual, "depthwise": Depthwise, "dense": Dense, "twice": Twice}
"""Layouts of others, 32x32 in."""

OURS = ("inception_v4", "inception_resnet_v1", "inception_resnet_v2", "inception_resnet_v2_paper")


def network(name: str, seed: int = 0) -> tuple[nn.Module, int]:
    """A network in evaluation mode, its batch norms not trivial, and the side of the pictures it takes."""
    torch.manual_seed(seed)
    ours = name in OURS
    made = create(name, num_classes=5, width=0.125) if ours else LAYOUTS[name]()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return made.eval(), 75 if ours else 32
