"""Inception-ResNet-v1 and -v2 (Szegedy et al. 2016, arXiv 1602.07261, figures 10 to 19), read top to bottom.

There are two networks by the name of v2. `InceptionResNetV2` is that of the public weights
(timm/inception_resnet_v2.tf_in1k), whose state dict loads unchanged: v1's stem, one Inception block, 10/20/10 residual
blocks. `InceptionResNetV2Paper` is that of the paper: Inception-v4's stem, 5/10/5. Where the figures cannot be right
(1154 and 2048 channels cannot be added to 1152 and 2144) or transpose 1x7 and 7x1, the public weights are followed.
"""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from edgekit.models.inception_v4 import Branches, Classifier, ConvNormAct, ReductionA, average_pool_same, scaled, stem

Scale = float | tuple[float, float, float] | None
"""What residuals are multiplied with: one value, one each for A, B and C blocks, or None for `SCALES`."""

SCALES: Final = (0.17, 0.10, 0.20)
"""Of the A, B and C blocks of the public weights; the paper says 0.1 to 0.3."""


class Sizes(NamedTuple):
    """The channels in which v1 and v2 differ, each in the order of its figure.

    Attributes:
        a: third branch of an A block: 1x1, 3x3, 3x3.
        klmn: Reduction-A, by table 1.
        b: a B block: 1x1 | 1x1, 1x7, 7x1.
        reduction_b: the 3x3 of the second branch, the two of the third.
        c: a C block: 1x1 | 1x1, 1x3, 3x1.
    """

    a: tuple[int, int, int]
    klmn: tuple[int, int, int, int]
    b: tuple[int, int, int, int]
    reduction_b: tuple[int, int, int]
    c: tuple[int, int, int, int]


V1: Final = Sizes((32, 32, 32), (192, 192, 256, 384), (128, 128, 128, 128), (256, 256, 256), (192, 192, 192, 192))
V2: Final = Sizes((32, 48, 64), (256, 256, 384, 384), (192, 128, 160, 192), (288, 288, 320), (192, 192, 224, 256))


class Residual(nn.Module):
    """ReLU(x + scale * expansion(branches, joined)).

    The expansion is a linear 1x1 convolution with a bias, to as many channels as came in. The sum has no batch norm.

    Args:
        inputs: channels of x, and so of the expansion.
        joined: channels of all branches together.
        scale: of the residual; without it wide networks died in training (section 3.3).
        relu: whether the sum is rectified.
    """

    def __init__(self, inputs: int, joined: int, scale: float, *branches: nn.Module, relu: bool = True) -> None:
        super().__init__()
        self.scale = scale
        self.places = tuple(f"branch{place}" for place in range(len(branches)))
        for place, branch in zip(self.places, branches, strict=True):
            self.add_module(place, branch)
        self.conv2d = nn.Conv2d(joined, inputs, 1)
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([self.get_submodule(place)(x) for place in self.places], 1)
        return self.relu(x + self.scale * self.conv2d(joined))  # type: ignore[no-any-return]


class ResidualA(Residual):
    """Figures 10 and 16: 35x35."""

    def __init__(self, inputs: int, c: partial[int], sizes: tuple[int, int, int], scale: float) -> None:
        first, middle, last = map(c, sizes)
        super().__init__(
            inputs,
            2 * c(32) + last,
            scale,
            ConvNormAct(inputs, c(32), 1),
            nn.Sequential(ConvNormAct(inputs, c(32), 1), ConvNormAct(c(32), c(32), 3)),
            nn.Sequential(ConvNormAct(inputs, first, 1), ConvNormAct(first, middle, 3), ConvNormAct(middle, last, 3)),
        )


class ResidualBC(Residual):
    """Figures 11 and 17 (17x17, length 7), 13 and 19 (8x8, length 3): 1x1 | 1x1, 1 x length, length x 1."""

    def __init__(
        self,
        inputs: int,
        c: partial[int],
        sizes: tuple[int, int, int, int],
        length: int,
        scale: float,
        relu: bool = True,
    ) -> None:
        alone, first, middle, last = map(c, sizes)
        super().__init__(
            inputs,
            alone + last,
            scale,
            ConvNormAct(inputs, alone, 1),
            nn.Sequential(
                ConvNormAct(inputs, first, 1),
                ConvNormAct(first, middle, (1, length)),
                ConvNormAct(middle, last, (length, 1)),
            ),
            relu=relu,
        )


class ReductionB(Branches):
    """Figures 12 and 18: 17x17 to 8x8."""

    def __init__(self, inputs: int, c: partial[int], sizes: tuple[int, int, int]) -> None:
        super().__init__()
        second, middle, last = map(c, sizes)
        halved = partial(ConvNormAct, kernel=3, stride=2, same=False)
        self.branch0 = nn.Sequential(ConvNormAct(inputs, c(256), 1), halved(c(256), c(384)))
        self.branch1 = nn.Sequential(ConvNormAct(inputs, c(256), 1), halved(c(256), second))
        self.branch2 = nn.Sequential(
            ConvNormAct(inputs, c(256), 1), ConvNormAct(c(256), middle, 3), halved(middle, last)
        )
        self.branch3 = nn.MaxPool2d(3, stride=2)


class Mixed5b(Branches):
    """The Inception block that the public weights have before their A blocks, and the paper has not."""

    def __init__(self, inputs: int, c: partial[int]) -> None:
        super().__init__()
        self.branch0 = ConvNormAct(inputs, c(96), 1)
        self.branch1 = nn.Sequential(ConvNormAct(inputs, c(48), 1), ConvNormAct(c(48), c(64), 5))
        self.branch2 = nn.Sequential(
            ConvNormAct(inputs, c(64), 1), ConvNormAct(c(64), c(96), 3), ConvNormAct(c(96), c(96), 3)
        )
        self.branch3 = nn.Sequential(average_pool_same(), ConvNormAct(inputs, c(64), 1))


class Stages(NamedTuple):
    """Figure 15 between the stem and the average pool."""

    a: nn.Sequential
    reduction_a: ReductionA
    b: nn.Sequential
    reduction_b: ReductionB
    c: nn.Sequential


def stages(
    inputs: int, c: partial[int], sizes: Sizes, repeats: tuple[int, int, int], scale: Scale
) -> tuple[Stages, int]:
    """The residual blocks and reductions after a stem that makes `inputs` channels, and the channels that they make."""
    told = SCALES if scale is None else scale
    scale_a, scale_b, scale_c = (told,) * 3 if isinstance(told, int | float) else told
    grid_17 = inputs + c(sizes.klmn[2]) + c(sizes.klmn[3])
    grid_8 = grid_17 + c(384) + c(sizes.reduction_b[0]) + c(sizes.reduction_b[2])
    made = Stages(
        nn.Sequential(*(ResidualA(inputs, c, sizes.a, scale_a) for _ in range(repeats[0]))),
        ReductionA(partial(ConvNormAct), inputs, c, sizes.klmn),
        nn.Sequential(*(ResidualBC(grid_17, c, sizes.b, 7, scale_b) for _ in range(repeats[1]))),
        ReductionB(grid_17, c, sizes.reduction_b),
        nn.Sequential(*(ResidualBC(grid_8, c, sizes.c, 3, scale_c) for _ in range(repeats[2]))),
    )
    return made, grid_8


class _Paper(Classifier):
    """Figure 15: stem, 5 A, Reduction-A, 10 B, Reduction-B, 5 C, average pool, dropout (keep 0.8), classifier."""

    def __init__(
        self,
        begin: nn.Sequential,
        grid_35: int,
        sizes: Sizes,
        num_classes: int,
        width: float,
        dropout: float,
        scale: Scale,
    ) -> None:
        made, grid_8 = stages(grid_35, partial(scaled, width=width), sizes, (5, 10, 5), scale)
        super().__init__(nn.Sequential(*begin, *made), grid_8, num_classes, dropout)


class InceptionResNetV1(_Paper):
    """Figure 15 with the stem of figure 14.

    Args:
        num_classes: outputs of the classifier.
        width: channel multiplier; 1.0 is the paper's network (22,756,328 parameters with 1000 classes).
        dropout: probability of dropping a feature in training.
        scale: what residuals are multiplied with.
    """

    def __init__(self, num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2, scale: Scale = None) -> None:
        c = partial(scaled, width=width)
        begin = nn.Sequential(
            ConvNormAct(3, c(32), 3, stride=2, same=False),
            ConvNormAct(c(32), c(32), 3, same=False),
            ConvNormAct(c(32), c(64), 3),
            nn.MaxPool2d(3, stride=2),
            ConvNormAct(c(64), c(80), 1),
            ConvNormAct(c(80), c(192), 3, same=False),
            ConvNormAct(c(192), c(256), 3, stride=2, same=False),
        )
        super().__init__(begin, c(256), V1, num_classes, width, dropout, scale)


class InceptionResNetV2Paper(_Paper):
    """Figure 15 with the stem of figure 3: the paper's network, for which there are no public weights.

    Args:
        num_classes: outputs of the classifier.
        width: channel multiplier; 1.0 is the paper's network (32,433,928 parameters with 1000 classes).
        dropout: probability of dropping a feature in training.
        scale: what residuals are multiplied with.
    """

    def __init__(self, num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2, scale: Scale = None) -> None:
        c = partial(scaled, width=width)
        begin = nn.Sequential(*stem(partial(ConvNormAct), c))
        super().__init__(begin, c(192) + 2 * c(96), V2, num_classes, width, dropout, scale)


class InceptionResNetV2(nn.Module):
    """The network of the public weights: 10 A, 20 B, 10 C; the last C (block8) is neither scaled nor rectified.

    Args:
        num_classes: outputs of the classifier.
        width: channel multiplier; 1.0 is the public network (55,843,464 parameters with 1000 classes).
        dropout: probability of dropping a feature in training.
        scale: what residuals are multiplied with, save the last.
    """

    def __init__(self, num_classes: int = 1000, width: float = 1.0, dropout: float = 0.2, scale: Scale = None) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        made, grid_8 = stages(2 * (c(96) + c(64)), c, V2, (10, 20, 9), scale)
        self.conv2d_1a = ConvNormAct(3, c(32), 3, stride=2, same=False)
        self.conv2d_2a = ConvNormAct(c(32), c(32), 3, same=False)
        self.conv2d_2b = ConvNormAct(c(32), c(64), 3)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = ConvNormAct(c(64), c(80), 1)
        self.conv2d_4a = ConvNormAct(c(80), c(192), 3, same=False)
        self.maxpool_5a = nn.MaxPool2d(3, stride=2)
        self.mixed_5b = Mixed5b(c(192), c)
        self.repeat, self.mixed_6a, self.repeat_1, self.mixed_7a, self.repeat_2 = made
        self.block8 = ResidualBC(grid_8, c, V2.c, 3, scale=1.0, relu=False)
        self.conv2d_7b = ConvNormAct(grid_8, c(1536), 1)
        self.global_pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(dropout)
        self.classif = nn.Linear(c(1536), num_classes)

    def penultimate(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images to (N, features): what the classifier sees."""
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x)))
        x = self.repeat(self.mixed_5b(self.maxpool_5a(x)))
        x = self.repeat_1(self.mixed_6a(x))
        x = self.block8(self.repeat_2(self.mixed_7a(x)))
        return self.global_pool(self.conv2d_7b(x)).flatten(1)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) float images, H and W at least 75, to (N, num_classes) logits."""
        return self.classif(self.drop(self.penultimate(x)))  # type: ignore[no-any-return]
