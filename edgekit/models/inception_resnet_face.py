"""Inception-ResNet-v1 as it is deployed most: the public face network, which makes vectors to compare by cosine.

It is figure 15 of Szegedy et al. 2016 (arXiv 1602.07261) with the stem of figure 14, and at the end of it a sixth C
block that is neither scaled nor rectified, a bottleneck without a bias, its batch norm, and the length of one. Module
names are those of the package facenet-pytorch, so that its state dicts load unchanged.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from edgekit.models.inception_resnet import V1, ResidualBC, Scale, stages
from edgekit.models.inception_v4 import ConvNormAct, scaled


class InceptionResNetV1Face(nn.Module):
    """Stem, 5 A, Reduction-A, 10 B, Reduction-B, 5 C and one more, average pool, bottleneck: a vector of length 1.

    Args:
        num_classes: numbers in a vector; the public weights have 128 or 512.
        width: channel multiplier of all but the bottleneck; 1.0 is the public network.
        dropout: probability of dropping a feature in training.
        scale: what residuals are multiplied with, save those of the last block.
    """

    def __init__(self, num_classes: int = 512, width: float = 1.0, dropout: float = 0.2, scale: Scale = None) -> None:
        super().__init__()
        c = partial(scaled, width=width)
        made, grid_8 = stages(c(256), c, V1, (5, 10, 5), scale)
        self.conv2d_1a = ConvNormAct(3, c(32), 3, stride=2, same=False)
        self.conv2d_2a = ConvNormAct(c(32), c(32), 3, same=False)
        self.conv2d_2b = ConvNormAct(c(32), c(64), 3)
        self.maxpool_3a = nn.MaxPool2d(3, stride=2)
        self.conv2d_3b = ConvNormAct(c(64), c(80), 1)
        self.conv2d_4a = ConvNormAct(c(80), c(192), 3, same=False)
        self.conv2d_4b = ConvNormAct(c(192), c(256), 3, stride=2, same=False)
        self.repeat_1, self.mixed_6a, self.repeat_2, self.mixed_7a, self.repeat_3 = made
        self.block8 = ResidualBC(grid_8, c, V1.c, 3, scale=1.0, relu=False)
        self.avgpool_1a = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.last_linear = nn.Linear(grid_8, num_classes, bias=False)
        self.last_bn = nn.BatchNorm1d(num_classes, eps=1e-3)

    def penultimate(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images to (N, features): what the bottleneck sees."""
        x = self.conv2d_2b(self.conv2d_2a(self.conv2d_1a(x)))
        x = self.conv2d_4b(self.conv2d_4a(self.conv2d_3b(self.maxpool_3a(x))))
        x = self.repeat_2(self.mixed_6a(self.repeat_1(x)))
        x = self.block8(self.repeat_3(self.mixed_7a(x)))
        return self.avgpool_1a(x).flatten(1)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) float images, H and W at least 75, to (N, num_classes) vectors of length 1."""
        return functional.normalize(self.last_bn(self.last_linear(self.dropout(self.penultimate(x)))), dim=1)
