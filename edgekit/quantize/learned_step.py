"""Fake quantization: rounding to INT8 and back in float, with gradients for what is rounded and for the step of it.

Gradients pass the rounding as if it were not there (straight-through estimator, Bengio et al. 2013, arXiv 1308.3432);
the step is learned as in LSQ (Esser et al. 2020, arXiv 1902.08153).
"""

from __future__ import annotations

from typing import Any, cast

import torch
from numpy import float32
from numpy.typing import NDArray
from torch import Tensor, nn


class _Rounding(torch.autograd.Function):
    """x to the levels of a quantizer and back, and LSQ's gradients; three times as fast as torch's own on a CPU.

    With y = s round(x / s) within the range and s times a constant outside, the gradient of log s is
    sum(g y) - sum(g x, within): all of it is kept anyway.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, zero: Tensor, low: int, high: int, part: float) -> Tensor:
        """step, zero: () or a shape that broadcasts to that of x; part: of the step's gradient that is passed on."""
        least, most = low - zero, high - zero
        levels = x.float().mul(step.reciprocal()).round_()
        if zero.ndim == 0:
            levels.clamp_(float(least), float(most))  # by tensors it takes ten times as long
        else:
            levels.clamp_(least, most)
        y = levels.to(x.dtype).mul_(step)  # INT8 is exact in BF16; x / step would not be
        ctx.save_for_backward(x, y, step, (least - 0.5) * step, (most + 0.5) * step)
        ctx.part = part
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor | None, None, None, None, None]:
        x, y, step, least, most = ctx.saved_tensors
        if step.ndim == 0:
            passed = torch.ops.aten.hardtanh_backward(g, x, float(least), float(most))
        else:
            passed = g * ((x > least) & (x < most))
        if not ctx.needs_input_grad[1]:
            return passed, None, None, None, None, None
        change = torch.addcmul(g * y, passed, x, value=-1).sum_to_size(step.shape)
        return passed, change / step * ctx.part, None, None, None, None


class FakeQuantize(nn.Module):
    """Rounds a tensor to the levels of a quantizer.

    Its step is `scale` times e to `stretch`, which alone is learned: a step stays positive and moves in proportion.

    Args:
        scale: float32, one for the tensor or one for each channel along `axis`; zero_point: of the same shape.
        low, high: the lowest and the highest level.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, scale: NDArray[float32], zero_point: NDArray[Any], low: int, high: int, axis: int) -> None:
        super().__init__()
        self.low, self.high, self.axis = low, high, axis
        self.register_buffer("scale", torch.tensor(scale.reshape(-1)))
        self.register_buffer("zero_point", torch.tensor(zero_point.reshape(-1).astype(float32)))
        self.stretch = nn.Parameter(torch.zeros_like(self.scale))

    def step(self) -> Tensor:
        """Distance of two levels, (1,) or (channels,)."""
        return self.scale * self.stretch.exp()

    def forward(self, x: Tensor) -> Tensor:
        step = self.step()
        shape = [-1 if place == self.axis else 1 for place in range(x.ndim)] if step.numel() > 1 else []
        # The sum over all elements is what a step's gradient comes to; LSQ brings it to the size of a weight's.
        part = (x.numel() / step.numel() * self.high) ** -0.5
        told = step.view(shape), self.zero_point.view(shape), self.low, self.high, part
        return cast(Tensor, _Rounding.apply(x, *told))  # type: ignore[no-untyped-call]
