"""A depthwise network that plain INT8 harms: MobileNetV3-small (Howard et al. 2019, arXiv 1905.02244, table 2).

Hard-swish, squeeze-and-excite and depthwise convolutions, at half its width and for the 24 classes of the signs.
`hard_to_quantize.py` trains it and tells what quantization costs.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

CLASSES: Final = 24
WIDTH: Final = 0.5

BLOCKS: Final = (
    # kernel, expanded, out, squeeze-and-excite, hard-swish, stride
    (3, 16, 16, True, False, 2),
    (3, 72, 24, False, False, 2),
    (3, 88, 24, False, False, 1),
    (5, 96, 40, True, True, 2),
    (5, 240, 40, True, True, 1),
    (5, 240, 40, True, True, 1),
    (5, 120, 48, True, True, 1),
    (5, 144, 48, True, True, 1),
    (5, 288, 96, True, True, 2),
    (5, 576, 96, True, True, 1),
    (5, 576, 96, True, True, 1),
)


def small() -> nn.Module:
    """The network with fresh weights: float32 (N, 3, H, W) to (N, 24) logits."""
    stem = _channels(16)
    layers: list[nn.Module] = [_Convolution(3, stem, 3, stride=2, activation=nn.Hardswish())]
    before = stem
    for kernel, expanded, out, squeezes, swishes, stride in BLOCKS:
        layers.append(_Block(before, _channels(expanded), _channels(out), kernel, stride, squeezes, swishes))
        before = _channels(out)
    last = _channels(576)
    layers.append(_Convolution(before, last, 1, activation=nn.Hardswish()))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, 512), nn.Hardswish(), nn.Linear(512, CLASSES)]
    return nn.Sequential(*layers, *head)


UNLIKE: Final = 1.5
"""Of what uneven() begins with: the standard deviation of the logarithm of a channel's scale."""


def uneven() -> nn.Module:
    """The same, begun with channels of unlike scale: batch-norm weights lognormal, their median 1 in each layer.

    Depthwise networks that were trained for long have such channels, and are the ones that plain INT8 harms (Nagel et
    al. 2019, arXiv 1906.04721, figure 2): a layer has one range of activations, which its widest channels take.
    """
    network = small()
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, _Convolution) and not isinstance(layer[2], nn.Identity):
                norm = layer[1]
                assert isinstance(norm, nn.BatchNorm2d)
                norm.weight.copy_(torch.exp(UNLIKE * torch.randn(norm.num_features)))
    return network


def _channels(count: int) -> int:
    """Of the narrower network: a multiple of eight that is not a tenth smaller than asked for."""
    asked = count * WIDTH
    near = max(8, int(asked + 4) // 8 * 8)
    return near + 8 if near < 0.9 * asked else near


class _Convolution(nn.Sequential):
    """Convolution, batch norm, activation."""

    def __init__(
        self, before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1, activation: nn.Module
    ) -> None:
        convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(after, eps=0.001), activation)


class _Squeeze(nn.Module):
    """Channels weighted by what all of the picture says (squeeze-and-excite)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 4 // 8 * 8)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, inner, 1),
            nn.ReLU(),
            nn.Conv2d(inner, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        weighted: Tensor = x * self.gate(x)
        return weighted


class _Block(nn.Module):
    """Expanded, convolved channel by channel, weighted, projected; added where the shape is kept."""

    def __init__(
        self, before: int, expanded: int, after: int, kernel: int, stride: int, squeezes: bool, swishes: bool
    ) -> None:
        super().__init__()
        activation = nn.Hardswish if swishes else nn.ReLU
        layers: list[nn.Module] = []
        if expanded != before:
            layers.append(_Convolution(before, expanded, 1, activation=activation()))
        layers.append(_Convolution(expanded, expanded, kernel, stride=stride, groups=expanded, activation=activation()))
        if squeezes:
            layers.append(_Squeeze(expanded))
        layers.append(_Convolution(expanded, after, 1, activation=nn.Identity()))
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return x + made if self.adds else made
