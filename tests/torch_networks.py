"""Small torch networks with what graphs of others have, their exports, and graphs made by hand."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from edgekit.prune.channels import ChannelGraph, Keep

SIZE = 24
Arrays = dict[str, np.ndarray]


class Residual(nn.Module):
    """A batch norm behind each convolution, one before, a sum around them, and a flattening of several pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.before = nn.BatchNorm2d(8)
        self.first = nn.Conv2d(8, 6, 3, padding=1, bias=False)
        self.between = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.drop, self.hidden, self.classifier = nn.Dropout(0.2), nn.Linear(8 * 3 * 3, 10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.second(F.relu(self.between(self.first(F.relu(self.before(x))))))
        x = F.max_pool2d(F.leaky_relu(x, 0.1), 3, 4, 1)
        return self.classifier(F.relu(self.hidden(self.drop(x.flatten(1)))))


class Gated(nn.Module):
    """A depthwise convolution, a gate of sigmoids over channels, and hard swish, as in mobile networks."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict({
            "0": nn.Conv2d(3, 8, 3, 2, 1), "depthwise": nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False),
            "down": nn.Conv2d(8, 4, 1), "up": nn.Conv2d(4, 8, 1), "project": nn.Conv2d(8, 6, 1),
        })  # fmt: skip
        self.norm = nn.BatchNorm2d(8)
        self.classifier = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        layers = self.features
        x = F.hardswish(self.norm(layers["depthwise"](F.relu6(layers["0"](x)))))
        x = x * torch.sigmoid(layers["up"](F.silu(layers["down"](F.adaptive_avg_pool2d(x, 1)))))
        return self.classifier(layers["project"](x).mean((2, 3)))


class Dense(nn.Module):
    """Concats of concats, and one of flat features."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(6 + 4 * n), nn.ReLU(), nn.Conv2d(6 + 4 * n, 4, 3, padding=1)) for n in range(3)
        )
        self.norm, self.classifier = nn.BatchNorm2d(18), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = first = F.max_pool2d(F.relu(self.stem(x)), 3, 2, ceil_mode=True)
        for block in self.blocks:
            x = torch.cat([x, block(x)], 1)
        pooled = [F.adaptive_avg_pool2d(F.elu(each), 1).flatten(1) for each in (self.norm(x), first)]
        return self.classifier(torch.cat(pooled, 1))


class Branches(nn.Module):
    """Four branches as in Inception, and a convolution with groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.row, self.column = nn.Conv2d(8, 4, (1, 7), padding=(0, 3)), nn.Conv2d(4, 6, (7, 1), padding=(3, 0))
        self.small, self.pooled = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)
        self.reduced = nn.Conv2d(14, 12, 3, 2)
        self.grouped = nn.Conv2d(26, 8, 1, groups=2)
        self.classifier = nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        average = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        x = F.relu(torch.cat([self.column(F.relu(self.row(x))), self.small(x), self.pooled(average)], 1))
        x = torch.cat([F.max_pool2d(x, 3, 2), self.reduced(x)], 1)
        return F.adaptive_avg_pool2d(self.classifier(F.relu(self.grouped(F.relu(x)))), 1).flatten(1)


NETWORKS = [Residual, Gated, Dense, Branches]


def made(kind: Callable[[], nn.Module]) -> nn.Module:
    """A network whose batch norms have seen something."""
    torch.manual_seed(0)
    network = kind()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
    return network.eval()


def exported(network: nn.Module) -> onnx.ModelProto:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network, (torch.zeros(1, 3, SIZE, SIZE),), dynamo=True, opset_version=20, verbose=False
        )
    assert program is not None
    return program.model_proto


def images(count: int = 3) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def graph_of(
    nodes: list[onnx.NodeProto], constants: Arrays | None = None, shape: tuple[int | str, ...] = (1, 3, SIZE, SIZE)
) -> onnx.ModelProto:
    """A graph from `image` to `out`."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "hand-made",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
        ),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("other", 1)],
        ir_version=9,
    )


def floats(*shape: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(shape)).normal(0, 0.3, shape).astype(np.float32)


def some(graph: ChannelGraph) -> Keep:
    """About half of the units, at least one of each group."""
    dice = np.random.Generator(np.random.PCG64(3))
    keep = dice.random(graph.units) < 0.5
    for group in graph.groups:
        keep[dice.choice(group.units)] = True
    return keep
