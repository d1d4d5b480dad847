"""Inception-v4 (Szegedy et al. 2016, arXiv 1602.07261, figures 3 to 9), read top to bottom.

Module names and channel counts are those of the public weights (timm/inception_v4.tf_in1k), so that their state dict
loads unchanged. Kernels are written height x width; where the figures and the public weights transpose 1x7 and 7x1,
the public weights are followed. `width` multiplies every channel count, rounded to a multiple of 8.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, to the nearest multiple of 8, at least 8; unchanged at width 1."""
    return channels if width == 1.0 else max(8, int(channels * width / 8 + 0.5) * 8)


class ConvNormAct(nn.Module):
    """Convolution without bias, batch norm (eps 1e-3), ReLU: the paper's every convolution."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        same: bool = True,
    ) -> None:
        super().__init__()
        height, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, wide // 2) if same else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, (height, wide), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))  # type: ignore[no-any-return]


def average_pool_same() -> nn.AvgPool2d:
    """3x3 average over the pixels that are there: padding is not counted."""
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)


class Branches(nn.Module):
    """Runs every child on the same input and joins their channels: what a figure draws as 'Filter concat'."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], 1)


class Mixed3a(Branches):
    """Figure 3, first split: the stem's pooling beside its 3x3 with stride 2."""

    def __init__(self, conv: partial[ConvNormAct], c: partial[int]) -> None:
        super().__init__()
        self.maxpool = nn.MaxPool2d(3, stride=2)
        self.conv = conv(c(64), c(96), 3, stride=2, same=False)


class Mixed4a(Branches):
    """Figure 3, second split."""

    def __init__(self, conv: partial[ConvNormAct], inputs: int, c: partial[int]) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(conv(inputs, c(64), 1), conv(c(64), c(96), 3, same=False))
        self.branch1 = nn.Sequential(
            conv(inputs, c(64), 1),
            conv(c(64), c(64), (1, 7)),
            conv(c(64), c(64), (7, 1)),
            conv(c(64), c(96), 3, same=False),
        )


class Mixed5a(Branches):
    """Figure 3, last split; the figure's 192 3x3 lacks its stride 2."""

    def __init__(self, conv: partial[ConvNormAct], inputs: int, c: partial[int]) -> None:
        super().__init__()
        self.conv = conv(inputs, c(192), 3, stride=2, same=False)
        self.maxpool = nn.MaxPool2d(3, stride=2)


def stem(conv: partial[ConvNormAct], c: partial[int]) -> list[nn.Module]:
    """Figure 3, 299x299x3 to 35x35x384: of Inception-v4, and of the paper's Inception-ResNet-v2."""
    return [
        conv(3, c(32), 3, stride=2, same=False),
        conv(c(32), c(32), 3, same=False),
        conv(c(32), c(64), 3),
        Mixed3a(conv, c),
        Mixed4a(conv, c(64) + c(96), c),
        Mixed5a(conv, 2 * c(96), c),
    ]


class InceptionA(Branches):
    """Figure 4."""

    def __init__(self, conv: partial[ConvNormAct], inputs: int, c: partial[int]) -> None:
        super().__init__()
        self.branch0 = conv(inputs, c(96), 1)
        self.branch1 = nn.Sequential(conv(inputs, c(64), 1), conv(c(64), c(96), 3))
        self.branch2 = nn.Sequential(conv(inputs, c(64), 1), conv(c(64), c(96), 3), conv(c(96), c(96), 3))
        self.branch3 = nn.Sequential(average_pool_same(), conv(inputs, c(96), 1))


class ReductionA(Branches):
    """Figure 7; `klmn` are k, l, m and n of table 1, here those of Inception-v4."""

    def __init__(
        self,
        conv: partial[ConvNormAct],
        inputs: int,
        c: partial[int],
        klmn: tuple[int, int, int, int] = (192, 224, 256, 384),
    ) -> None:
        super().__init__()
        first, middle, last, alone = map(c, klmn)
        self.branch0 = conv(inputs, alone, 3, stride=2, same=False)
        self.branch1 = nn.Sequential(
            conv(inputs, first, 1),
            conv(first, middle, 3),
            conv(middle, last, 3, stride=2, same=False),
        )
        self.branch2 = nn.MaxPool2d(3, stride=2)


class InceptionB(Branches):
    """Figure 5."""

    def __init__(self, conv: partial[ConvNormAct], inputs: int, c: partial[int]) -> None:
        super().__init__()
        self.branch0 = conv(inputs, c(384), 1)
        self.branch1 = nn.Sequential(
            conv(inputs, c(192), 1), conv(c(192), c(224), (1, 7)), conv(c(224), c(256), (7, 1))
        )
        self.branch2 = nn.Sequential(
            conv(inputs, c(192), 1),
            conv(c(192), c(192), (7, 1)),
            conv(c(192), c(224), (1, 7)),
            conv(c(224), c(224), (7, 1)),
            conv(c(224), c(256), (1, 7)),
        )
        self.branch3 = nn.Sequential(average_pool_same(), conv(inputs, c(128), 1))


class ReductionB(Branches):
    """Figure 8."""

    def __init__(self, conv: partial[ConvNormAct], inputs: int, c: partial[int]) -> None:
        super().__init__()
        self.branch0 = nn.Sequential(conv(inputs, c(192), 1), conv(c(192), c(192), 3, stride=2, same=False))
        self.branch1 = nn.Sequential(
            conv(inputs, c(256), 1),
            conv(c(256), c(256), (1, 7)),
            conv(c(256), c(320), (7, 1)),
            conv(c(320), c(320), 3, stride=2, same=False),
        )
        self.branch2 = nn.MaxPool2d(3, stride=2)


class InceptionC(nn.Module):
    """Figure 6: two branches split again at their ends."""

    def __init__(self, conv: partial[ConvNormAct], inputs: int, c: partial[int]) -> None:
        super().__init__()
        self.branch0 = conv(inputs, c(256), 1)
        self.branch1_0 = conv(inputs, c(384), 1)
        self.branch1_1a = conv(c(384), c(256), (1, 3))
        self.branch1_1b = conv(c(384), c(256), (3, 1))
        self.branch2_0 = conv(inputs, c(384), 1)
        self.branch2_1 = conv(c(384), c(448), (3, 1))
        self.branch2_2 = conv(c(448), c(512), (1, 3))
        self.branch2_3a = conv(c(512), c(256), (1, 3))
        self.branch2_3b = conv(c(512), c(256), (3, 1))
        self.branch3 = nn.Sequential(average_pool_same(), conv(inputs, c(256), 1))

    def forward(self, x: Tensor) -> Tensor:
        middle = self.branch1_0(x)
        deep = self.branch2_2(self.branch2_1(self.branch2_0(x)))
        return torch.cat(
            [
                self.branch0(x),
                self.branch1_1a(middle),
                self.branch1_1b(middle),
                self.branch2_3a(deep),
                self.branch2_3b(deep),
                self.branch3(x),
            ],
            1,
        )


class Classifier(nn.Module):
    """The end that the paper's networks have in common: average pool, dropout (keep 0.8), fully connected."""

    def __init__(self, features: nn.Sequential, channels: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(dropout)
        self.last_linear = nn.Linear(channels, num_classes)

    def penultimate(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images to (N, features): what the classifier sees."""
        return self.global_pool(self.features(x)).flatten(1)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) float images, H and W at least 75, to (N, num_classes) logits."""
        return self.last_linear(self.drop(self.penultimate(x)))  # type: ignore[no-any-return]


class InceptionV4(Classifier):
    """Figure 9: stem, 4 A, Reduction-A, 7 B, Reduction-B, 3 C, average pool, dropout (keep 0.8), classifier.

    Args:
        num_classes: outputs of the classifier.
        width: channel multiplier; 1.0 is the paper's network (42,679,816 parameters with 1000 classes).
        dropout: probability of dropping a feature in training.
    """

    def __init__(self, num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2) -> None:
        conv: partial[ConvNormAct] = partial(ConvNormAct)
        c = partial(scaled, width=width)
        joined_5a = c(192) + 2 * c(96)
        grid_35 = 4 * c(96)
        reduced_a = c(384) + c(256) + grid_35
        grid_17 = c(384) + 2 * c(256) + c(128)
        reduced_b = c(192) + c(320) + grid_17
        grid_8 = 6 * c(256)
        features = nn.Sequential(
            *stem(conv, c),
            *(InceptionA(conv, joined_5a if first else grid_35, c) for first in (True, False, False, False)),
            ReductionA(conv, grid_35, c),
            *(InceptionB(conv, reduced_a if first else grid_17, c) for first in (True,) + (False,) * 6),
            ReductionB(conv, grid_17, c),
            *(InceptionC(conv, reduced_b if first else grid_8, c) for first in (True, False, False)),
        )
        super().__init__(features, grid_8, num_classes, dropout)
